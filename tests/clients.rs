//! What clients can be made of the OpenAPI document: a generated one compiles and pays, and the collection in `contrib/`
//! knows every call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use farthing::http::openapi;
use farthing::http::routes::ROUTES;
use serde_json::{Map, Value, json};

use support::{PASSWORD, Server};

const COLLECTION: &str = "contrib/farthing.postman_collection.json";

/// A program from `PyPI`, as `./test` installs it.
fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin").join(name)
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out
}

/// Registers, logs in, pays twice under one key, and looks at the wallet.
const PAY: &str = r#"
import sys
from client import AuthenticatedClient, Client
from client.api.accounts import login, register
from client.api.payments import pay
from client.api.wallets import wallets
from client.models import LoginBody, PayBody, RegisterBody

base, email, password = sys.argv[1:]
client = Client(base_url=base, raise_on_unexpected_status=True)
register.sync(client=client, body=RegisterBody(email=email, password=password))
tokens = login.sync(client=client, body=LoginBody(email=email, password=password))
client = AuthenticatedClient(base_url=base, token=tokens.access_token, raise_on_unexpected_status=True)
body = PayBody(amount="12.50", currency="USD")
paid = pay.sync(client=client, body=body, idempotency_key="once")
assert paid.id == pay.sync(client=client, body=body, idempotency_key="once").id
print(paid.status, wallets.sync(client=client).data[0].balance)
"#;

#[test]
fn a_generated_client_compiles_and_pays() {
    let generator = tool("openapi-python-client");
    if !generator.exists() {
        println!("skipped: openapi-python-client is not installed; ./test does it");
        return;
    }
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let document = server.client().get("/openapi.json").expect(200).json();
    fs::write(folder.path().join("openapi.json"), document.to_string()).unwrap();
    // A file of text it sends as it sends a file of bytes, once it is told so.
    let bank_file = &document["paths"]["/admin/reconciliations"]["post"]["requestBody"]["content"];
    let kinds = bank_file.as_object().unwrap().keys();
    let overrides: Map<String, Value> =
        kinds.map(|kind| (kind.clone(), "application/octet-stream".into())).collect();
    let files = json!({"content_type_overrides": overrides});
    fs::write(folder.path().join("config.json"), files.to_string()).unwrap();
    fs::write(folder.path().join("pay.py"), PAY).unwrap();
    // It looks for the formatter that is installed beside it.
    let path = format!("{}:{}", tool("").display(), std::env::var("PATH").unwrap());
    let here = |program: PathBuf| {
        let mut command = Command::new(program);
        command.current_dir(folder.path()).env("PATH", &path);
        command
    };
    let options = [
        "generate",
        "--path",
        "openapi.json",
        "--output-path",
        "client",
        "--config",
        "config.json",
        "--meta",
        "none",
        "--fail-on-warning",
    ];
    run(here(generator).args(options));
    run(here(tool("python3")).args(["-m", "compileall", "-q", "client"]));
    let base = format!("http://{}", server.address());
    let said = run(here(tool("python3")).args(["pay.py", &base, "ada@example.org", PASSWORD]));
    assert_eq!(said.trim(), "succeeded 987.50");
}

/// The calls as a collection for Postman, Bruno and others that import it (format 2.1).
fn collection() -> Value {
    let document = openapi::document(ROUTES);
    let folder = |tag: &Value| {
        let calls = ROUTES.iter().filter_map(|route| {
            let operation = &document["paths"][route.path][route.verb.name().to_lowercase()];
            (operation["tags"][0] == tag["name"]).then(|| call(route.verb.name(), route.path, operation))
        });
        json!({"name": tag["name"], "description": tag["description"], "item": calls.collect::<Vec<_>>()})
    };
    let folders: Vec<Value> = document["tags"].as_array().unwrap().iter().map(folder).collect();
    json!({
        "info": {
            "name": "Farthing",
            "description": document["info"]["summary"],
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [
            {"key": "base", "value": "http://127.0.0.1:8080"},
            {"key": "token", "value": ""},
        ],
        "item": folders,
    })
}

fn call(verb: &str, path: &str, operation: &Value) -> Value {
    let parameters = |place: &str| -> Vec<&Value> {
        let all = operation["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place).collect()
    };
    let segments: Vec<String> =
        path[1..].split('/').map(|part| part.replace('{', ":").replace('}', "")).collect();
    let mut url = json!({"raw": format!("{{{{base}}}}/{}", segments.join("/")), "host": ["{{base}}"], "path": segments});
    let row = |parameter: &&Value| {
        json!({"key": parameter["name"], "value": "", "description": parameter["description"],
            "disabled": parameter["required"] != true})
    };
    let query: Vec<Value> = parameters("query").iter().map(row).collect();
    if !query.is_empty() {
        url["query"] = query.into();
    }
    let variables = parameters("path");
    if !variables.is_empty() {
        let row = |parameter: &&Value| json!({"key": parameter["name"], "value": "", "description": parameter["description"]});
        url["variable"] = variables.iter().map(row).collect::<Vec<_>>().into();
    }
    let mut headers: Vec<Value> = Vec::new();
    if parameters("header").iter().any(|parameter| parameter["name"] == "Idempotency-Key") {
        headers.push(json!({"key": "Idempotency-Key", "value": "{{$guid}}"}));
    }
    let mut request = json!({"method": verb, "url": url, "description": operation["description"]});
    if operation["security"] == json!([]) {
        request["auth"] = json!({"type": "noauth"});
    }
    let media = &operation["requestBody"]["content"]["application/json"];
    if media.is_object() {
        headers.push(json!({"key": "Content-Type", "value": "application/json"}));
        let example = if media["example"].is_null() { json!({}) } else { media["example"].clone() };
        let raw = serde_json::to_string_pretty(&example).unwrap();
        request["body"] = json!({"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}});
    }
    request["header"] = headers.into();
    json!({"name": operation["summary"], "request": request})
}

#[test]
fn the_collection_knows_every_call() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(COLLECTION);
    let wanted = format!("{}\n", serde_json::to_string_pretty(&collection()).unwrap());
    if std::env::var_os("FARTHING_WRITE_COLLECTION").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "{COLLECTION} is not in step with the routes: run FARTHING_WRITE_COLLECTION=1 cargo test --test clients"
    );
    let calls = |folder: &Value| folder["item"].as_array().unwrap().len();
    assert_eq!(collection()["item"].as_array().unwrap().iter().map(calls).sum::<usize>(), ROUTES.len());
}
