//! Reads what `strace -f -y -xx` wrote down.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// What the traced server did to its files and its clients, in order.
#[derive(Debug, Clone)]
pub enum Event {
    /// Bytes given to the kernel; counted from the moment the call began.
    Write { file: String, offset: usize, bytes: Vec<u8> },
    /// A file cut or stretched to this length.
    Truncate { file: String, length: usize },
    /// A sync began: it covers what was written before.
    Syncing(String),
    /// That sync succeeded.
    Synced(String),
    /// A file was removed.
    Removed(String),
    /// A client began to be told that this payment succeeded.
    Ack(String),
}

/// Reads a trace, keeping what concerns files of this folder and answers to clients.
pub fn read_trace(log: &Path, data: &Path) -> Vec<Event> {
    let mut reader = Reader { prefix: format!("{}/", data.to_str().unwrap()), ..Reader::default() };
    for line in BufReader::new(File::open(log).unwrap()).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        reader.line(&line);
    }
    reader.events
}

#[derive(Default)]
struct Reader {
    prefix: String,
    /// What a thread began and has not finished, as far as its end matters.
    unfinished: HashMap<String, (String, String)>,
    /// Where the next plain write of an open file goes.
    positions: HashMap<String, usize>,
    events: Vec<Event>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { return };
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((call, file)) = self.unfinished.remove(thread) else { return };
            let result = result_of(resumed);
            self.ended(&call, &file, result);
            return;
        }
        let Some((call, arguments)) = rest.split_once('(') else { return };
        let file = self.file_of(arguments);
        self.began(call, arguments, file.as_deref());
        if rest.ends_with("<unfinished ...>") {
            self.unfinished.insert(thread.to_owned(), (call.to_owned(), file.unwrap_or_default()));
        } else {
            self.ended(call, &file.unwrap_or_default(), result_of(rest));
        }
    }

    fn began(&mut self, call: &str, arguments: &str, file: Option<&str>) {
        let Some(file) = file else {
            if matches!(call, "write" | "writev" | "sendto" | "sendmsg") {
                self.answer(arguments);
            }
            return;
        };
        let file = file.to_owned();
        match call {
            "pwrite64" => {
                let offset =
                    arguments.split(')').next().unwrap_or_default().rsplit(", ").next().unwrap_or_default();
                let offset = offset.trim_end_matches(" <unfinished ...>").parse().unwrap();
                self.events.push(Event::Write { file, offset, bytes: text_of(arguments).concat() });
            }
            "write" => {
                let offset = *self
                    .positions
                    .get(&file)
                    .unwrap_or_else(|| panic!("a write to {file} at no known place"));
                let bytes = text_of(arguments).concat();
                self.positions.insert(file.clone(), offset + bytes.len());
                self.events.push(Event::Write { file, offset, bytes });
            }
            "pwritev" | "writev" | "rename" => panic!("a call that this reader does not know: {call}"),
            "fsync" | "fdatasync" => self.events.push(Event::Syncing(file)),
            "lseek" => {
                let offset = arguments.split(", ").nth(1).and_then(|offset| offset.parse().ok());
                assert!(arguments.contains("SEEK_SET"), "a seek that this reader does not know: {arguments}");
                self.positions.insert(file, offset.unwrap());
            }
            "ftruncate" => {
                let length: String = arguments
                    .split(", ")
                    .nth(1)
                    .unwrap_or_default()
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                self.events.push(Event::Truncate { file, length: length.parse().unwrap() });
            }
            "unlink" => self.events.push(Event::Removed(file)),
            _ => {}
        }
    }

    fn ended(&mut self, call: &str, file: &str, result: Option<i64>) {
        if matches!(call, "fsync" | "fdatasync") && !file.is_empty() && result == Some(0) {
            self.events.push(Event::Synced(file.to_owned()));
        }
    }

    /// Finds acknowledgements in what is sent to a client.
    fn answer(&mut self, arguments: &str) {
        let bytes = text_of(arguments).concat();
        let text = String::from_utf8_lossy(&bytes);
        for answer in text.split("HTTP/1.1 ").skip(1).filter(|answer| answer.starts_with("201")) {
            let replayed = answer.to_ascii_lowercase().contains("idempotent-replayed");
            if let Some(at) = answer.find("\"pay_").filter(|_| !replayed) {
                self.events.push(Event::Ack(answer[at + 1..].split('"').next().unwrap().to_owned()));
            }
        }
    }

    /// The name of the file of the data folder that the first argument is about.
    fn file_of(&self, arguments: &str) -> Option<String> {
        let path = match arguments.split_once('<') {
            Some((number, rest)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                rest.split('>').next()?.to_owned()
            }
            _ => String::from_utf8(text_of(arguments).first()?.clone()).ok()?,
        };
        // `-xx` spells out paths as well.
        let path = if path.contains("\\x") { String::from_utf8(unescape(&path)).ok()? } else { path };
        path.strip_prefix(&self.prefix).filter(|file| !file.ends_with("-shm")).map(str::to_owned)
    }
}

/// Each quoted text of a call's arguments.
fn text_of(arguments: &str) -> Vec<Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(unescape).collect()
}

fn unescape(hex: &str) -> Vec<u8> {
    hex.split("\\x").skip(1).map(|pair| u8::from_str_radix(&pair[..2], 16).unwrap()).collect()
}

fn result_of(line: &str) -> Option<i64> {
    line.rsplit_once(" = ")?.1.split(' ').next()?.parse().ok()
}
