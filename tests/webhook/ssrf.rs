//! No request ever goes to an address that is not public.
//!
//! The test runs in a network of its own in which every address there is leads to this machine, so that a trap on ports 80
//! and 443 sees each connection whatever its address. With the guard on, the trap sees only public addresses; with it off,
//! the same URLs are seen to reach it, which proves that it would have told.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use farthing::webhook::{Failure, Guard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Names, rules, send, sender};

/// Set in the copy of this test that runs within the network of its own.
const INSIDE: &str = "FARTHING_TEST_INSIDE_OWN_NETWORK";

/// Addresses that are nobody's business, each of which the trap can have.
const FORBIDDEN: [&str; 52] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "127.255.255.254",
    "10.0.0.1",
    "10.255.255.254",
    "172.16.0.1",
    "172.20.10.5",
    "172.31.255.254",
    "192.168.0.1",
    "192.168.1.254",
    "192.168.255.254",
    "169.254.0.1",
    "169.254.169.253",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "168.63.129.16",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "240.0.0.1",
    "250.1.2.3",
    "::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fdff:ffff::1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "2606:4700::5efe:7f00:1",
];

/// Forbidden, and beyond what even this trap can have: broadcast, multicast, and what needs a zone.
const NOWHERE: [&str; 10] = [
    "0.0.0.0",
    "0.1.2.3",
    "255.255.255.255",
    "224.0.0.1",
    "239.255.255.250",
    "::",
    "ff02::1",
    "fe80::1",
    "fec0::1",
    "::7f00:1",
];

/// Other ways to write a forbidden IPv4 address.
const DISGUISES: [&str; 46] = [
    "2130706433",
    "0x7f000001",
    "0x7F.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f.0.0.1",
    "0x7f.1",
    "127.1",
    "127.0.1",
    "127.0x1",
    "127.0.0.1.",
    "127.000.000.001",
    "0000177.0.0.1",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "%31%32%37.0.0.1",
    "127%2e0%2e0%2e1",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[0000:0000:0000:0000:0000:ffff:7f00:0001]",
    "[::ffff:10.0.0.1]",
    "[::ffff:192.168.1.1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::FFFF:A9FE:A9FE]",
    "[64:ff9b::127.0.0.1]",
    "[64:FF9B::169.254.169.254]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "2852039166",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "3232235777",
    "0300.0250.1.1",
    "10.1",
];

/// Written in a way that is refused for how it is written, guard or not.
const TRICKS: [&str; 16] = [
    "http://example.com@127.0.0.1/",
    "http://user:pass@127.0.0.1/",
    "http://127.0.0.1@example.com/",
    "http://@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://example.com#@127.0.0.1/",
    "http://127.0.0.1#.example.com/",
    "http://example.com\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://127.0.0.1\t/",
    "http://127.0.0.1\r\nHost: example.com/",
    "http://[::1%25lo]/",
    "http://[fe80::1%25eth0]/",
    "http://127.0.0.1:22/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
];

/// What the trap saw: the address that each connection went to.
#[derive(Clone, Default)]
struct Trap(Arc<Mutex<Vec<IpAddr>>>);

