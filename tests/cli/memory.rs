//! An export or a statement of many rows takes no more memory than one of few: rows are read and written a piece at a
//! time, and no faster than somebody takes them.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use farthing::auth::token::AccessToken;
use farthing::ledger::{
    Action, Capture, Command, Currency, IdempotencyKey, Memo, Money, Origin, Pay, PaymentId, RequestId, Shown,
};

use socket2::{Domain, Socket, Type};

use super::support::Server;
use super::support::postgres::Postgres;
use super::{command, ended, farthing};

#[path = "../support/maker.rs"]
#[allow(dead_code, reason = "test code, of which other tests use the rest")]
mod maker;

use maker::Maker;

/// Each is two movements.
const FEW: u64 = 15_000;
const MANY: u64 = 60_000;
/// Commands under way at once: enough that they make full batches.
const UNDER_WAY: usize = 512;
const MIB: u64 = 1_024;

/// A ledger of many payments.
struct Ledger {
    /// When the first few of them were made.
    few_at: String,
    /// Opens a session of somebody who was part of each.
    token: AccessToken,
}

async fn grow(folder: &Path) -> Ledger {
    let maker = Maker::open(folder).await;
    let clock = &maker.clock;
    let (ann, ben) = (maker.user("ann").await, maker.user("ben").await);
    let mut under_way = VecDeque::new();
    let mut few_at = clock.now();
    for number in 0..MANY {
        if number == FEW {
            few_at = clock.now();
        }
        // To and fro, so that nobody runs short.
        let (payer, payee) = if number % 2 == 0 { (ann, ben.user) } else { (ben, ann.user) };
        let pay = Pay {
            caller: payer,
            payment: PaymentId::new(clock.uuid().unwrap()),
            payee,
            money: Money::from_minor(1, Currency::USD).unwrap(),
            memo: Memo { description: format!("lunch {number:0>200}"), ..Memo::default() },
            capture: Capture::Automatic,
            shown: Shown::Nothing,
            key: IdempotencyKey::parse(&number.to_string()).ok(),
        };
        let origin = Origin { request: RequestId::new(clock.uuid().unwrap()), ip: None, user_agent: None };
        under_way.push_back(maker.store.execute(Command { origin, action: Action::Pay(pay) }));
        if under_way.len() > UNDER_WAY {
            under_way.pop_front().unwrap().await.unwrap().result.unwrap();
        }
    }
    for answer in under_way {
        answer.await.unwrap().result.unwrap();
    }
    let token = AccessToken::generate(clock).unwrap();
    maker.log_in(ann.user, token.hash()).await;
    maker.store.close().await.unwrap();
    let key = folder.join("farthing.key");
    fs::write(&key, "5a".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    Ledger { few_at: few_at.to_string(), token }
}

/// The most memory that a process took so far, in KiB.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|most| most.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// How many lines an export has, and the most memory that it took, in KiB.
fn export(folder: &Path, args: &[&str]) -> (usize, u64) {
    let args: Vec<&str> = ["export", "--data", "."].iter().chain(args).copied().collect();
    let mut child = command(folder, &[], &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (mut lines, mut most, mut piece) = (0, 0, vec![0; 1 << 16]);
    loop {
        // What is not read yet keeps it waiting, so that it is there to be looked at until nearly its end.
        most = most.max(peak(child.id()));
        let read = output.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        lines += piece[..read].split(|byte| *byte == b'\n').count() - 1;
    }
    assert!(child.wait().unwrap().success());
    (lines, most)
}

/// Asks for a statement and reads nothing until the server has come to rest, then all of it; gives its length, in KiB.
fn statement(server: &Server, ledger: &Ledger, query: &str) -> u64 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // Little of it waits on its way.
    socket.set_recv_buffer_size(1 << 16).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    let token = ledger.token.reveal();
    let asked =
        format!("GET /statement?currency=USD&{query} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}");
    stream.write_all(format!("{asked}\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    stream.peek(&mut [0]).unwrap();
    come_to_rest(server.pid());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let is_whole = answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"\r\n0\r\n\r\n");
    assert!(is_whole, "{query}: {}", String::from_utf8_lossy(&answer[..answer.len().min(1_000)]));
    u64::try_from(answer.len()).unwrap() / 1_024
}

/// Waits until a process does next to nothing.
fn come_to_rest(process: u32) {
    let worked = || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let (_, behind_name) = stat.rsplit_once(')').unwrap();
        let ticks = behind_name.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>()
    };
    let mut before = worked();
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = worked();
        if now <= before + 2 {
            return;
        }
        before = now;
    }
}

fn check_statements(server: &Server, ledger: &Ledger, formats: &[&str]) {
    // The shortest first: what a longer one took and gave back would hide a shorter one.
    for format in formats {
        let few = statement(server, ledger, &format!("format={format}&to={}", ledger.few_at));
        let before = peak(server.pid());
        let many = statement(server, ledger, &format!("format={format}"));
        let more = peak(server.pid()).saturating_sub(before);
        println!("{format}: {few} and {many} KiB; {before} KiB were taken, and {more} more");
        assert!(before > 0 && many > few * 3, "{format}: {few} and {many} KiB");
        assert!(more < many / 2, "{format}: {many} KiB take {more} KiB");
    }
}

#[test]
fn many_rows_take_no_more_memory_than_few() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ledger = runtime.block_on(grow(folder.path()));
    for format in ["csv", "json", "hledger", "beancount", "camt053"] {
        let (few_lines, few) = export(folder.path(), &["--format", format, "--to", &ledger.few_at]);
        let (many_lines, many) = export(folder.path(), &["--format", format]);
        println!("{format}: {few_lines} lines take {few} KiB, {many_lines} take {many} KiB");
        assert!(few > 0 && many_lines > few_lines * 3, "{format}: {few_lines} and {many_lines} lines");
        assert!(many < few * 13 / 10 + 4 * MIB, "{format}: {few} and {many} KiB");
    }
    let mut server = Server::embedded().data(folder.path()).start();
    check_statements(&server, &ledger, &["csv", "hledger", "json", "camt053"]);
    server.terminate();

    // The formats are the same on PostgreSQL; what reads the rows is not.
    let database = Postgres::shared().database();
    let args = ["migrate", "--from", ".", "--to", &database.migration_url()];
    ended(&farthing(folder.path(), &[], &args), 0, "");
    let node = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("farthing.key"), node.path().join("farthing.key")).unwrap();
    let server = Server::embedded().data(node.path()).database(database).start();
    check_statements(&server, &ledger, &["camt053"]);
}
