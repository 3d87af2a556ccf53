//! Who submits: three tenants with tokens that the collector's own command makes.

use std::fs::write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::binary;

const NAMES: [&str; 3] = ["anna", "bob", "carla"];

pub(super) struct Tenants {
    pub(super) file: PathBuf,
    pub(super) tokens: Vec<String>,
}

impl Tenants {
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let (mut entries, mut tokens) = (String::new(), Vec::new());
        for name in NAMES {
            let (entry, token) = make(name)?;
            entries += &entry;
            tokens.push(token);
        }
        let file = folder.join("tokens.toml");
        write(&file, entries).with_context(|| format!("write {}", file.display()))?;
        Ok(Self { file, tokens })
    }

    /// Of whom this client is one.
    pub(super) fn token_of(&self, client: usize) -> Option<&str> {
        self.tokens.get(client.checked_rem(self.tokens.len())?).map(String::as_str)
    }
}

/// The entry for the file is on standard output, the token on standard error.
fn make(name: &str) -> Result<(String, String)> {
    let mut command = Command::new(binary("orchestrator-collector")?);
    let made =
        command.args(["token", "--name", name, "--role", "submit"]).output().context("make a token")?;
    let said = String::from_utf8(made.stderr).context("read a token")?;
    ensure!(made.status.success(), "no token was made: {said}");
    let token = said.split_whitespace().max_by_key(|word| word.len()).context("no token was told")?;
    Ok((String::from_utf8(made.stdout).context("read a token's entry")?, token.to_owned()))
}
