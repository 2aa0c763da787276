//! Hostile and broken receivers: the time is bounded, what is kept is bounded, and nothing is believed.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farthing::webhook::sender::KEPT_BYTES;
use farthing::webhook::{Attempt, Failure};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Names, rules, send, sender};

/// How long a receiver may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Sends one message to a receiver that does this with its connection.
async fn against<F, R>(receiver: R) -> (Attempt, Duration)
where
    F: Future<Output = ()> + Send + 'static,
    R: FnOnce(TcpStream) -> F + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 8_192];
        let mut length = 0;
        while !head[..length].windows(4).any(|part| part == b"\r\n\r\n") {
            match stream.read(&mut head[length..]).await {
                Ok(0) | Err(_) => return,
                Ok(read) => length += read,
            }
        }
        receiver(stream).await;
    });
    let sender = sender(rules(true, vec![port]), Arc::new(Names::default()));
    let started = Instant::now();
    let attempt = send(&sender, &format!("http://127.0.0.1:{port}/hook")).await;
    serving.abort();
    (attempt, started.elapsed())
}

async fn answers(text: &'static str) -> (Attempt, Duration) {
    against(move |mut stream| async move {
        let _ = stream.write_all(text.as_bytes()).await;
    })
    .await
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok", None)]
#[case("HTTP/1.1 204 No Content\r\n\r\n", 204, "", None)]
#[case("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", None)]
#[case("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", 302, "", None)]
#[case("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", 410, "", None)]
#[case("HTTP/1.1 429 Too Many\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n", 429, "", Some(120))]
#[case(
    "HTTP/1.1 503 Later\r\nretry-after: Tue, 14 Nov 2023 22:14:20 GMT\r\ncontent-length: 0\r\n\r\n",
    503,
    "",
    Some(60)
)]
#[case(
    "HTTP/1.1 503 Later\r\nretry-after: Tue, 14 Nov 2000 22:14:20 GMT\r\ncontent-length: 0\r\n\r\n",
    503,
    "",
    Some(0)
)]
#[case("HTTP/1.1 503 Later\r\nretry-after: 99999999999\r\ncontent-length: 0\r\n\r\n", 503, "", Some(86_400))]
#[case("HTTP/1.1 503 Later\r\nretry-after: soon\r\ncontent-length: 0\r\n\r\n", 503, "", None)]
#[case("HTTP/1.1 200 OK\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n", 200, "", None)]
#[case("HTTP/1.1 500 Oh\r\ncontent-length: 4\r\n\r\na\u{0}\u{1b}b", 500, "a\u{fffd}\u{fffd}b", None)]
// Said to be compressed: it is kept as it came, and never unpacked.
#[case("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", 200, "abc", None)]
#[tokio::test]
async fn an_answer_is_kept_as_it_came(
    #[case] text: &'static str,
    #[case] status: u16,
    #[case] body: &str,
    #[case] retry_after: Option<u64>,
) {
    let (attempt, _) = answers(text).await;
    let answer = attempt.outcome.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (status, body));
    assert_eq!(answer.retry_after, retry_after.map(Duration::from_secs));
    assert_eq!(answer.is_success(), status < 300);
}

#[rstest]
#[case("")]
#[case("SSH-2.0-OpenSSH_9.6\r\n")]
#[case("HTTP/1.1 200")]
#[case("HTTP/1.1 9999 Huh\r\n\r\n")]
#[case("\u{16}\u{3}\u{1}\u{2}")]
#[tokio::test]
async fn what_is_not_http_is_a_failure(#[case] text: &'static str) {
    let (attempt, _) = answers(text).await;
    assert_eq!(attempt.outcome, Err(Failure::Protocol));
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_left_after_the_limit() {
    let (attempt, took) = against(|stream| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(stream);
    })
    .await;
    assert_eq!(attempt.outcome, Err(Failure::TimedOut));
    assert!(took >= LIMIT && took < LIMIT + Duration::from_secs(2), "{took:?}");
}

/// One byte of the head each half second: each read makes progress, and still the whole has its limit.
#[tokio::test]
async fn a_head_that_drips_is_left_after_the_limit() {
    let (attempt, took) = against(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: 1\r\n\r\n" {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    assert_eq!(attempt.outcome, Err(Failure::TimedOut));
    assert!(took < LIMIT + Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn of_an_endless_answer_the_beginning_is_kept() {
    let (attempt, took) = against(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&vec![b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    assert_eq!(attempt.outcome.unwrap().body, "x".repeat(KEPT_BYTES));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn a_body_that_drips_is_cut_and_its_status_counts() {
    let (attempt, took) = against(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    let answer = attempt.outcome.unwrap();
    assert!(answer.status == 200 && answer.body.len() < 40, "{answer:?}");
    assert!(took <= LIMIT + Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn headers_without_end_are_a_failure() {
    let (attempt, took) = against(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-more: and more and more and more\r\n").await.is_ok() {}
    })
    .await;
    assert_eq!(attempt.outcome, Err(Failure::Protocol));
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn nobody_there_and_no_such_name() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let names = Arc::new(Names::default());
    names.set("empty.example.com", &[&[]]);
    let sender = sender(rules(true, vec![free, 80]), names);
    let nobody = send(&sender, &format!("http://127.0.0.1:{free}/")).await;
    assert_eq!(nobody.outcome, Err(Failure::NotConnected));
    for url in ["http://unknown.example.com/", "http://empty.example.com/"] {
        assert_eq!(send(&sender, url).await.outcome, Err(Failure::NotResolved), "{url}");
    }
    let elsewhere = send(&sender, "http://127.0.0.1:1/").await;
    assert_eq!(elsewhere.outcome, Err(Failure::TargetNotAllowed));
}

/// The environment names a proxy; the connection goes to the receiver all the same.
#[tokio::test]
async fn what_arrives_is_the_request_that_was_meant() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        while !text.ends_with("{\"type\":\"test\"}") {
            let mut part = [0; 4_096];
            let read = stream.read(&mut part).await.unwrap();
            text.push_str(std::str::from_utf8(&part[..read]).unwrap());
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        text
    });
    let sender = sender(rules(true, vec![port]), Arc::new(Names::default()));
    let attempt = send(&sender, &format!("http://127.0.0.1:{port}/a/b?c=d")).await;
    assert!(attempt.outcome.unwrap().is_success());
    let text = serving.await.unwrap();
    let mut lines = text.split("\r\n");
    assert_eq!(lines.next(), Some("POST /a/b?c=d HTTP/1.1"));
    let headers: Vec<&str> = lines.collect();
    for expected in [
        &format!("host: 127.0.0.1:{port}"),
        "content-type: application/json",
        "content-length: 15",
        "connection: close",
        "webhook-id: evt_1",
        "webhook-timestamp: 1700000000",
        "{\"type\":\"test\"}",
    ] {
        assert!(headers.contains(&expected), "{expected}: {text}");
    }
    assert_eq!(headers.iter().filter(|line| line.starts_with("webhook-signature: v1,")).count(), 1, "{text}");
}
