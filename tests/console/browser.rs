//! As much of a browser as these tests need: it keeps cookies, follows nothing by itself, and fills in forms.

use crate::support::{Client, PASSWORD, Request, Response, Server};

/// A browser with its cookies.
pub struct Browser {
    client: Client,
    host: String,
    origin: String,
    cookies: Vec<(String, String)>,
}

impl Browser {
    /// A browser on the machine itself.
    pub fn new(server: &Server) -> Self {
        Self::at(server, &server.address().to_string(), "http")
    }

    /// A browser that knows the server by another name.
    pub fn at(server: &Server, host: &str, scheme: &str) -> Self {
        let origin = format!("{scheme}://{host}");
        Self { client: server.client(), host: host.to_owned(), origin, cookies: Vec::new() }
    }

    /// A browser with a new account, logged in.
    pub fn registered(server: &Server, name: &str) -> Self {
        let mut browser = Self::new(server);
        let email = format!("{name}@example.org");
        let fields = [("email", email.as_str()), ("password", PASSWORD), ("name", name)];
        let response = browser.fill("/console/register", "/console/register", &fields);
        assert_eq!(response.status, 303, "{response}");
        browser
    }

    /// Logs in; the answer says how it went.
    pub fn log_in(&mut self, email: &str, password: &str) -> Response {
        self.fill("/console/login", "/console/login", &[("email", email), ("password", password)])
    }

    /// Looks at a page.
    pub fn get(&mut self, path: &str) -> Response {
        self.send(Request::get(path))
    }

    /// Opens a page and sends its form with these fields.
    pub fn fill(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Response {
        let page = self.get(page);
        assert_eq!(page.status, 200, "{page}");
        let token = form_token(&page);
        let fields: Vec<(&str, &str)> =
            fields.iter().copied().chain([("form_token", token.as_str())]).collect();
        self.post(action, &fields)
    }

    /// Sends fields as they are.
    pub fn post(&mut self, action: &str, fields: &[(&str, &str)]) -> Response {
        let origin = self.origin.clone();
        self.send(form(action, fields).header("Origin", &origin))
    }

    /// Sends fields as a form with files does.
    pub fn post_parts(&mut self, action: &str, fields: &[(&str, &str)]) -> Response {
        let part = |(name, value): &(&str, &str)| {
            format!("--x1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let body: String = fields.iter().map(part).chain(["--x1--\r\n".to_owned()]).collect();
        let origin = self.origin.clone();
        let request = Request::new("POST", action)
            .header("Content-Type", "multipart/form-data; boundary=x1")
            .header("Origin", &origin)
            .bytes(body.as_bytes());
        self.send(request)
    }

    /// Sends a request with the cookies, and keeps those that come back.
    pub fn send(&mut self, request: Request) -> Response {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = request.header("Host", &self.host);
        if !cookies.is_empty() {
            request = request.header("Cookie", &cookies.join("; "));
        }
        let response = self.client.send(&request).expect("an answer");
        for (name, value) in set_cookies(&response) {
            self.cookies.retain(|(known, _)| *known != name);
            if !value.is_empty() {
                self.cookies.push((name, value));
            }
        }
        response
    }

    /// A cookie's value.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// Puts a cookie there, as somebody with access to the browser could.
    pub fn plant(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(known, _)| known != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }
}

/// A form as a browser sends it.
pub fn form(action: &str, fields: &[(&str, &str)]) -> Request {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let body: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    Request::new("POST", action)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .bytes(body.join("&").as_bytes())
}

/// The token of the first form of a page.
pub fn form_token(page: &Response) -> String {
    hidden(page, "form_token").unwrap_or_else(|| panic!("no form: {page}"))
}

/// The value of a hidden field.
pub fn hidden(page: &Response, name: &str) -> Option<String> {
    let text = page.text();
    let (_, rest) = text.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// Names and values of the cookies that an answer sets.
fn set_cookies(response: &Response) -> Vec<(String, String)> {
    let headers = response.headers.iter().filter(|(name, _)| name == "set-cookie");
    let pairs = headers.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
