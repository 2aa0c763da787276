use std::convert::Infallible;
use std::time::Duration;
use farthing::cli::bench::{load, request, wire::Connection};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};

fn server() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let at = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        rt.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let service = hyper::service::service_fn(|request: hyper::Request<Incoming>| async move {
                    let _ = request.into_body().collect().await;
                    let body = Full::new(Bytes::from_static(&[b'x'; 500]));
                    Ok::<_, Infallible>(hyper::Response::builder().status(201).header("content-type", "application/json").header("request-id", "req_01h455vb4pex5vsknk084sn02q").body(body).unwrap())
                });
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
                });
            }
        });
    });
    at
}

fn main() {
    let connections: usize = std::env::args().nth(1).map_or(64, |a| a.parse().unwrap());
    let authority = server();
    let n = 10_000;
    let tokens = (0..n).map(|i| format!("fat_{i:043}")).collect();
    let ids = (0..n).map(|i| format!("usr_{i:026}")).collect();
    let traffic = request::Traffic::Payments(request::Payments::between_users(&authority, tokens, ids).unwrap());
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let m = rt.block_on(async {
        let _ = Connection::open(&authority).await.unwrap();
        load::run(load::Load { authority, traffic, connections, warm_up: Duration::from_millis(500), duration: Duration::from_secs(5), random: request::Random::new([9; 32]), unit: "payments" }).await.unwrap()
    });
    println!("{} /s, gen cpu {} ns/req, p50 {} p99 {} us, {:?} {:?}", load::per_second(m.acknowledged, m.duration), m.generator_cpu.as_nanos() as u64 / m.acknowledged.max(1), m.latency_us.value_at_quantile(0.5), m.latency_us.value_at_quantile(0.99), m.statuses, m.errors);
}
