//! A blocking HTTP/1.1 client over one kept-alive connection, that can also send bytes as they are.
//!
//! It never repeats a request by itself: whether a payment may be sent again is what many tests are about.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Barrier;
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::shape;

/// Longer than any answer may take, so that a test fails instead of hanging.
const TIMEOUT: Duration = Duration::from_mins(1);

/// One connection to the server, with a token to send if there is one.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    source: IpAddr,
    token: Option<String>,
    connection: Option<BufReader<TcpStream>>,
}

/// What to ask.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, decoded from chunks if it came in chunks.
    pub body: Vec<u8>,
    /// What was asked, for messages.
    asked: String,
}

impl Request {
    /// A request without body.
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: None }
    }

    /// The path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same request to another path.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    /// A `GET`.
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// A `POST` of this JSON.
    pub fn post(path: &str, body: &Value) -> Self {
        Self::new("POST", path).json(body)
    }

    /// Adds a header; the same name may come twice.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds the header that makes repeating safe.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// Adds a bearer token, whatever the client's own is.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.json_text(&body.to_string())
    }

    /// Sets a body that is sent as JSON, whatever it is.
    #[must_use]
    pub fn json_text(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").bytes(body.as_bytes())
    }

    /// Sets a body without a type.
    #[must_use]
    pub fn bytes(mut self, body: &[u8]) -> Self {
        self.body = Some(body.to_vec());
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name))
    }

    fn encode(&self, token: Option<&str>) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.has("Host") {
            head.push_str("Host: localhost\r\n");
        }
        if let Some(token) = token.filter(|_| !self.has("Authorization")) {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if let Some(body) = &self.body {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(server: SocketAddr) -> Self {
        Self { server, source: Ipv4Addr::LOCALHOST.into(), token: None, connection: None }
    }

    /// The same, connecting from this loopback address.
    #[must_use]
    pub fn connecting_from(mut self, source: [u8; 4]) -> Self {
        self.source = Ipv4Addr::from(source).into();
        self
    }

    /// The same, with a token that every request carries unless it brings its own.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// Another token from now on.
    pub fn set_token(&mut self, token: &str) {
        self.token = Some(token.to_owned());
    }

    /// `GET`, which must be answered.
    pub fn get(&mut self, path: &str) -> Response {
        self.call(&Request::get(path))
    }

    /// `POST` of this JSON, which must be answered.
    pub fn post(&mut self, path: &str, body: &Value) -> Response {
        self.call(&Request::post(path, body))
    }

    /// `POST` without body, which must be answered.
    pub fn delete(&mut self, path: &str) -> Response {
        self.call(&Request::new("DELETE", path))
    }

    /// Sends a `POST` without a body and insists on an answer.
    #[track_caller]
    pub fn post_empty(&mut self, path: &str) -> Response {
        self.call(&Request::new("POST", path))
    }

    /// Sends a request that must be answered, and by the rules that every answer keeps.
    pub fn call(&mut self, request: &Request) -> Response {
        let response = self
            .send(request)
            .unwrap_or_else(|error| panic!("{} {}: no answer: {error}", request.method, request.path));
        shape::check_any_answer(&response);
        response
    }

    /// Sends a request and reads the answer; an error says that none came, or none whole.
    ///
    /// # Errors
    /// What the connection said; [`io::ErrorKind::InvalidData`] for half an answer. After an error the next request
    /// opens a new connection.
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let bytes = request.encode(self.token.as_deref());
        self.exchange(&bytes, &format!("{} {}", request.method, request.path), request.method == "HEAD")
    }

    /// Sends these very bytes and reads one answer.
    ///
    /// # Errors
    /// What the connection said.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<Response> {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let asked = String::from_utf8_lossy(line).into_owned();
        self.exchange(bytes, &asked, asked.starts_with("HEAD "))
    }

    /// Opens the connection now, so that a later burst does not spend its time on that.
    ///
    /// # Errors
    /// What the connection said.
    pub fn connect(&mut self) -> io::Result<()> {
        if self.connection.is_none() {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            if self.source != IpAddr::from(Ipv4Addr::LOCALHOST) {
                socket.bind(&SocketAddr::new(self.source, 0).into())?;
            }
            socket.connect_timeout(&self.server.into(), TIMEOUT)?;
            let stream = TcpStream::from(socket);
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            self.connection = Some(BufReader::new(stream));
        }
        Ok(())
    }

    /// Drops the connection.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    fn exchange(&mut self, bytes: &[u8], asked: &str, head: bool) -> io::Result<Response> {
        self.connect()?;
        let mut connection = self.connection.take().expect("just connected");
        let written = connection.get_mut().write_all(bytes);
        // A server may refuse a large body before it has read all of it: what it said counts then, not the broken pipe.
        let response = match read_response(&mut connection, asked, head) {
            Ok(response) => response,
            Err(error) => return Err(written.err().unwrap_or(error)),
        };
        let close = response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if written.is_ok() && !close {
            self.connection = Some(connection);
        }
        Ok(response)
    }
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }

    /// The text at this field of the JSON body.
    pub fn str(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no text `{field}` in {self}")).to_owned()
    }

    /// Insists on the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "expected {status}: {self}");
        self
    }

    /// Insists on a problem with this status and code.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let this = self.expect(status);
        assert_eq!(this.json()["code"], code, "expected code {code}: {this}");
        this
    }

    /// The body without the one member that may differ between two same answers.
    pub fn without_request_id(&self) -> String {
        let text = self.text();
        match self.header("request-id") {
            Some(id) => text.replace(id, "REQUEST_ID"),
            None => text,
        }
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.text().chars().take(2_000).collect();
        write!(f, "{} -> {} {:?} {text}", self.asked, self.status, self.headers)
    }
}

fn read_response(reader: &mut impl BufRead, asked: &str, head: bool) -> io::Result<Response> {
    let line = read_line(reader)?;
    read_rest(reader, &line, asked, head).map_err(|error| invalid(format!("half an answer: {error}")))
}

fn read_rest(reader: &mut impl BufRead, line: &str, asked: &str, head: bool) -> io::Result<Response> {
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid(format!("no status line: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("no header: {line:?}")))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response { status, headers, body: Vec::new(), asked: asked.to_owned() };
    if !head && !matches!(status, 204 | 304) {
        response.body = read_body(reader, &response)?;
    }
    Ok(response)
}

fn read_body(reader: &mut impl BufRead, response: &Response) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let line = read_line(reader)?;
            let size =
                usize::from_str_radix(line.trim(), 16).map_err(|_| invalid(format!("no chunk: {line:?}")))?;
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            read_line(reader)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
    let length = response.header("content-length").and_then(|value| value.parse().ok());
    if let Some(length) = length {
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    } else {
        reader.read_to_end(&mut body)?;
    }
    Ok(body)
}

/// Sends each request on a connection of its own, all opened before the first is sent; the answers in the same order.
pub fn at_once(asked: Vec<(Client, &Request)>) -> Vec<Response> {
    let barrier = &Barrier::new(asked.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = asked
            .into_iter()
            .map(|(mut client, request)| {
                scope.spawn(move || {
                    client.connect().unwrap();
                    barrier.wait();
                    client.call(request)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended"));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map_err(|_| invalid("a header that is not UTF-8".to_owned()))
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
