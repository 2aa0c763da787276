//! What outside accountants make of an export: hledger, Ledger and beancount accept it strictly and come to our balances,
//! and xmllint finds the bank statements valid against the schema. Whoever is not installed is skipped; `./test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use support::{Request, Server, User};

/// Account and currency, in the names of plain-text accounting, and what stands there.
type Balances = BTreeMap<(String, String), String>;

/// Texts that mean something to one of the accountants, were they not made safe.
const HOSTILE: [&str; 12] = [
    "Lunch; tag: x",
    "a:b, unknown:tag, c",
    "=1+1",
    "* cleared | payee",
    "! (code) \"quoted\" \\",
    "[2026-99-99] {cost} @ 5",
    "<x>&amp;]]></x>",
    "tab-less  two spaces",
    "ünïcode – 漢字 🦦",
    "~ = ; -",
    "12.50 USD = 13.00 USD",
    ":x: y:: z",
];

/// A ledger of several currencies, declined payments, and texts of every kind.
struct Books {
    server: Server,
    users: Vec<User>,
    folder: TempDir,
}

impl Books {
    fn make() -> Self {
        let server = Server::start();
        let mut users: Vec<User> = ["ada", "bob", "eve"].map(|name| server.user(name)).into();
        for (amount, currency) in [("120000", "JPY"), ("125.125", "KWD"), ("700", "EUR")] {
            users[0].top_up(amount, currency);
        }
        for (n, text) in HOSTILE.iter().enumerate() {
            let to = users[(n + 1) % 3].email.clone();
            let body = json!({"amount": format!("1.{n:02}"), "currency": "USD", "to": to, "description": text,
                "reference": text, "metadata": {"note": text}});
            users[n % 3].pay(&body).expect(201);
        }
        let to = users[1].email.clone();
        for (amount, currency) in [("1200", "JPY"), ("1.250", "KWD"), ("3", "EUR")] {
            users[0].pay(&json!({"amount": amount, "currency": currency, "to": to})).expect(201);
            users[0].pay(&json!({"amount": amount, "currency": currency})).expect(201);
        }
        // Held, captured in part, given back in part; and one that stays held.
        for (n, amount) in ["5.00", "7.00"].into_iter().enumerate() {
            let body = json!({"amount": amount, "currency": "EUR", "to": to, "capture": "manual"});
            let held = users[0].pay_with_key(&format!("held {n}"), &body).expect(201).str("id");
            if n == 0 {
                let path = format!("/payment/{held}");
                users[1].client.post(&format!("{path}/capture"), &json!({"amount": "3.50"})).expect(200);
                users[1].client.post(&format!("{path}/refund"), &json!({"amount": "1.25"})).expect(201);
            }
        }
        users[2].pay(&json!({"amount": "999999", "currency": "USD", "to": to})).expect(402);
        Self { server, users, folder: TempDir::new().unwrap() }
    }

