//! Log lines: JSON for machines, text for a terminal, and one JSON line for each security event.
//!
//! Every line passes through [`write_line`], the last thing before standard error: whatever a client managed to get into
//! a field, it can neither begin a second line nor send the terminal a control sequence (OWASP Logging Cheat Sheet,
//! CWE-117). The filter of the other lines does not reach security events.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::ledger::SecurityEvent;

/// The target of security events.
const SECURITY: &str = "security";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text where standard error is a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// One line of text, for people.
    Text,
}

impl LogFormat {
    /// The format's name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl FromStr for LogFormat {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "auto" => Ok(Self::Auto),
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(LogError::Format(other.to_owned())),
        }
    }
}

/// What to log, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// How the lines look.
    pub format: LogFormat,
    /// The least level that is logged, or a comma-separated list of levels and `target=level` pairs:
    /// `info,farthing::http=debug`. Levels: `off`, `error`, `warn`, `info`, `debug`, `trace`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info".to_owned() }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not one of the formats.
    #[error("the log format '{0}' is not one of auto, json, text")]
    Format(String),
    /// The filter does not read as levels and targets.
    #[error("the log filter has '{0}' where a level or target=level is expected")]
    Filter(String),
    /// Logging is set up once per process.
    #[error("logging is already set up")]
    AlreadyInstalled,
}

/// One security event as it is logged: the fields of the contract, under the names of the OWASP Logging Vocabulary.
#[derive(Debug, Serialize)]
struct SecurityRecord<'a> {
    /// The event's id (`sec_…`).
    id: &'a str,
    /// When it happened, RFC 3339 UTC with milliseconds.
    at: &'a str,
    /// Its name in the vocabulary, such as `authn_login_fail`.
    event: &'static str,
    /// How grave it is.
    severity: &'static str,
    /// Whom it concerns, where that is known.
    user: Option<&'a str>,
    /// The address it came from.
    ip: Option<&'a str>,
    /// What the client calls itself.
    user_agent: Option<&'a str>,
    /// The request that caused it (`req_…`).
    request_id: Option<&'a str>,
    /// What is particular to this event; never a secret.
    detail: &'a RawValue,
}

impl SecurityRecord<'_> {
    /// Adds the event as one JSON line.
    fn add_to(&self, lines: &mut String) {
        // Serialising strings and what is JSON already cannot fail; were it to, the event is still named.
        let record =
            serde_json::to_string(self).unwrap_or_else(|_| format!("{{\"event\":\"{}\"}}", self.event));
        let fields = record.strip_prefix('{').unwrap_or(&record);
        lines.extend(["{\"target\":\"", SECURITY, "\",", fields, "\n"]);
    }
}

/// Writes the lines of security events, once they are durable: all in one piece, since each piece is a call of the system.
pub fn log_security(events: &[SecurityEvent]) {
    let mut lines = String::new();
    for event in events {
        SecurityRecord {
            id: &event.id.to_string(),
            at: &event.at.to_string(),
            event: event.kind.name(),
            severity: event.severity.name(),
            user: event.user.map(|user| user.to_string()).as_deref(),
            ip: event.ip.map(|ip| ip.to_string()).as_deref(),
            user_agent: event.user_agent.as_deref(),
            request_id: Some(&event.request.to_string()),
            detail: serde_json::from_str(&event.detail).unwrap_or(RawValue::NULL),
        }
        .add_to(&mut lines);
    }
    if !lines.is_empty() {
        tracing::info!(target: SECURITY, lines);
    }
}

/// Sends log lines to standard error, for the whole process.
///
/// # Errors
/// If the filter cannot be read, or logging was set up before.
pub fn install_logs(settings: &LogSettings) -> Result<(), LogError> {
    let subscriber = subscriber(settings, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::AlreadyInstalled)
}

/// The subscriber that [`install_logs`] installs, with its lines sent to `writer`.
///
/// # Errors
/// If the filter cannot be read.
pub fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let as_json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(Lines {
            as_json,
            json: Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false),
            text: Format::default().with_ansi(false),
        })
        .with_writer(writer);
    Ok(tracing_subscriber::registry().with(parse_filter(&settings.filter)?).with(lines))
}

fn parse_filter(text: &str) -> Result<Targets, LogError> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let refused = || LogError::Filter(part.to_owned());
        targets = match part.split_once('=') {
            Some((target, level)) => {
                targets.with_target(target, level.parse::<LevelFilter>().map_err(|_| refused())?)
            }
            None => targets.with_default(part.parse::<LevelFilter>().map_err(|_| refused())?),
        };
    }
    Ok(targets.with_target(SECURITY, LevelFilter::TRACE))
}

/// Formats an event by its target: security events as the lines that it carries, all others as set.
struct Lines {
    as_json: bool,
    json: Format<Json>,
    text: Format<Full>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let is_security = event.metadata().target() == SECURITY;
        if is_security {
            let mut found = LinesField { writer: writer.by_ref(), written: None };
            event.record(&mut found);
            if let Some(written) = found.written {
                return written;
            }
        }
        let mut line = String::new();
        if self.as_json || is_security {
            self.json.format_event(ctx, Writer::new(&mut line), event)?;
        } else {
            self.text.format_event(ctx, Writer::new(&mut line), event)?;
        }
        write_line(&mut writer, line.strip_suffix('\n').unwrap_or(&line))
    }
}

