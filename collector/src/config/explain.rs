//! Which values are in force, and where each is from: flag, variable, file or default, in the order in which they win. It
//! works by the flags' own description, so that a key which is added there is told here.

use clap::{Arg, ArgAction, CommandFactory};
use toml::{Table, Value};

use super::{CheckFlags, Config, ConfigError, Flags, file};
use crate::address::without_password;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// As it is called in the file.
    pub key: String,
    /// What is in force; `None` where nothing is.
    pub value: Option<String>,
    /// `--flag`, `$VARIABLE`, the file, or `default`.
    pub from: String,
}

/// All values that serving takes, in the order of its flags.
///
/// # Errors
/// The file cannot be read.
pub fn explain(flags: &CheckFlags, config: &Config) -> Result<Vec<Row>, ConfigError> {
    let path = flags.serve.config.as_deref();
    let table = path.map(file::table).transpose()?.unwrap_or_default();
    let path = path.map(|path| path.display().to_string()).unwrap_or_default();
    let command = Flags::command();
    let keys = command.get_arguments().filter(|argument| argument.get_id() != "help");
    let rows = keys.flat_map(|argument| {
        let (value, from) = origin(argument, flags, &table, &path);
        rows(argument.get_id().as_str(), value, from, config)
    });
    Ok(rows.collect())
}

fn origin(argument: &Arg, flags: &CheckFlags, table: &Table, path: &str) -> (Option<String>, String) {
    let key = argument.get_id().as_str();
    match (flags.given.get(key), table.get(key)) {
        (Some(given), _) => (Some(given.value.clone()), given.by.clone()),
        (None, Some(value)) => (Some(text(value)), path.to_owned()),
        (None, None) => (default_of(argument), "default".to_owned()),
    }
}

/// Each backend has a row of its own, with what was made of its address; what may hold a password is shown from there.
fn rows(key: &str, value: Option<String>, from: String, config: &Config) -> Vec<Row> {
    let row = |key: String, value| Row { key, value, from: from.clone() };
    match key {
        "backend" => {
            let backends = config.backends.iter().map(|backend| {
                let (url, agent) = (without_password(&backend.url), without_password(&backend.agent));
                row(format!("backend {}", backend.id), Some(format!("{url}, agent {agent}")))
            });
            backends.collect()
        }
        "state_directory" => {
            vec![row(key.to_owned(), Some(config.state_directory.display().to_string()))]
        }
        _ => vec![row(key.to_owned(), value)],
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}

/// What the help of a flag names as its default.
pub fn default_of(argument: &Arg) -> Option<String> {
    if matches!(argument.get_action(), ArgAction::SetTrue) {
        return Some("false".to_owned());
    }
    let help = argument.get_help()?.to_string();
    let (_, default) = help.rsplit_once("[default: ")?;
    Some(default.strip_suffix(']')?.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::Command;

    fn rows_of(arguments: &[&str]) -> Vec<(String, Option<String>, String)> {
        let arguments = [&["orchestrator-collector", "check-config"], arguments].concat();
        let matches = Flags::command().get_matches_from(&arguments);
        let given = super::super::flags::Given::of(matches.subcommand().unwrap().1);
        let Some(Command::CheckConfig(flags)) = Flags::parse_from(&arguments).command else { panic!() };
        let flags = CheckFlags { given, ..*flags };
        let config = Config::load(flags.serve.clone()).unwrap();
        let rows = explain(&flags, &config).unwrap();
        rows.into_iter().map(|row| (row.key, row.value, row.from)).collect()
    }

    #[test]
    fn each_value_is_told_with_where_it_is_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(
            &path,
            "listen = '127.0.0.1:1'\nallowed_hosts = ['a', 'b']\n[[backend]]\nurl = 'http://u:hunter2@h:1'\n",
        )
        .unwrap();
        let path = path.to_str().unwrap();
        let rows = rows_of(&["--config", path, "--state-directory", "/s", "--listen", "127.0.0.1:2"]);
        for (key, value, from) in [
            ("config", Some(path), "--config"),
            ("listen", Some("127.0.0.1:2"), "--listen"),
            ("backend h-1", Some("http://h:1/, agent http://h:1001/"), path),
            ("state_directory", Some("/s"), "--state-directory"),
            ("allowed_hosts", Some("a, b"), path),
            ("free_after_idle", Some("10m"), "default"),
            ("insecure", Some("false"), "default"),
            ("tls_key", None, "default"),
        ] {
            let row = (key.to_owned(), value.map(str::to_owned), from.to_owned());
            assert!(rows.contains(&row), "{row:?} is not in {rows:#?}");
        }
        assert!(!format!("{rows:?}").contains("hunter2"));
    }

    #[test]
    fn every_key_of_the_file_is_a_flag_of_the_same_name() {
        let command = Flags::command();
        let flags: Vec<&str> = command.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        for key in file::keys() {
            assert!(flags.contains(&key.as_str()), "{key} is none of {flags:?}");
        }
    }
}
