//! Traces over OTLP: what a collector gets of a payment, and that payments do without one.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use super::support::receiver::{Received, Receiver};
use super::support::{Request, Server};
use super::{ended, farthing};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn spans(received: &[Received]) -> Vec<Span> {
    let export = |received: &Received| ExportTraceServiceRequest::decode(received.bytes.as_slice()).unwrap();
    let resources = received.iter().flat_map(|received| export(received).resource_spans);
    resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
}

fn attribute(span: &Span, key: &str) -> Option<Any> {
    span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn text(value: &str) -> Any {
    Any::StringValue(value.to_owned())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let number = u128::from_be_bytes([&vec![0; 16 - bytes.len()], bytes].concat().try_into().unwrap());
    format!("{number:0width$x}", width = 2 * bytes.len())
}

#[test]
fn a_trace_leads_from_the_request_through_the_batch_to_the_commit() {
    let collector = Receiver::start();
    let mut server = Server::builder().env("FARTHING_TRACES_ENDPOINT", &collector.url()).start();
    let (mut ann, ben) = (server.user("ann"), server.user("ben"));
    let body = json!({"amount": "1.25", "currency": "USD", "to": ben.id, "description": "between us"});
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let pay = Request::post("/payment", &body).header("traceparent", &traceparent).key("a key of ann's");
    let paid = ann.client.call(&pay).expect(201);
    ann.client.get(&format!("/payment/{}?", paid.str("id"))).expect(200);
    server.terminate();

    let received = collector.received();
    assert_eq!(received[0].headers["content-type"], "application/x-protobuf");
    let spans = spans(&received);
    let of_trace: Vec<&Span> = spans.iter().filter(|span| hexadecimal(&span.trace_id) == TRACE).collect();
    let named = |name: &str| *of_trace.iter().find(|span| span.name == name).unwrap();
    let [request, queue, batch, commit] = ["POST", "queue", "batch", "commit"].map(named);
    assert_eq!(of_trace.len(), 4, "{of_trace:#?}");
    assert_eq!(hexadecimal(&request.parent_span_id), CALLER);
    assert_eq!((&queue.parent_span_id, &batch.parent_span_id), (&request.span_id, &request.span_id));
    assert_eq!(commit.parent_span_id, batch.span_id);
    assert_eq!(attribute(request, "http.route"), Some(text("/payment")));
    assert_eq!(attribute(request, "http.response.status_code"), Some(Any::IntValue(201)));
    assert_eq!(attribute(request, "farthing.request_id"), Some(text(paid.header("request-id").unwrap())));
    assert_eq!(attribute(batch, "farthing.batch.commands"), Some(Any::IntValue(1)));
    let times: Vec<u64> = vec![
        request.start_time_unix_nano,
        queue.start_time_unix_nano,
        batch.start_time_unix_nano,
        commit.start_time_unix_nano,
        commit.end_time_unix_nano,
        request.end_time_unix_nano,
    ];
    assert!(times.is_sorted() && times[3] < times[4], "{times:?}");
    assert_eq!((queue.end_time_unix_nano, commit.end_time_unix_nano), (times[2], batch.end_time_unix_nano));

    let read =
        spans.iter().find(|span| attribute(span, "http.route") == Some(text("/payment/{id}"))).unwrap();
    assert_eq!((read.name.as_str(), read.parent_span_id.len()), ("GET", 0));
    for secret in ["between us", "a key of ann's", &paid.str("id"), &ann.email, &ann.token] {
        assert!(received.iter().all(|received| !received.body.contains(secret)), "{secret} is in a trace");
    }
}

#[test]
fn a_share_of_the_requests_is_traced_by_their_ids() {
    let collector = Receiver::start();
    let mut server = Server::builder()
        .env("FARTHING_TRACES_ENDPOINT", &collector.url())
        .env("FARTHING_TRACES_PERCENT", "1")
        .start();
    let mut client = server.client();
    // The share is told by the id's last bytes: these are the least and the greatest of them.
    for id in ["00000000000000010000000000000001", "0000000000000001fffffffffffffffe"] {
        client
            .call(&Request::get("/healthz").header("traceparent", &format!("00-{id}-{CALLER}-01")))
            .expect(200);
    }
    server.terminate();
    let traced: Vec<String> =
        spans(&collector.received()).iter().map(|span| hexadecimal(&span.trace_id)).collect();
    assert_eq!(traced, ["00000000000000010000000000000001"]);
}

#[test]
fn a_collector_that_is_away_costs_its_traces_alone() {
    // Nobody listens on port 1.
    let mut server =
        Server::builder().env("FARTHING_TRACES_ENDPOINT", "http://127.0.0.1:1/v1/traces").start();
    let mut ann = server.user("ann");
    ann.pay(&json!({"amount": "1.00", "currency": "USD"})).expect(201);
    let began = Instant::now();
    server.terminate();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    server.verify();
}

#[test]
fn an_endpoint_that_is_none_is_told_with_its_cure() {
    let folder = tempfile::tempdir().unwrap();
    for endpoint in ["collector:4318", "ftp://collector/v1", "http://ann:hunter2@collector/v1/traces"] {
        let output = farthing(folder.path(), &[("FARTHING_TRACES_ENDPOINT", endpoint)], &["config", "check"]);
        ended(&output, 2, "a URL such as http://127.0.0.1:4318/v1/traces, without a password");
    }
}
