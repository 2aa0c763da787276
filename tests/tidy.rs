//! The house rules that a machine can check: which module may know which, how long a file may be, which words have no
//! place here, and that papers and tests keep up with the code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use farthing::http::problem::CATALOGUE;
use farthing::http::routes::ROUTES;

/// Where to ask whether a file is two things.
const LINES: usize = 500;

/// Files that are one thing though they are long, each with the lines that it may have.
const LONG_FILES: [(&str, usize); 11] = [
    // One write of a whole batch.
    ("src/store/postgres/save.rs", 520),
    // One trait each, with all that goes over it: what can be asked, and the seam of the engines.
    ("src/ledger/command.rs", 740),
    // The whole of an engine that is a model.
    ("src/store/memory.rs", 560),
    // Tables: the statements, a catalogue of problems, the routes, what answers look like, the metrics, the settings.
    ("src/store/postgres/statements.rs", 560),
    ("src/http/problem.rs", 720),
    ("src/http/routes.rs", 1_220),
    ("src/http/schema.rs", 760),
    ("src/telemetry/metrics.rs", 640),
    ("src/config/keys.rs", 600),
    // One reader of bodies, half of it its own tests.
    ("src/http/extract/form.rs", 620),
    // Every route by every credential and every role: what a good call is, and what each of them gets.
    ("tests/endpoints.rs", 560),
];

/// What each module may know of the others. Imports go one way.
const MAY_IMPORT: [(&str, &[&str]); 15] = [
    ("ledger", &[]),
    ("auth", &["ledger", "clock"]),
    ("proof", &["ledger", "auth"]),
    ("clock", &["ledger"]),
    ("config", &["ledger", "auth", "telemetry"]),
    ("telemetry", &["ledger"]),
    ("store", &["ledger", "auth", "proof", "clock", "telemetry"]),
    ("webhook", &["ledger", "clock", "config"]),
    ("teller", &["ledger", "auth", "proof", "clock", "store", "telemetry", "webhook"]),
    ("courier", &["ledger", "teller", "webhook"]),
    ("books", &["ledger", "store"]),
    ("worker", &["ledger", "teller"]),
    (
        "http",
        &["ledger", "auth", "proof", "books", "clock", "config", "store", "teller", "telemetry", "webhook"],
    ),
    (
        "console",
        &["ledger", "auth", "proof", "books", "clock", "config", "store", "teller", "telemetry", "http"],
    ),
    (
        "cli",
        &[
            "ledger",
            "auth",
            "proof",
            "books",
            "clock",
            "config",
            "store",
            "teller",
            "telemetry",
            "worker",
            "http",
            "console",
            "webhook",
            "courier",
        ],
    ),
];

/// Engines, which only `store` may name, and which may not name each other.
const ENGINES: [&str; 3] = ["memory", "sqlite", "postgres"];

/// What the pure core must not touch: crates and parts of std that do I/O, tell the time or make random numbers.
const IMPURE: [&str; 25] = [
    "tokio",
    "rusqlite",
    "axum",
    "hyper",
    "hyper_util",
    "tracing",
    "metrics",
    "getrandom",
    "governor",
    "argon2",
    "clap",
    "toml",
    "std::fs",
    "std::io",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "ToSocketAddrs",
    "std::thread",
    "std::process",
    "std::env",
    "SystemTime",
    "Instant",
    "now_v7",
    "new_v4",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository but what is built and what is not ours.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !["target", ".git", "farthing-data", "node_modules"].contains(&name) {
                collect(&path, found);
            }
        } else if name != ".git" {
            found.push(path);
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(under: &str) -> Vec<(String, String)> {
    files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| relative(&path))
        .filter(|path| path.starts_with(under))
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// The code of a file without its tests and without its comments.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    before_tests.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The modules of ours that this code names: `crate::module`, `crate::{module, …}`, and `super::` up to the root.
fn named_modules(path: &str, code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(group) => named.extend(top_names_of_group(group)),
            None => named.extend(first_word(rest)),
        }
    }
    let depth = path
        .trim_start_matches("src/")
        .trim_end_matches("/mod.rs")
        .trim_end_matches(".rs")
        .split('/')
        .count();
    let up = "super::".repeat(depth);
    let names = MAY_IMPORT.map(|(module, _)| module);
    let reached = code.split(&up).skip(1).filter_map(first_word);
    named.extend(reached.filter(|name| names.contains(&name.as_str())));
    named
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