/// Writes the field `lines` of security events, if there is one: each line for itself.
struct LinesField<'w> {
    writer: Writer<'w>,
    written: Option<fmt::Result>,
}

impl Visit for LinesField<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "lines" {
            self.written = Some(value.lines().try_for_each(|line| write_line(&mut self.writer, line)));
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn fmt::Debug) {}
}

/// Writes a line, and escapes every control character in it: the newline at its end is its own, every other was put there
/// by what the line quotes.
fn write_line(writer: &mut Writer<'_>, line: &str) -> fmt::Result {
    writer.write_str(&one_line(line))?;
    writer.write_char('\n')
}

/// The escape is that of JSON strings (RFC 8259 §7), so that a JSON line stays JSON and says the same.
fn one_line(line: &str) -> Cow<'_, str> {
    let is_printable_ascii = line.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if is_printable_ascii || !line.contains(is_unsafe) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        if is_unsafe(character) {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Characters that end a line, steer a terminal or turn the direction of text.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use serde_json::value::to_raw_value;

    use super::*;

    /// Collects what is logged while `act` runs.
    fn logged(format: LogFormat, filter: &str, act: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl Write for Sink {
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(buffer)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let sink = Sink::default();
        let writer = sink.clone();
        let settings = LogSettings { format, filter: filter.to_owned() };
        let subscriber = subscriber(&settings, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn log(records: &[SecurityRecord<'_>]) {
        let mut lines = String::new();
        for record in records {
            record.add_to(&mut lines);
        }
        tracing::info!(target: SECURITY, lines);
    }

    fn record<'a>(user_agent: &'a str, detail: &'a RawValue) -> SecurityRecord<'a> {
        SecurityRecord {
            id: "sec_01",
            at: "2026-01-02T03:04:05.678Z",
            event: "authn_login_fail",
            severity: "warning",
            user: None,
            ip: Some("192.0.2.7"),
            user_agent: Some(user_agent),
            request_id: Some("req_01"),
            detail,
        }
    }

    #[test]
    fn a_security_event_is_one_json_line_in_every_format_and_under_every_filter() {
        let detail = to_raw_value(&serde_json::json!({"failures": 3})).unwrap();
        for (format, filter) in
            [(LogFormat::Json, "info"), (LogFormat::Text, "info"), (LogFormat::Text, "off")]
        {
            let lines =
                logged(format, filter, || log(&[record("curl/8", &detail), record("curl/8", &detail)]));
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert_eq!(lines[0], lines[1]);
            let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
            let expected = serde_json::json!({
                "target": "security", "id": "sec_01", "at": "2026-01-02T03:04:05.678Z", "event": "authn_login_fail",
                "severity": "warning", "user": null, "ip": "192.0.2.7", "user_agent": "curl/8",
                "request_id": "req_01", "detail": {"failures": 3},
            });
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn nothing_that_a_client_sends_can_begin_a_line_or_steer_a_terminal() {
        let evil = "a\r\nb\u{1b}[2Jc\u{9b}31md\u{7f}e\u{2028}f\u{202e}g\0h\"}\n{\"event\":\"forged\"}";
        let detail = to_raw_value(&serde_json::json!({"quoted": evil})).unwrap();
        for format in [LogFormat::Json, LogFormat::Text] {
            let lines = logged(format, "info", || {
                log(&[record(evil, &detail), record("curl/8", &detail)]);
                tracing::info!(who = evil, "said {evil}");
                tracing::info!(target: "security", who = %evil, "not through a record");
            });
            assert_eq!(lines.len(), 4, "{lines:?}");
            for line in &lines {
                assert!(!line.contains(is_unsafe), "{line:?}");
            }
            let security: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
            assert_eq!(security["user_agent"], evil, "escaped, yet not altered");
            assert_eq!(security["detail"]["quoted"], evil);
            serde_json::from_str::<serde_json::Value>(&lines[3]).unwrap();
        }
    }

    #[test]
    fn the_filter_chooses_levels_by_target() {
        let act = || {
            tracing::info!(target: "farthing::http", "info of http");
            tracing::debug!(target: "farthing::http", "debug of http");
            tracing::debug!(target: "farthing::store", "debug of store");
        };
        assert_eq!(logged(LogFormat::Text, "info", act).len(), 1);
        assert_eq!(logged(LogFormat::Text, "info,farthing::http=debug", act).len(), 2);
        assert_eq!(logged(LogFormat::Json, "warn", act).len(), 0);
        for filter in ["loud", "farthing=loud", "info,,verbose"] {
            let settings = LogSettings { format: LogFormat::Json, filter: filter.to_owned() };
            assert!(matches!(subscriber(&settings, io::sink), Err(LogError::Filter(_))), "{filter}");
        }
    }

    #[test]
    fn json_lines_are_flat_objects() {
        let lines = logged(LogFormat::Json, "info", || tracing::warn!(attempt = 2, "retrying"));
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "retrying");
        assert_eq!(line["attempt"], 2);
    }
}
