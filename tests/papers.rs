//! What the papers on security claim: every line is there, every sum is right, and every proof that they name exists.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at what it did not expect")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The lines of each level that apply, as many as the standard has of them.
const APPLY: [(&str, usize); 3] = [("1", 56), ("2", 123), ("3", 65)];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the rows of all tables, without their headings.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    lines
        .filter(|line| !line.starts_with("---"))
        .map(|line| line.split(" | ").map(str::trim).collect())
        .collect()
}

/// What stands in backticks and leads to a file: `path` or `path::test`.
fn proofs(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Why a proof is none; nothing if it is one.
fn fault(proof: &str) -> Option<String> {
    let (path, test) = proof.split_once("::").map_or((proof, None), |(path, test)| (path, Some(test)));
    let Ok(text) = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)) else {
        return Some(format!("{proof}: there is no such file"));
    };
    let test = test?;
    // A function, or a target of the fuzzing macro.
    let is_there = text.contains(&format!("fn {test}("))
        || text.lines().any(|line| line.trim().strip_prefix(test).is_some_and(|rest| rest.starts_with(',')));
    (!is_there).then(|| format!("{proof}: there is no such test"))
}

#[test]
fn each_line_of_the_asvs_says_whether_it_holds_and_what_shows_it() {
    let text = read("docs/asvs.md");
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    let mut sums: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for row in rows(&text) {
        let is_line = row.first().is_some_and(|line| line.split('.').count() == 3);
        let [line, level, _, holds, how, shown] = row[..] else {
            assert!(!is_line, "a row with {} cells: {row:?}", row.len());
            continue;
        };
        if !is_line {
            continue;
        }
        assert!(seen.insert(line), "{line} is there twice");
        let place = ["yes", "part", "no"].iter().position(|known| *known == holds);
        let place = place.unwrap_or_else(|| panic!("{line}: {holds:?} is neither yes nor part nor no"));
        sums.entry(level).or_default()[place] += 1;
        if holds != "no" && shown.is_empty() {
            faults.push(format!("{line}: nothing shows it"));
        }
        if holds != "yes" && how.is_empty() {
            faults.push(format!("{line}: it does not say why not"));
        }
        faults.extend(proofs(shown).filter_map(fault).map(|fault| format!("{line}: {fault}")));
    }
    assert_eq!(faults, Vec::<String>::new());
    for (level, lines) in APPLY {
        let [yes, part, no] = sums.get(level).copied().unwrap_or_default();
        assert_eq!(yes + part + no, lines, "lines of level {level}");
        let told = format!("| {level} | {lines} | {yes} | {part} | {no} |");
        assert!(text.contains(&told), "the sums of level {level} are {told}");
    }
}

#[test]
fn each_threat_has_a_test_that_exists() {
    let text = read("docs/threat-model.md");
    let (mut faults, mut threats) = (Vec::new(), 0);
    for row in rows(&text) {
        let [threat, _, tried] = row[..] else { panic!("a row with {} cells: {row:?}", row.len()) };
        if tried == "tried by" {
            continue;
        }
        threats += 1;
        let tests: Vec<&str> = proofs(tried).collect();
        if !tests.iter().any(|proof| proof.contains("::")) {
            faults.push(format!("{threat}: no test tries it"));
        }
        faults.extend(tests.into_iter().filter_map(fault).map(|fault| format!("{threat}: {fault}")));
    }
    assert_eq!(faults, Vec::<String>::new());
    assert!(threats >= 15, "{threats} threats");
    for number in 1..=10 {
        assert!(text.contains(&format!("| API{number} ")), "API{number}");
    }
}
