//! `GET /statement`.

use serde_json::{Value, json};

use crate::support::shape::{assert_fails, assert_members, assert_time};
use crate::support::user::minor;
use crate::support::{Request, Server, User};

/// A user with a dozen movements in USD, some in others, and a declined one.
fn busy_user(server: &Server) -> User {
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    for n in 0..5 {
        let body =
            json!({"amount": format!("1.0{n}"), "currency": "USD", "to": bob.email, "description": "=1+1"});
        ada.pay(&body).expect(201);
        let back =
            json!({"amount": format!("0.1{n}"), "currency": "USD", "to": ada.email, "reference": "R, \"7\""});
        bob.pay(&back).expect(201);
    }
    ada.top_up("1200", "JPY");
    ada.pay(&json!({"amount": "99999", "currency": "USD", "to": bob.email})).expect(402);
    ada
}

fn statement(user: &mut User, query: &str) -> Value {
    user.client.get(&format!("/statement?currency=USD{query}")).expect(200).json()
}

#[test]
fn it_leads_from_the_opening_to_the_closing_balance() {
    let server = Server::start();
    let mut ada = busy_user(&server);
    let whole = statement(&mut ada, "");
    assert_members(
        &whole,
        &[
            "currency",
            "from",
            "to",
            "created_at",
            "opening_balance",
            "closing_balance",
            "movements",
            "rows",
            "total_in",
            "total_out",
        ],
    );
    assert_time(&whole["created_at"]);
    let mut movements = ada.list("/transactions?currency=USD&status=succeeded");
    movements.reverse();
    assert_eq!(whole["movements"], json!(movements), "those of the history, oldest first");
    assert_eq!(whole["rows"], movements.len());
    assert_eq!(
        (whole["opening_balance"].as_str(), whole["total_in"].as_str()),
        (Some("0.00"), Some("1000.60"))
    );
    assert_eq!(whole["total_out"], "5.10");
    assert_eq!(minor(whole["closing_balance"].as_str().unwrap()), ada.balance("USD"));

    let split =
        movements.windows(2).position(|pair| pair[0]["created_at"] != pair[1]["created_at"]).unwrap() + 1;
    let at = movements[split]["created_at"].as_str().unwrap().to_owned();
    let (before, after) =
        (statement(&mut ada, &format!("&to={at}")), statement(&mut ada, &format!("&from={at}")));
    assert_eq!(before["closing_balance"], after["opening_balance"]);
    assert_eq!(after["opening_balance"], movements[split - 1]["balance_after"]);
    assert_eq!(after["closing_balance"], whole["closing_balance"]);
    let rows = |part: &Value| part["movements"].as_array().unwrap().clone();
    assert_eq!([rows(&before), rows(&after)].concat(), movements);
    let day = &at[..10];
    assert_eq!(rows(&statement(&mut ada, &format!("&from={day}&to={day}"))), movements);
    let nothing = statement(&mut ada, "&to=2020-01-01");
    assert_eq!((nothing["rows"].as_u64(), nothing["closing_balance"].as_str()), (Some(0), Some("0.00")));
}

#[test]
fn each_format_is_a_file_that_ends_with_its_count_and_sum() {
    let server = Server::start();
    let mut ada = busy_user(&server);
    let day = statement(&mut ada, "")["created_at"].as_str().unwrap()[..10].to_owned();
    let query = format!("/statement?currency=usd&from={day}&to={day}&format=");
    for (format, media, name, end) in [
        ("json", "application/json", "json", "\"rows\":11,\"total_in\":\"1000.60\",\"total_out\":\"5.10\"}"),
        ("csv", "text/csv; charset=utf-8", "csv", "\r\nend,11,,,,,,,,,,,\r\n"),
        (
            "camt053",
            "application/xml",
            "xml",
            "<!-- end: 11 rows, in 1000.60 USD, out 5.10 USD -->\n</Document>\n",
        ),
        (
            "hledger",
            "text/plain; charset=utf-8",
            "journal",
            "\n; end: 11 rows, in 1000.60 USD, out 5.10 USD, closing 995.50 USD\n",
        ),
    ] {
        let response = ada.client.get(&format!("{query}{format}")).expect(200);
        assert_eq!(response.header("content-type"), Some(media));
        let file = format!("attachment; filename=\"statement-USD-{day}-{day}.{name}\"");
        assert_eq!(response.header("content-disposition"), Some(file.as_str()));
        let text = String::from_utf8(response.body.clone()).unwrap();
        assert!(text.ends_with(end), "{format}: {}", &text[text.len().saturating_sub(200)..]);
    }
}

