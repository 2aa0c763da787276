//! An export of many rows takes no more memory than one of few: rows are read and written a piece at a time.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use farthing::ledger::{
    Action, Capture, Command, Currency, IdempotencyKey, Memo, Money, Origin, Pay, PaymentId, RequestId,
    Shown, Timestamp,
};

use super::command;

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

/// A ledger of many payments; when the first few of them were made.
async fn grow(folder: &Path) -> Timestamp {
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
            memo: Memo { description: format!("lunch {number}"), ..Memo::default() },
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
    maker.store.close().await.unwrap();
    few_at
}

/// How many lines an export has, and the most memory that it took, in KiB.
fn export(folder: &Path, args: &[&str]) -> (usize, u64) {
    let args: Vec<&str> = ["export", "--data", "."].iter().chain(args).copied().collect();
    let mut child = command(folder, &[], &args).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (mut lines, mut peak, mut piece) = (0, 0, vec![0; 1 << 16]);
    loop {
        // What is not read yet keeps it waiting, so that it is there to be looked at until nearly its end.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.and_then(|most| most.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(most.unwrap_or_default());
        let read = output.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        lines += piece[..read].split(|byte| *byte == b'\n').count() - 1;
    }
    assert!(child.wait().unwrap().success());
    (lines, peak)
}

#[test]
fn an_export_of_many_rows_takes_no_more_memory_than_one_of_few() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let few_at = runtime.block_on(grow(folder.path())).to_string();
    for format in ["csv", "json", "hledger", "beancount", "camt053"] {
        let (few_lines, few) = export(folder.path(), &["--format", format, "--to", &few_at]);
        let (many_lines, many) = export(folder.path(), &["--format", format]);
        println!("{format}: {few_lines} lines take {few} KiB, {many_lines} take {many} KiB");
        assert!(few > 0 && many_lines > few_lines * 3, "{format}: {few_lines} and {many_lines} lines");
        assert!(many < few * 13 / 10 + 4 * MIB, "{format}: {few} and {many} KiB");
    }
}
