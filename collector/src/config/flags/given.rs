//! What was given, and how: by which flag, or by which variable of the environment.

use std::collections::HashMap;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory};

use super::Flags;

/// By the names that the keys have in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given(HashMap<String, One>);

#[derive(Clone, Debug)]
pub(crate) struct One {
    /// The flag or the variable.
    pub by: String,
    /// As it was written.
    pub value: String,
}

impl Given {
    pub(crate) fn of(matches: &ArgMatches) -> Self {
        let command = Flags::command();
        let given = command.get_arguments().filter_map(|argument| {
            let id = argument.get_id().as_str();
            let by = match matches.value_source(id)? {
                ValueSource::CommandLine => format!("--{}", argument.get_long()?),
                ValueSource::EnvVariable => format!("${}", argument.get_env()?.to_str()?),
                _ => return None,
            };
            let values = matches.get_raw(id)?.map(|value| value.to_string_lossy());
            Some((id.to_owned(), One { by, value: values.collect::<Vec<_>>().join(", ") }))
        });
        Self(given.collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&One> {
        self.0.get(key)
    }
}
