//! What both programs are told: their flags, the variables behind them, and the keys of the collector's file.

use anyhow::Result;
use clap::{Arg, ArgAction, Command, CommandFactory};
use collector::config::{default_of, file_keys};

use super::{code, markdown};

pub(super) fn table(name: &str) -> Result<Option<String>> {
    Ok(match name {
        "collector" => Some(of_collector()),
        "agent" => Some(of_agent()),
        _ => None,
    })
}

fn of_collector() -> String {
    let (command, keys) = (collector::config::Flags::command(), file_keys());
    let cells = |argument: &Arg| {
        let id = argument.get_id().as_str();
        let key = match id {
            "backend" => "[[backend]]",
            key if keys.iter().any(|known| known == key) => key,
            _ => "",
        };
        vec![code(key), flag(argument), variable(argument), default(argument), meaning(argument)]
    };
    markdown(&["file", "flag", "environment", "default", "meaning"], settings(&command).map(cells))
}

fn of_agent() -> String {
    let command = agent::config::Config::command();
    let cells =
        |argument: &Arg| vec![flag(argument), variable(argument), default(argument), meaning(argument)];
    markdown(&["flag", "environment", "default", "meaning"], settings(&command).map(cells))
}

/// What a program can be told; not what it does instead of serving.
fn settings(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| argument.get_env().is_some())
}

fn flag(argument: &Arg) -> String {
    let long = argument.get_long().unwrap_or_default();
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    let names = argument.get_value_names().unwrap_or_default().iter().filter(|_| !is_switch);
    let repeat = if matches!(argument.get_action(), ArgAction::Append) { " (repeat)" } else { "" };
    let words: Vec<String> =
        [format!("--{long}")].into_iter().chain(names.map(ToString::to_string)).collect();
    format!("{}{repeat}", code(&words.join(" ")))
}

/// With what parts a list there.
fn variable(argument: &Arg) -> String {
    let name = argument.get_env().and_then(|name| name.to_str()).unwrap_or_default();
    let parted = match argument.get_value_delimiter() {
        Some(',') => " (commas)",
        Some(':') => " (colons)",
        _ => "",
    };
    format!("{}{parted}", code(name))
}

/// A value as it is written; words where it is worked out.
fn default(argument: &Arg) -> String {
    let given = argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    match given.or_else(|| default_of(argument)) {
        Some(words) if words.contains(' ') => words,
        value => code(&value.unwrap_or_default()),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.rsplit_once("[default: ").map_or(help.as_str(), |(help, _)| help).trim();
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    let values = argument.get_possible_values();
    let values: Vec<String> =
        values.iter().filter(|_| !is_switch).map(|value| code(value.get_name())).collect();
    if values.is_empty() { help.to_owned() } else { format!("{help}: {}", values.join(", ")) }
}
