//! A person with a wallet.

use serde_json::{Value, json};

use super::{Client, Request, Response};

/// Long enough for everybody, and nobody's.
pub const PASSWORD: &str = "correct horse battery staple 7";

/// What every customer of a sandbox starts with, in minor units.
pub const GRANT_MINOR: i64 = 100_000;

/// A registered user who is logged in.
#[derive(Debug)]
pub struct User {
    /// `usr_…`.
    pub id: String,
    /// The address registered with.
    pub email: String,
    /// The display name.
    pub name: String,
    /// The access token of the login.
    pub token: String,
    /// The refresh token of the login.
    pub refresh: String,
    /// A connection that carries the access token.
    pub client: Client,
}

impl User {
    /// Registers `name` and logs in.
    pub fn register(mut client: Client, name: &str) -> Self {
        let email = format!("{name}@example.org");
        let registered = client
            .post("/register", &json!({"email": email, "password": PASSWORD, "name": name}))
            .expect(201);
        let login = client.post("/login", &json!({"email": email, "password": PASSWORD})).expect(200);
        let token = login.str("access_token");
        Self {
            id: registered.str("id"),
            email,
            name: name.to_owned(),
            client: client.with_token(&token),
            token,
            refresh: login.str("refresh_token"),
        }
    }

    /// The same person, logged in under a password that is not everybody's.
    pub fn log_in(mut client: Client, name: &str, email: &str, password: &str) -> Self {
        let login = client.post("/login", &json!({"email": email, "password": password})).expect(200);
        let token = login.str("access_token");
        Self {
            id: login.json()["user"]["id"].as_str().unwrap().to_owned(),
            email: email.to_owned(),
            name: name.to_owned(),
            client: client.with_token(&token),
            token,
            refresh: login.str("refresh_token"),
        }
    }

    /// Registers `name`, gives them the role from the host, and logs in.
    pub fn operator(server: &super::Server, name: &str, role: &str) -> Self {
        let user = Self::register(server.client(), name);
        let output = server.run(&["admin", "set-role", "--email", &user.email, "--role", role]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        user
    }

    /// Another session of the same user, on another connection.
    pub fn log_in_again(&self, client: Client) -> Self {
        let mut client = client;
        let login = client.post("/login", &json!({"email": self.email, "password": PASSWORD})).expect(200);
        let token = login.str("access_token");
        Self {
            id: self.id.clone(),
            email: self.email.clone(),
            name: self.name.clone(),
            client: client.with_token(&token),
            token,
            refresh: login.str("refresh_token"),
        }
    }

    /// `POST /payment` without a key.
    pub fn pay(&mut self, body: &Value) -> Response {
        self.client.post("/payment", body)
    }

    /// `POST /payment` with a key.
    pub fn pay_with_key(&mut self, key: &str, body: &Value) -> Response {
        self.client.call(&Request::post("/payment", body).key(key))
    }

    /// Simulated money from outside.
    pub fn top_up(&mut self, amount: &str, currency: &str) {
        let key = format!("{amount} {currency} {}", self.list("/transactions").len());
        let body = json!({"amount": amount, "currency": currency});
        let response = self.client.call(&Request::post("/topup", &body).key(&key));
        assert!(response.status == 200 || response.status == 201, "{response}");
    }

    /// The wallet's balance in minor units of a currency with two decimals, zero if there is none yet.
    pub fn balance(&mut self, currency: &str) -> i64 {
        let wallets = self.client.get("/wallets").expect(200).json();
        super::lists::rows(&wallets)
            .iter()
            .find(|wallet| wallet["currency"] == currency)
            .map_or(0, |wallet| minor(wallet["balance"].as_str().unwrap()))
    }

    /// Every row of a list, page by page.
    pub fn list(&mut self, path: &str) -> Vec<Value> {
        super::lists::every_row(&mut self.client, path)
    }
}

/// Minor units of an amount with two decimals.
pub fn minor(amount: &str) -> i64 {
    let (major, decimals) = amount.split_once('.').unwrap_or_else(|| panic!("two decimals: {amount}"));
    assert_eq!(decimals.len(), 2, "two decimals: {amount}");
    format!("{major}{decimals}").parse().unwrap()
}

/// The amount with two decimals.
pub fn major(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}
