//! Texts of users, made safe for each format that they go into. They hold no control characters: the door refuses those.

use std::fmt::Write as _;

/// Begins of a field that a spreadsheet takes for a formula, with their full-width twins.
const FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];

/// A text as a CSV field (RFC 4180) that no spreadsheet takes for a formula: such a text gets an apostrophe in front.
pub(super) fn csv(out: &mut String, text: &str) {
    let is_formula = text.starts_with(FORMULA);
    let is_plain = !text.contains([',', '"', '\r', '\n']);
    if is_plain {
        out.push_str(if is_formula { "'" } else { "" });
        out.push_str(text);
        return;
    }
    out.push('"');
    out.push_str(if is_formula { "'" } else { "" });
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// A text inside an XML element or attribute; characters that XML 1.0 cannot hold become U+FFFD.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            plain => out.push(plain),
        }
    }
    out
}

/// A text in a line of hledger and Ledger: nothing in it begins a comment, a tag, a date or a payee's note.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|character| match character {
            ';' | '|' | ',' => '/',
            ':' => '.',
            '[' | '{' => '(',
            ']' | '}' => ')',
            control if control.is_control() => ' ',
            other => other,
        }));
    }
    // At the beginning these would be a state or a code.
    let state = |c: char| c.is_whitespace() || matches!(c, '*' | '!' | '(' | '=' | '~');
    out.trim_start_matches(state).trim_end().to_owned()
}

/// A text as a string of beancount.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// The first so many characters.
pub(super) fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).map_or(text, |(at, _)| text.get(..at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("Lunch", "Lunch")]
    #[case("Lunch, and \"more\"", "\"Lunch, and \"\"more\"\"\"")]
    #[case("=1+1", "'=1+1")]
    #[case("-1+cmd|' /C calc'!A0", "'-1+cmd|' /C calc'!A0")]
    #[case("@SUM(1,2)", "\"'@SUM(1,2)\"")]
    #[case("＝1", "'＝1")]
    #[case("a=1", "a=1")]
    fn a_field_is_quoted_and_no_formula(#[case] text: &str, #[case] expected: &str) {
        let mut out = String::new();
        csv(&mut out, text);
        assert_eq!(out, expected);
    }

    #[test]
    fn markup_stays_text() {
        assert_eq!(xml("<a b=\"&\">\u{1}\u{ffff}é"), "&lt;a b=&quot;&amp;&quot;&gt;\u{fffd}\u{fffd}é");
    }

    #[rstest]
    #[case("Lunch; then  more", "Lunch/ then more")]
    #[case("* (code) x", "code) x")]
    #[case("see [2026-13-99]", "see (2026-13-99)")]
    #[case("a:b, tag:c", "a.b/ tag.c")]
    #[case(";;", "//")]
    fn nothing_in_a_line_is_more_than_text(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(plain(text), expected);
    }

    #[test]
    fn a_string_ends_where_it_should() {
        assert_eq!(quoted("a \"b\" \\"), "\"a \\\"b\\\" \\\\\"");
        assert_eq!(cut("äöü", 2), "äö");
    }
}
