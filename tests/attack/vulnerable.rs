//! A server with holes, for the probers to find: it builds SQL from what it is sent, keeps whatever fields come, tidies up
//! paths, writes what it was sent into headers, obeys override headers, and takes any token that looks like one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use serde_json::{Value, json};

/// Starts it; it goes on until the tests end.
pub fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let database = Connection::open_in_memory().unwrap();
    database
        .execute_batch(
            "CREATE TABLE payments (id TEXT, amount TEXT); INSERT INTO payments VALUES ('pay_1', '5.00');",
        )
        .unwrap();
    let database = Arc::new(Mutex::new(database));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let database = Arc::clone(&database);
            std::thread::spawn(move || serve(stream, &database));
        }
    });
    address
}

struct Asked {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Asked { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

fn serve(mut stream: TcpStream, database: &Mutex<Connection>) {
    let Some(asked) = read(&stream) else { return };
    let (status, headers, body) = answer(&asked, database);
    let reply = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(reply.as_bytes());
}

fn answer(asked: &Asked, database: &Mutex<Connection>) -> (u16, String, String) {
    let header =
        |name: &str| asked.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let path = tidy(&decode(&asked.path));
    if asked.method == "TRACE" {
        return (200, String::new(), format!("{:?}", asked.headers));
    }
    // Nested so deep that somebody who reads it recursively would be gone.
    let depth = asked.body.iter().filter(|byte| **byte == b'[' || **byte == b'{').count();
    if depth > 5_000 {
        return (500, String::new(), json!({"error": "stack overflow"}).to_string());
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or(Value::Null);
    let obeyed = header("x-http-method-override").is_some();
    if path == "/me" && obeyed {
        return (200, String::new(), body.to_string());
    }
    if path == "/me" && asked.method == "GET" {
        // Anything with the right beginning, and any JSON Web Token that says how it wants to be checked.
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let opens = token.is_some_and(|token| token.starts_with("fat_") || token.starts_with("eyJ"));
        let status = if opens { 200 } else { 401 };
        return (status, String::new(), json!({"email": "ada@example.org", "role": "customer"}).to_string());
    }
    if let Some(id) = path.strip_prefix("/payment/") {
        return find_payment(&decode(id), database);
    }
    let link =
        if path == "/transactions" { format!("Link: {}\r\n", decode(&asked.query)) } else { String::new() };
    if !asked.body.is_empty() && body.is_object() {
        // Whatever comes is kept.
        return (201, link, body.to_string());
    }
    (200, link, "{}".to_owned())
}

fn find_payment(id: &str, database: &Mutex<Connection>) -> (u16, String, String) {
    let sql = format!("SELECT amount FROM payments WHERE id = '{id}'");
    let found: Result<String, _> = database.lock().unwrap().query_row(&sql, [], |row| row.get(0));
    match found {
        Ok(amount) => (200, String::new(), json!({"amount": amount}).to_string()),
        Err(rusqlite::Error::QueryReturnedNoRows) => (404, String::new(), "{}".to_owned()),
        Err(error) => (500, String::new(), json!({"error": error.to_string()}).to_string()),
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| after.get(..2)).flatten();
        let byte = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
