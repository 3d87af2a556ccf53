//! `--check`: which values are in force, and where each is from.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, CommandFactory};

use super::Config;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    flag: String,
    value: String,
    from: String,
}

/// A line for each flag, aligned.
pub fn explain(matches: &ArgMatches) -> String {
    let command = Config::command();
    let flags =
        command.get_arguments().filter(|argument| !["help", "version", "check"].contains(&id(argument)));
    let rows: Vec<Row> = flags.filter_map(|argument| row(argument, matches)).collect();
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (flag, value) = (width(|row| &row.flag), width(|row| &row.value));
    rows.iter().fold(String::new(), |mut text, row| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{:flag$}  {:value$}  {}", row.flag, row.value, row.from);
        text
    })
}

fn id(argument: &Arg) -> &str {
    argument.get_id().as_str()
}

fn row(argument: &Arg, matches: &ArgMatches) -> Option<Row> {
    let flag = format!("--{}", argument.get_long()?);
    let given = || {
        let values = matches.get_raw(id(argument))?.map(|value| value.to_string_lossy());
        Some(values.collect::<Vec<_>>().join(", "))
    };
    let (value, from) = match matches.value_source(id(argument)) {
        Some(ValueSource::CommandLine) => (given(), flag.clone()),
        Some(ValueSource::EnvVariable) => (given(), format!("${}", argument.get_env()?.to_str()?)),
        _ => (given().or_else(|| described_default(argument)), "default".to_owned()),
    };
    Some(Row { flag, value: value.unwrap_or_else(|| "-".to_owned()), from })
}

/// What the help says of a flag whose default is worked out.
fn described_default(argument: &Arg) -> Option<String> {
    let help = argument.get_help()?.to_string();
    let (_, default) = help.rsplit_once("[default: ")?;
    Some(default.strip_suffix(']')?.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_told_with_where_it_is_from() {
        let matches =
            Config::command().get_matches_from(["orchestrator-agent", "--gpu", "1", "--folder", "/a:/b"]);
        let text = explain(&matches);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        let lines: Vec<String> = text.lines().map(words).collect();
        for line in [
            "--listen 127.0.0.1:9188 default",
            "--gpu 1 --gpu",
            "--folder /a, /b --folder",
            "--comfyui the agent's own port less 1000 default",
            "--token-file - default",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} is not in\n{text}");
        }
    }
}