impl Trap {
    async fn set(port: u16) -> Self {
        let trap = Self::default();
        let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await.unwrap();
        let seen = Arc::clone(&trap.0);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                seen.lock().unwrap().push(stream.local_addr().unwrap().ip().to_canonical());
                tokio::spawn(async move {
                    // To a redirect, the answer that leads inside; everybody else gets it, too.
                    let _ = stream.read(&mut [0; 4_096]).await;
                    let answer =
                        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        trap
    }

    fn take(&self) -> Vec<IpAddr> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// Every URL of the corpus, with what its name resolves to.
fn corpus(names: &Names) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for (number, address) in FORBIDDEN.iter().enumerate() {
        urls.push(format!("http://{}/", bracketed(address)));
        let name = format!("host{number}.example.com");
        names.set(&name, &[&[address]]);
        urls.push(format!("http://{name}/hook"));
    }
    urls.extend(DISGUISES.iter().map(|host| format!("http://{host}/")));
    // Names of which one address is public, in either order; names whose answers are IPv4 in IPv6.
    for (name, answer) in [
        ("both.example.com", ["8.8.8.8", "127.0.0.1"]),
        ("htob.example.com", ["127.0.0.1", "8.8.8.8"]),
        ("six.example.com", ["2606:4700::1111", "::1"]),
        ("mixed.example.com", ["8.8.8.8", "fd00::1"]),
        ("mapped.example.com", ["::ffff:169.254.169.254", "::ffff:169.254.169.254"]),
        ("nat64.example.com", ["64:ff9b::a00:1", "8.8.8.8"]),
        ("xn--bcher-kva.example.com", ["10.0.0.1", "10.0.0.1"]),
        ("127.0.0.1.nip.io", ["127.0.0.1", "127.0.0.1"]),
        ("spoofed.burpcollaborator.net", ["127.0.0.1", "127.0.0.1"]),
        ("localtest.me", ["127.0.0.1", "::1"]),
    ] {
        names.set(name, &[&answer]);
        urls.push(format!("http://{name}/"));
        urls.push(format!("https://{name}/"));
    }
    // Names that a system's own files answer.
    for name in
        ["localhost", "sub.localhost", "localhost.localdomain", "metadata.google.internal", "box.local"]
    {
        names.set(name, &[&["127.0.0.1"]]);
        urls.push(format!("http://{name}/"));
    }
    urls.extend(
        ["http://LOCALHOST/", "http://localhost./", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://bücher.example.com/"]
            .map(str::to_owned),
    );
    urls
}

#[test]
fn nothing_reaches_an_address_that_is_not_public() {
    if std::env::var_os(INSIDE).is_some() {
        tokio::runtime::Runtime::new().unwrap().block_on(inside());
        return;
    }
    let program = std::env::current_exe().unwrap();
    let everything_is_here = "ip link set lo up && ip route add local 0.0.0.0/0 dev lo && \
                              ip -6 route add local ::/0 dev lo && exec \"$0\" --exact \"$1\" --nocapture";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--net", "sh", "-c", everything_is_here])
        .arg(program)
        .arg("ssrf::nothing_reaches_an_address_that_is_not_public")
        .env(INSIDE, "1")
        .output()
        .expect("unshare, of util-linux, is installed");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "in the network of its own:\n{text}");
}

async fn inside() {
    let traps = [Trap::set(80).await, Trap::set(443).await];
    let seen = || traps.iter().flat_map(Trap::take).collect::<Vec<_>>();
    let names = Arc::new(Names::default());
    let urls = corpus(&names);
    let guarded = sender(rules(false, vec![443, 80]), Arc::clone(&names));
    let open = sender(rules(true, vec![443, 80]), Arc::clone(&names));

    let nowhere = NOWHERE.map(|address| format!("http://{}/", bracketed(address)));
    let tricks = TRICKS.map(str::to_owned);
    for url in urls.iter().chain(&nowhere).chain(&tricks) {
        let attempt = send(&guarded, url).await;
        let expected = [Failure::TargetNotAllowed, Failure::AddressNotAllowed];
        assert!(
            attempt.outcome.as_ref().is_err_and(|failure| expected.contains(failure)),
            "{url}: {attempt:?}"
        );
    }
    assert_eq!(seen(), Vec::<IpAddr>::new(), "the guard let something through");
    assert!(urls.len() + nowhere.len() + tricks.len() >= 150, "{} URLs", urls.len());

    // The same ones, without the guard: the trap has them.
    let mut caught = 0;
    let guard = Guard::default();
    let mut addresses = BTreeSet::new();
    for url in &urls {
        let _ = send(&open, url).await;
        let forbidden: Vec<IpAddr> = seen().into_iter().filter(|address| !guard.allows(*address)).collect();
        addresses.extend(forbidden.iter().copied());
        // A name with two addresses may have been reached at the public one.
        let is_mixed =
            ["both", "six", "mixed"].iter().any(|name| url.contains(&format!("{name}.example.com")));
        assert!(is_mixed || !forbidden.is_empty(), "{url} did not reach the trap without the guard");
        caught += usize::from(!forbidden.is_empty());
    }
    assert!(caught >= 150, "only {caught} URLs prove the trap");
    assert!(addresses.len() >= 48, "{addresses:?}");

    // What is public is reached, also with the guard: it is not that nothing ever arrives.
    names.set("public.example.com", &[&["8.8.8.8"]]);
    let attempt = send(&guarded, "http://public.example.com/").await;
    assert_eq!(attempt.outcome.unwrap().status, 302, "and the redirect to 127.0.0.1 is not followed");
    assert_eq!(seen(), ["8.8.8.8".parse::<IpAddr>().unwrap()]);

    rebinding(&names, &traps[0]).await;
}

/// A name that is public when it is looked at and private when it is looked at again.
async fn rebinding(names: &Arc<Names>, trap: &Trap) {
    let guarded = sender(rules(false, vec![443, 80]), Arc::clone(names));
    names.set("rebind.example.com", &[&["8.8.8.8"], &["127.0.0.1"]]);
    assert!(send(&guarded, "http://rebind.example.com/").await.outcome.is_ok());
    assert_eq!(trap.take(), ["8.8.8.8".parse::<IpAddr>().unwrap()], "looked up once, and connected to that");
    let attempt = send(&guarded, "http://rebind.example.com/").await;
    assert_eq!(attempt.outcome, Err(Failure::AddressNotAllowed));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(trap.take(), Vec::<IpAddr>::new());
}