/// `a::{b, c}, d}` → `a`, `d`.
fn top_names_of_group(group: &str) -> Vec<String> {
    let (mut names, mut depth, mut start) = (Vec::new(), 0i32, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            c if start && (c.is_ascii_alphanumeric() || c == '_') => {
                names.extend(first_word(&group[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn imports_go_one_way() {
    assert_eq!(top_names_of_group("a::{b, c}, d, e::f}; g"), ["a", "d", "e"], "this test reads groups");
    let modules: BTreeMap<&str, &[&str]> = MAY_IMPORT.into_iter().collect();
    let mut faults = Vec::new();
    for (path, text) in sources("src/") {
        let module = path.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        if ["lib", "main"].contains(&module.as_str()) || is_test_file(&path) {
            continue;
        }
        let may =
            modules.get(module.as_str()).unwrap_or_else(|| panic!("{path}: which modules may it know?"));
        for named in named_modules(&path, &code(&text)) {
            if named != module && !may.contains(&named.as_str()) {
                faults.push(format!("{path} names {named}"));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn the_core_is_pure() {
    let mut faults = Vec::new();
    for (path, text) in sources("src/ledger/") {
        for impure in IMPURE.into_iter().filter(|_| !is_test_file(&path)) {
            let code = code(&text);
            let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let named = code.match_indices(impure).any(|(at, _)| {
                !joins(code[..at].chars().next_back()) && !joins(code[at + impure.len()..].chars().next())
            });
            if named {
                faults.push(format!("{path} names {impure}"));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn engines_are_named_by_the_store_alone() {
    let mut faults = Vec::new();
    for (path, text) in sources("src/") {
        if is_test_file(&path) {
            continue;
        }
        let code = code(&text);
        for engine in ENGINES {
            let own = path.starts_with(&format!("src/store/{engine}"));
            let named =
                code.contains(&format!("store::{engine}")) || code.contains(&format!("super::{engine}"));
            if named && !own {
                faults.push(format!("{path} names the engine {engine}"));
            }
        }
        let may_drive = path.starts_with("src/store/");
        if !may_drive && code.contains("rusqlite") {
            faults.push(format!("{path} names the driver"));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn no_file_is_longer_than_one_thing() {
    let mut faults = Vec::new();
    for (path, text) in sources("") {
        let lines = text.lines().count();
        let exception = LONG_FILES.iter().find(|(file, _)| *file == path);
        let limit = exception.map_or(LINES, |(_, limit)| *limit);
        if lines > limit {
            faults.push(format!("{path} has {lines} lines, over {limit}: is it two things?"));
        }
        if exception.is_some() && lines <= LINES {
            faults.push(format!("{path} has {lines} lines and needs no exception"));
        }
    }
    for (path, _) in LONG_FILES {
        assert!(root().join(path).exists(), "{path} is an exception and does not exist");
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_file_of_code_begins_by_saying_what_it_is() {
    let bare: Vec<String> =
        sources("").into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| path).collect();
    assert_eq!(bare, Vec::<String>::new());
    let placeholders: Vec<String> = sources("src/")
        .into_iter()
        .filter(|(_, text)| {
            text.contains(concat!("Placeholder", " header")) || text.contains(concat!("todo", "!("))
        })
        .map(|(path, _)| path)
        .collect();
    assert_eq!(placeholders, Vec::<String>::new());
}

/// Words that speak of a machine, a workplace or a maker instead of Farthing. Joined here, so that this file has none.
fn banned_words() -> Vec<String> {
    [
        ("/wo", "rk/"),
        ("/tm", "p/"),
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("arti", "factory"),
        ("index.crates", ".io"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("registry.npm", "js"),
        ("deb.deb", "ian.org"),
        ("clau", "de"),
        ("anth", "ropic"),
        ("open", "ai"),
        ("chat", "gpt"),
        ("copi", "lot"),
        ("language ", "model"),
        ("co-authored", "-by"),
        ("generated ", "with"),
        ("todo", ":"),
        ("fix", "me"),
        ("x", "xx:"),
    ]
    .map(|(one, other)| format!("{one}{other}"))
    .into()
}

#[test]
fn no_word_speaks_of_anything_but_farthing() {
    let words = banned_words();
    let mut faults = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if path.ends_with("Cargo.lock") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let lower = line.to_lowercase();
            for word in words.iter().filter(|word| lower.contains(word.as_str())) {
                faults.push(format!("{}:{}: {word}", relative(&path), number + 1));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn no_test_is_switched_off() {
    let off: Vec<String> = sources("")
        .into_iter()
        .filter(|(_, text)| text.contains(concat!("#[ign", "ore")))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(off, Vec::<String>::new());
}

#[test]
fn every_dependency_has_its_line() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let document = read("docs/dependencies.md");
    let dependencies: BTreeSet<&String> = ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|section| manifest.get(section)?.as_table())
        .flat_map(|table| table.keys())
        .collect();
    assert!(dependencies.len() > 20, "{dependencies:?}");
    let lines: Vec<&str> = document.lines().collect();
    let has_line = |name: &str| lines.iter().any(|line| line.contains(&format!("`{name}`")));
    let missing: Vec<&&String> = dependencies.iter().filter(|name| !has_line(name)).collect();
    assert_eq!(missing, Vec::<&&String>::new(), "docs/dependencies.md says nothing of these");
    // And the first word of a table's row is a dependency that there is.
    let stale: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| !dependencies.iter().any(|known| known == name))
        .collect();
    assert_eq!(stale, Vec::<&str>::new(), "docs/dependencies.md speaks of what is not used");
}

#[test]
fn every_paper_is_there() {
    for path in [
        "README.md",
        "ARCHITECTURE.md",
        "STYLE.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "docs/data-model.md",
        "docs/adding-an-endpoint.md",
        "docs/benchmarks.md",
        "docs/dependencies.md",
    ] {
        assert!(read(path).lines().count() > 5, "{path} says nothing");
    }
}

#[test]
fn every_link_in_a_paper_leads_somewhere() {
    let mut faults = Vec::new();
    for path in files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !path.parent().unwrap().join(target).exists() {
                faults.push(format!("{}: {link}", relative(&path)));
            }
        }
    }
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn every_module_is_on_the_map() {
    let map = read("ARCHITECTURE.md");
    let missing: Vec<&str> = MAY_IMPORT
        .iter()
        .map(|(module, _)| *module)
        .filter(|module| !map.contains(&format!("`{module}")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "ARCHITECTURE.md does not name these");
}

/// Codes that need a fault: no test over HTTP causes them by what it asks alone, and the fault tests look at their status.
const UNCAUSED: [&str; 3] = ["internal_error", "outcome_unknown", "request_timeout"];

#[test]
fn every_problem_is_explained_and_caused_by_a_test() {
    let tests: String = sources("tests/").into_iter().map(|(_, text)| text).collect();
    let mut names = BTreeSet::new();
    for entry in CATALOGUE {
        assert!(names.insert(entry.name), "{} is there twice", entry.name);
        assert!(entry.cause.len() > 20 && !entry.cure.is_empty(), "{} explains nothing", entry.name);
        let caused = tests.contains(&format!("\"{}\"", entry.name));
        let status = tests.contains(&format!("expect({})", entry.status.as_u16()));
        assert!(caused || status || UNCAUSED.contains(&entry.name), "no test causes {}", entry.name);
    }
}

/// Tests of what all nouns have in common.
const COMMON: [&str; 8] =
    ["main", "bodies", "conventions", "edge", "limits", "lists", "monitoring", "throttle"];

#[test]
fn every_noun_of_the_api_has_its_tests() {
    let tables = ["routes.rs", "operator_routes.rs", "credential_routes.rs"];
    let routes: String = tables.map(|file| read(&format!("src/http/{file}"))).concat();
    let nouns: BTreeSet<String> = routes
        .split("handler!(")
        .skip(1)
        .filter_map(|rest| rest.split_once("::").map(|(noun, _)| noun.to_owned()))
        .filter(|noun| noun.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect();
    assert!(nouns.len() >= 6 && ROUTES.len() >= nouns.len(), "{nouns:?}");
    let tests: BTreeSet<String> = fs::read_dir(root().join("tests/api"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "snapshots" && !COMMON.contains(&name.as_str()))
        .collect();
    assert_eq!(tests, nouns);
}

#[test]
fn what_runs_the_tests_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    for path in ["test", ".ci/run"] {
        let mode = fs::metadata(root().join(path))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
            .permissions()
            .mode();
        assert_ne!(mode & 0o111, 0, "{path} cannot be run");
    }
}
