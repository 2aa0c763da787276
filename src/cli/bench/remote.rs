//! Users on a server that somebody else started: registered and logged in over its API, like any client's.
//!
//! Only a sandbox is loaded: a new user who owns nothing means real money, and a load has no business there.

use serde_json::Value;

use super::BenchError;
use super::request::{Random, get, post};
use super::seed::Seeded;
use super::wire::{Connection, WireError};

/// As many users as a foreign server is asked for: each costs it two password hashes.
pub const USERS_LIMIT: usize = 50;

/// `host:port` of a URL such as `http://localhost:8080`.
///
/// # Errors
/// If it is not of that form.
pub fn authority(url: &str) -> Result<String, BenchError> {
    let usage = |what: &str| BenchError::Usage(format!("{url}: {what}, such as http://127.0.0.1:8080"));
    if url.starts_with("https://") {
        return Err(usage("the load generator speaks plain HTTP only; name the server behind the proxy"));
    }
    let rest = url.strip_prefix("http://").ok_or_else(|| usage("must be an http:// address"))?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err(usage("must be an address without a path"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

/// Registers and logs in up to `count` users; fewer if the server limits the rate, but at least `least`.
///
/// # Errors
/// If the server is no sandbox, lets too few users in, or answers otherwise than the contract says.
pub async fn users(
    authority: &str,
    count: usize,
    least: usize,
    random: &mut Random,
) -> Result<Seeded, BenchError> {
    let mut client = Client::open(authority).await?;
    let mut seeded = Seeded::default();
    while seeded.tokens.len() < count.min(USERS_LIMIT) {
        match client.new_user(random).await? {
            Some((id, token)) => {
                seeded.user_ids.push(id);
                seeded.tokens.push(token);
            }
            None if seeded.tokens.len() >= least => break,
            None => {
                return Err(BenchError::Server(format!(
                    "the server's rate limits let only {} users in; start it with FARTHING_RATE_LIMITS_ENABLED=false",
                    seeded.tokens.len()
                )));
            }
        }
        if let [token] = seeded.tokens.as_slice() {
            client.check_sandbox(token).await?;
        }
    }
    Ok(seeded)
}

/// A client of a server, for what is done before a load.
#[derive(Debug)]
pub struct Client<'a> {
    connection: Connection,
    authority: &'a str,
}

impl<'a> Client<'a> {
    /// Connects to it.
    ///
    /// # Errors
    /// If nothing answers there.
    pub async fn open(authority: &'a str) -> Result<Self, BenchError> {
        let connection = Connection::open(authority).await.map_err(unreachable(authority))?;
        Ok(Self { connection, authority })
    }

    /// A new user's id and access token; nothing if a limit was reached.
    async fn new_user(&mut self, random: &mut Random) -> Result<Option<(String, String)>, BenchError> {
        let email = format!("bench-{:016x}@example.com", random.number());
        let password = format!("{:016x}-{:016x}", random.number(), random.number());
        let credentials = serde_json::json!({ "email": email, "password": password }).to_string();
        let Some(user) = self.ask("/register", 201, &credentials).await? else { return Ok(None) };
        let Some(login) = self.ask("/login", 200, &credentials).await? else { return Ok(None) };
        Ok(Some((text(&user, "id")?, text(&login, "access_token")?)))
    }

    /// A new user of a sandbox has been granted money to play with.
    async fn check_sandbox(&mut self, token: &str) -> Result<(), BenchError> {
        let request = get(self.authority, "/wallets", token);
        let wallets = self.exchange(&request, "/wallets", 200).await?.unwrap_or_default();
        let owns_something = find_wallets(&wallets).iter().any(|wallet| {
            let available = wallet.get("available").and_then(Value::as_str).unwrap_or_default();
            available.bytes().any(|byte| byte.is_ascii_digit() && byte != b'0')
        });
        if owns_something {
            return Ok(());
        }
        Err(BenchError::Server(
            "this server is no sandbox: new users own nothing there, so no load is put on it".into(),
        ))
    }

    async fn ask(&mut self, path: &str, status: u16, body: &str) -> Result<Option<Value>, BenchError> {
        let request = post(self.authority, path, None, body);
        self.exchange(&request, path, status).await
    }

    /// What is answered, if it is answered with that status; nothing if there were too many requests.
    ///
    /// # Errors
    /// Any other answer, or none.
    pub async fn exchange(
        &mut self,
        request: &[u8],
        path: &str,
        status: u16,
    ) -> Result<Option<Value>, BenchError> {
        let answer = self.connection.exchange(request).await.map_err(unreachable(self.authority))?;
        match answer.status {
            429 => Ok(None),
            204 if status == 204 => Ok(Some(Value::Null)),
            got if got == status => serde_json::from_slice(answer.body).map(Some).map_err(|error| {
                BenchError::Server(format!("{path} answered with what is no JSON: {error}"))
            }),
            got => {
                let body = String::from_utf8_lossy(answer.body);
                Err(BenchError::Server(format!("{path} answered {got} instead of {status}: {body}")))
            }
        }
    }
}

/// The wallets of an answer, which is a list or holds one in `data`.
fn find_wallets(answer: &Value) -> &[Value] {
    answer.as_array().or_else(|| answer.get("data")?.as_array()).map(Vec::as_slice).unwrap_or_default()
}

/// The cursors of one user's whole history, at most `limit` of them, a hundred rows apart.
///
/// # Errors
/// If the server answers otherwise than the contract says.
pub async fn cursors(authority: &str, token: &str, limit: usize) -> Result<Vec<String>, BenchError> {
    let mut client = Client::open(authority).await?;
    let mut cursors: Vec<String> = Vec::new();
    while cursors.len() < limit {
        let after = cursors.last().map(|cursor| format!("&after={cursor}")).unwrap_or_default();
        let request = get(authority, &format!("/transactions?limit=100{after}"), token);
        let page = client.exchange(&request, "/transactions", 200).await?.unwrap_or_default();
        match page.get("next").and_then(Value::as_str) {
            Some(next) => cursors.push(next.to_owned()),
            None => break,
        }
    }
    Ok(cursors)
}

fn text(answer: &Value, field: &str) -> Result<String, BenchError> {
    let found = answer.get(field).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| BenchError::Server(format!("the server's answer has no {field}")))
}

fn unreachable(authority: &str) -> impl Fn(WireError) -> BenchError {
    move |error| BenchError::Server(format!("{authority}: {error}"))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{get, post};

    use super::*;

    #[test]
    fn a_url_is_an_address_without_a_path() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://localhost:1/", "localhost:1"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("http://pay.example", "pay.example:80"),
        ] {
            assert_eq!(authority(url).unwrap(), expected);
        }
        for url in ["https://x", "localhost:8080", "http://", "http://x/api", "http://a@b", "ftp://x"] {
            assert!(matches!(authority(url), Err(BenchError::Usage(_))), "{url}");
        }
    }

    /// A server of the contract's shape: `granted` is what a new user owns, `limit` how many may log in.
    async fn server(granted: &'static str, limit: usize) -> String {
        let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let login = move |body: String| async move {
            assert!(serde_json::from_str::<Value>(&body).unwrap()["password"].is_string());
            let nth = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let status = if nth < limit { StatusCode::OK } else { StatusCode::TOO_MANY_REQUESTS };
            (status, format!(r#"{{"access_token":"fat_{nth:03}"}}"#))
        };
        let wallets = move |headers: HeaderMap| async move {
            assert_eq!(headers["authorization"], "Bearer fat_000");
            format!(r#"[{{"currency":"USD","balance":"{granted}","available":"{granted}","held":"0.00"}}]"#)
        };
        let register = || async { (StatusCode::CREATED, r#"{"id":"usr_1"}"#) };
        let router = Router::new()
            .route("/register", post(register))
            .route("/login", post(login))
            .route("/wallets", get(wallets));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
            }
        });
        authority
    }

    #[tokio::test]
    async fn users_are_made_as_far_as_the_limits_allow() {
        let mut random = Random::new([1; 32]);
        let seeded = users(&server("1000.00", 99).await, 7, 2, &mut random).await.unwrap();
        assert_eq!((seeded.tokens.len(), seeded.user_ids.len()), (7, 7));
        let seeded = users(&server("1000.00", 3).await, 7, 2, &mut random).await.unwrap();
        assert_eq!(seeded.tokens, ["fat_000", "fat_001", "fat_002"]);
        let error = users(&server("1000.00", 1).await, 7, 2, &mut random).await.unwrap_err();
        assert!(error.to_string().contains("FARTHING_RATE_LIMITS_ENABLED"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_sandbox_is_left_alone() {
        let error = users(&server("0.00", 99).await, 7, 2, &mut Random::new([1; 32])).await.unwrap_err();
        assert!(error.to_string().contains("no sandbox"), "{error}");
    }
}
