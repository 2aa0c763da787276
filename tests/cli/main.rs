//! The command line from outside: exit codes, messages, and a server that starts, is commanded and stops.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test code")]

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod backup;
mod bench;
mod key_file;
mod listen;
mod memory;
mod migrate;
mod pepper;
mod proofs;
mod risk;
mod serve;
mod tls;
mod traces;
mod usage;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::server::FARTHING;

/// Runs the program in a folder, with no environment but these variables.
fn farthing(folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Output {
    command(folder, variables, args).stdin(Stdio::null()).output().unwrap()
}

fn command(folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Command {
    let mut command = Command::new(FARTHING);
    command.args(args).current_dir(folder).env_clear().envs(variables.iter().copied());
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The command ended with this code, and its standard error says this.
#[track_caller]
fn ended(output: &Output, code: i32, says: &str) {
    let text = format!("stdout:\n{}\nstderr:\n{}", stdout(output), stderr(output));
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(stderr(output).contains(says), "no {says:?} in {text}");
}

/// The value behind a label in what `admin create` prints.
fn field(output: &Output, label: &str) -> String {
    let text = stdout(output);
    let value = text.lines().find_map(|line| line.strip_prefix(label)).map(|rest| rest.trim().to_owned());
    value.unwrap_or_else(|| panic!("no {label} in {text}"))
}
