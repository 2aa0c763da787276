//! `farthing completions` and `farthing man`: what shells and `man` want to know, from the definition of the command
//! line and the table of configuration keys.

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;
use super::terminal::{Failure, print_bytes};
use crate::config::KEYS;

/// `completions SHELL`.
pub fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "farthing", &mut script);
    print_bytes(&script)
}

/// `man`.
pub fn man() -> Result<(), Failure> {
    let page =
        man_page().map_err(|error| Failure::Refused(format!("cannot make the manual page: {error}")))?;
    print_bytes(&page)
}

/// The whole manual as one page: all commands, all keys.
fn man_page() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("Farthing").date("");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;

    let mut commands = Roff::new();
    commands.control("SH", ["COMMANDS"]);
    for subcommand in command.get_subcommands().filter(|each| each.get_name() != "help") {
        describe(&mut commands, subcommand, "farthing");
    }
    commands.to_writer(&mut page)?;
    configuration().to_writer(&mut page)?;

    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [
        ("0", "Well."),
        ("1", "The check failed, or the ledger said no."),
        ("2", "Usage or configuration."),
        (
            "3",
            "The database cannot be used: another process holds the data folder, a newer schema, unreachable.",
        ),
    ] {
        rest.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// A command with its options, and the commands below it.
fn describe(page: &mut Roff, command: &Command, parent: &str) {
    let name = format!("{parent} {}", command.get_name());
    page.control("SS", [name.as_str()]);
    page.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    for argument in command.get_arguments().filter(|each| !each.is_hide_set()) {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        page.control("TP", []).text([bold(argument.to_string())]).text([roman(help)]);
    }
    for below in command.get_subcommands().filter(|each| each.get_name() != "help") {
        describe(page, below, &name);
    }
}

fn configuration() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["CONFIGURATION"]);
    section.text([roman(
        "A flag beats the environment, the environment beats the file, and the file beats the default. \
         A file is read only if --config or FARTHING_CONFIG names it. Relative paths start at the working folder.",
    )]);
    for key in KEYS {
        let short = key.short_variable.map(|short| format!("{short} or ")).unwrap_or_default();
        section.control("TP", []).text([bold(format!("[{}] {}", key.section, key.name))]);
        section.text([roman(format!(
            "{} Variable: {short}{}. Default: {}. Allowed: {}.",
            key.doc,
            key.variable(),
            key.default.trim_matches(['(', ')']),
            key.allowed,
        ))]);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_manual_names_every_command_and_every_key() {
        let page = String::from_utf8(man_page().unwrap()).unwrap();
        for command in [
            "serve",
            "admin create",
            "admin list",
            "verify",
            "backup",
            "restore",
            "bench",
            "config check",
            "config show",
            "completions",
            "man",
        ] {
            assert!(page.contains(&format!(".SS \"farthing {command}\"")), "no {command} in\n{page}");
        }
        for key in KEYS {
            assert!(page.contains(&key.variable()), "no {}", key.variable());
        }
    }
}