    /// `farthing export`, while the server runs.
    fn export(&self, format: &str, more: &[&str]) -> PathBuf {
        let output = self.server.run(&[&["export", "--format", format], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = self.folder.path().join(format!("ledger-{}.{format}", more.len()));
        fs::write(&path, &output.stdout).unwrap();
        path
    }

    /// Our balances: those of the wallets over HTTP, and the others from the export in JSON.
    fn balances(&mut self, name: impl Fn(&str, &str) -> String) -> Balances {
        let export: Value = serde_json::from_slice(&fs::read(self.export("json", &[])).unwrap()).unwrap();
        let mut balances = Balances::new();
        for standing in export["closing"].as_array().unwrap() {
            let account = &standing["account"];
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let account =
                (name(&text(&account["owner"]), &text(&account["kind"])), text(&account["currency"]));
            balances.insert(account, text(&standing["balance"]));
        }
        for user in &mut self.users {
            for wallet in user.list("/wallets") {
                let text = |member: &str| wallet[member].as_str().unwrap().to_owned();
                for (kind, member) in [("wallet", "available"), ("holds", "held")] {
                    let ours = balances.get(&(name(&user.id, kind), text("currency")));
                    let ours = ours.map_or_else(
                        || text(member).replace(|c: char| c.is_ascii_digit(), "0"),
                        Clone::clone,
                    );
                    if ours.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) {
                        assert_eq!(ours, text(member), "{wallet}");
                    }
                }
            }
        }
        balances
    }
}

fn plain_name(owner: &str, kind: &str) -> String {
    match (owner, kind) {
        ("house", _) => "Assets:House".into(),
        ("cash", _) => "Equity:Cash".into(),
        ("sandbox", _) => "Equity:Sandbox".into(),
        (user, "wallet") => format!("Assets:Wallets:{user}"),
        (user, _) => format!("Assets:Holds:{user}"),
    }
}

fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// A program from `PyPI`, as `./test` installs it.
fn tool(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/python/bin").join(name)
}

#[track_caller]
fn run(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Output {
    // Outside accountants read a file in the encoding of the surroundings.
    let output = Command::new(program.as_ref()).args(args).env("LC_ALL", "C.UTF-8").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(4_000).collect::<String>();
    assert!(
        output.status.success(),
        "{} {args:?}: {}\n{}\n{}",
        program.as_ref().display(),
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

/// Lines of `account,currency,amount`, whatever quotes them.
fn read_balances(output: &Output) -> Balances {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows = text.lines().map(|line| line.replace('"', "")).filter(|line| line.contains(':'));
    rows.map(|line| {
        let [account, currency, amount] =
            line.split(',').collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("three fields: {line}"));
        ((account.to_owned(), currency.to_owned()), amount.to_owned())
    })
    .collect()
}

/// What is zero is left out by some and told by others.
fn without_zeros(balances: Balances) -> Balances {
    let is_zero = |amount: &str| !amount.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    balances.into_iter().filter(|(_, amount)| !is_zero(amount)).collect()
}

/// Ledger leaves the zeros at the end of a quantity out.
fn without_trailing_zeros(balances: Balances) -> Balances {
    let trimmed = |amount: String| {
        if amount.contains('.') {
            amount.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            amount
        }
    };
    balances.into_iter().map(|(account, amount)| (account, trimmed(amount))).collect()
}

#[test]
fn hledger_and_ledger_accept_the_journal_and_come_to_our_balances() {
    if !is_installed("hledger") || !is_installed("ledger") {
        return;
    }
    let mut books = Books::make();
    let ours = books.balances(plain_name);
    let journal = books.export("hledger", &[]);
    let file = journal.to_str().unwrap();
    run("hledger", &["-f", file, "check", "-s"]);
    let theirs = run("hledger", &["-f", file, "balance", "--flat", "-N", "-O", "csv", "--layout=bare"]);
    assert_eq!(without_zeros(read_balances(&theirs)), ours, "hledger");
    let format = "%(account),%(commodity(scrub(display_amount))),%(quantity(scrub(display_amount)))\\n";
    for currency in ["USD", "JPY", "KWD", "EUR"] {
        let limit = format!("commodity == '{currency}'");
        let args = [
            "--pedantic",
            "-f",
            file,
            "balance",
            "--flat",
            "--no-total",
            "--limit",
            &limit,
            "--format",
            format,
        ];
        let theirs = without_zeros(read_balances(&run("ledger", &args)));
        let ours: Balances = ours
            .iter()
            .filter(|((_, code), _)| code == currency)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(without_trailing_zeros(theirs), without_trailing_zeros(ours), "Ledger, {currency}");
    }
    // A file that is false is not accepted: the assertions are not for show.
    let text = fs::read_to_string(&journal).unwrap();
    let at = text.rfind("= 1").expect("an assertion");
    fs::write(&journal, format!("{}= 2{}", &text[..at], &text[at + 3..])).unwrap();
    assert!(!Command::new("hledger").args(["-f", file, "check", "-s"]).output().unwrap().status.success());
    assert!(
        !Command::new("ledger")
            .args(["--pedantic", "-f", file, "balance"])
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn a_span_begins_with_what_was_there_before() {
    if !is_installed("hledger") || !is_installed("ledger") {
        return;
    }
    let mut books = Books::make();
    let ours = books.balances(plain_name);
    let whole: Value = serde_json::from_slice(&fs::read(books.export("json", &[])).unwrap()).unwrap();
    let rows = whole["transactions"].as_array().unwrap();
    let at = rows[rows.len() / 2]["created_at"].as_str().unwrap();
    let journal = books.export("hledger", &["--from", at]);
    let file = journal.to_str().unwrap();
    run("hledger", &["-f", file, "check", "-s"]);
    run("ledger", &["--pedantic", "-f", file, "balance"]);
    let theirs = run("hledger", &["-f", file, "balance", "--flat", "-N", "-O", "csv", "--layout=bare"]);
    assert_eq!(without_zeros(read_balances(&theirs)), ours);

    let part = |more: &[&str]| -> Value {
        serde_json::from_slice(&fs::read(books.export("json", more)).unwrap()).unwrap()
    };
    let (before, after) = (part(&["--to", at]), part(&["--from", at]));
    assert_eq!(before["closing"], after["opening"]);
    assert_eq!(after["closing"], whole["closing"]);
    let rows_of = |part: &Value| part["transactions"].as_array().unwrap().clone();
    assert_eq!([rows_of(&before), rows_of(&after)].concat(), *rows, "each row is in one of the two");
    let nothing = part(&["--from", "2020-01-01", "--to", "2020-12-31"]);
    assert_eq!((nothing["rows"].as_u64(), nothing["closing"].as_array().unwrap().len()), (Some(0), 0));
}

#[test]
fn beancount_accepts_the_journal_and_comes_to_our_balances() {
    let bean_check = tool("bean-check");
    if !bean_check.exists() {
        println!("skipped: beancount is not installed; ./test does it");
        return;
    }
    let mut books = Books::make();
    let ours = books.balances(|owner, kind| plain_name(owner, kind).replace("usr_", "Usr-"));
    let rows = fs::read_to_string(books.export("json", &[])).unwrap();
    let rows: Value = serde_json::from_str(&rows).unwrap();
    let at = rows["transactions"][6]["created_at"].as_str().unwrap().to_owned();
    for more in [&[][..], &["--from", &at]] {
        let journal = books.export("beancount", more);
        let file = journal.to_str().unwrap();
        run(&bean_check, &[file]);
        let sums = "import sys, collections\n\
            from beancount import loader\n\
            from beancount.core import data\n\
            entries, errors, _ = loader.load_file(sys.argv[1])\n\
            assert not errors, errors\n\
            sums = collections.defaultdict(int)\n\
            for entry in data.filter_txns(entries):\n\
            \x20   for posting in entry.postings:\n\
            \x20       sums[posting.account, posting.units.currency] += posting.units.number\n\
            for (account, currency), number in sums.items():\n\
            \x20   print(f'{account},{currency},{number}')\n";
        let theirs = run(tool("python3"), &["-c", sums, file]);
        assert_eq!(without_zeros(read_balances(&theirs)), ours);
        let text = fs::read_to_string(&journal).unwrap();
        let at = text.rfind(" ~ 0").unwrap();
        fs::write(&journal, format!("{}1{}", &text[..at], &text[at..])).unwrap();
        assert!(!Command::new(&bean_check).arg(file).output().unwrap().status.success(), "a false balance");
    }
}

#[test]
fn bank_statements_are_valid_and_name_every_entry() {
    let schemas = tool("../lib");
    let schema = find(&schemas, "camt.053.001.08.xsd");
    let Some(schema) = schema.filter(|_| is_installed("xmllint")) else {
        println!("skipped: the schema of camt.053 is not installed; ./test does it");
        return;
    };
    let mut books = Books::make();
    let schema = schema.to_str().unwrap();
    let whole = books.export("camt053", &[]);
    run("xmllint", &["--noout", "--schema", schema, whole.to_str().unwrap()]);
    let rows: Value = serde_json::from_slice(&fs::read(books.export("json", &[])).unwrap()).unwrap();
    let text = fs::read_to_string(&whole).unwrap();
    let entries: usize = rows["transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["entries"].as_array().unwrap().len())
        .sum();
    assert_eq!(text.matches("<Ntry>").count(), entries);
    for (more, to) in [("--from", "9999-01-01"), ("--to", "2020-01-01")] {
        let empty = books.export("camt053", &[more, to]);
        run("xmllint", &["--noout", "--schema", schema, empty.to_str().unwrap()]);
    }
    let statement = books.users[0].client.get("/statement?currency=USD&format=camt053").expect(200).body;
    let path = books.folder.path().join("statement.xml");
    fs::write(&path, statement).unwrap();
    run("xmllint", &["--noout", "--schema", schema, path.to_str().unwrap()]);
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { (path.file_name()? == name).then_some(path) }
    })
}

#[test]
fn a_statement_is_accepted_as_well() {
    if !is_installed("hledger") || !is_installed("ledger") {
        return;
    }
    let mut books = Books::make();
    for user in &mut books.users {
        for wallet in user.list("/wallets") {
            let currency = wallet["currency"].as_str().unwrap();
            let request = Request::get(&format!("/statement?currency={currency}&format=hledger"));
            let path = books.folder.path().join("statement.journal");
            fs::write(&path, user.client.call(&request).expect(200).body).unwrap();
            let file = path.to_str().unwrap();
            run("hledger", &["-f", file, "check", "-s"]);
            run("ledger", &["--pedantic", "-f", file, "balance"]);
            let args = ["-f", file, "balance", "Assets:Wallet", "--flat", "-N", "-O", "csv", "--layout=bare"];
            let theirs = read_balances(&run("hledger", &args));
            let ours = wallet["balance"].as_str().unwrap();
            assert_eq!(theirs[&("Assets:Wallet".into(), currency.into())], ours);
        }
    }
}

#[test]
fn each_export_ends_with_its_count_and_its_sum() {
    let books = Books::make();
    let json: Value = serde_json::from_slice(&fs::read(books.export("json", &[])).unwrap()).unwrap();
    let rows = json["transactions"].as_array().unwrap();
    assert_eq!(json["rows"], rows.len());
    let numbers: Vec<u64> = rows.iter().map(|row| row["no"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..).take(rows.len()).collect::<Vec<u64>>(), "every row once, in order");
    let sums: Vec<String> = json["sums"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sum| format!("{} {}", sum["amount"].as_str().unwrap(), sum["currency"].as_str().unwrap()))
        .collect();
    assert_eq!(sums.iter().map(|sum| &sum[sum.len() - 3..]).collect::<HashSet<_>>().len(), 4);
    let sentence = |rows: usize| format!("end: {rows} rows, {}", sums.join(", "));
    for (format, rows) in [("hledger", rows.len()), ("beancount", rows.len())] {
        let text = fs::read_to_string(books.export(format, &[])).unwrap();
        assert_eq!(text.lines().last().unwrap(), format!("; {}", sentence(rows)));
    }
    let csv = fs::read_to_string(books.export("csv", &[])).unwrap();
    let counted =
        csv.lines().filter(|line| line.starts_with("entry,") || line.starts_with("declined,")).count();
    assert_eq!(
        csv.lines().last().unwrap().split(',').take(2).collect::<Vec<_>>(),
        ["end", &counted.to_string()]
    );
    assert!(csv.contains(",'=1+1,'=1+1,"), "a formula: {csv}");
    let camt = fs::read_to_string(books.export("camt053", &[])).unwrap();
    assert!(camt.ends_with(&format!("<!-- {} -->\n</Document>\n", sentence(counted))), "{camt}");
}