/// Ids, times and days by their kind alone.
fn masked(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_-:.".contains(c);
    let mut masked = String::new();
    for part in text.split_inclusive(|c| !is_of_word(c)) {
        let word = part.trim_end_matches(|c| !is_of_word(c));
        let is_numeric = word.starts_with(|c: char| c.is_ascii_digit());
        let shown = match word.len() {
            30 => &word[..4],
            24 | 25 if is_numeric => "TIME",
            10 if is_numeric => "DAY",
            17 if word.starts_with("USD-") => "USD-MILLIS",
            _ => word,
        };
        masked.push_str(shown);
        masked.push_str(&part[word.len()..]);
    }
    masked
}

#[test]
fn the_documents_have_an_example_of_each_file() {
    let server = Server::start();
    let mut ann = server.user("Ann");
    let body = json!({"amount": "12.50", "currency": "USD", "description": "Lunch", "reference": "R-7"});
    ann.pay(&body).expect(201);
    let document = server.client().get("/openapi.json").expect(200).json();
    let shown = &document["paths"]["/statement"]["get"]["responses"]["200"]["content"];
    for (format, media) in [("csv", "text/csv"), ("camt053", "application/xml"), ("hledger", "text/plain")] {
        let body = ann.client.get(&format!("/statement?currency=USD&format={format}")).expect(200).body;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(masked(&text), masked(shown[media]["example"].as_str().unwrap()), "{format}");
    }
}

#[test]
fn no_field_of_the_csv_is_a_formula_and_each_record_has_as_many() {
    let server = Server::start();
    let mut ada = busy_user(&server);
    let body = ada.client.get("/statement?currency=USD&format=csv").expect(200).body;
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(",'=1+1,"), "{text}");
    assert!(text.contains(",\"R, \"\"7\"\"\","), "{text}");
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n']));
    let records: Vec<&str> = text.split_terminator("\r\n").collect();
    let fields = records[0].split(',').count();
    for record in records.iter().filter(|record| !record.contains('"')) {
        assert_eq!(record.split(',').count(), fields, "{record}");
    }
    assert_eq!(records.iter().filter(|record| record.starts_with("movement,")).count(), 11);
}

#[test]
fn a_long_one_comes_in_pieces_and_whole() {
    let server = Server::start();
    let (mut ada, mut bob) = (server.user("ada"), server.user("bob"));
    // More than are read at a time.
    for n in 0..1_100 {
        let body = json!({"amount": "0.01", "currency": "USD", "to": bob.email});
        ada.pay_with_key(&n.to_string(), &body).expect(201);
    }
    for (user, rows, closing) in [(&mut ada, 1_101, "989.00"), (&mut bob, 1_101, "1011.00")] {
        let whole = statement(user, "");
        assert_eq!((whole["rows"].as_u64(), whole["closing_balance"].as_str()), (Some(rows), Some(closing)));
        assert_eq!(u64::try_from(whole["movements"].as_array().unwrap().len()), Ok(rows));
        for format in ["csv", "camt053", "hledger"] {
            let path = format!("/statement?currency=USD&format={format}");
            let text = String::from_utf8(user.client.get(&path).expect(200).body).unwrap();
            let ids = u64::try_from(text.matches("txn_").count()).unwrap();
            assert!(ids >= rows && ids % rows == 0, "{format}: {ids}");
        }
    }
    // Nobody reads it to its end, and the server goes on.
    let head = ada.client.call(&Request::new("HEAD", "/statement?currency=USD"));
    assert_eq!((head.status, head.body.len()), (200, 0));
    ada.client.get("/me").expect(200);
}

#[test]
fn what_cannot_be_asked_is_refused_by_name() {
    let server = Server::start();
    let mut ada = server.user("ada");
    for (query, fields) in [
        ("", &["currency"][..]),
        ("?currency=XXX&format=pdf", &["currency", "format"]),
        ("?currency=USD&from=yesterday", &["from"]),
        ("?currency=USD&from=2026-02-01&to=2026-01-31", &["to"]),
        ("?currency=USD&limit=5", &["limit"]),
    ] {
        assert_fails(&ada.client.get(&format!("/statement{query}")), fields);
    }
}
