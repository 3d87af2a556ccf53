//! One child process. Owns its life: whoever drops it has killed it and waited for it.
//!
//! Children stay in the process group of the test, so that what ends the test by a signal to its group (Ctrl-C,
//! `timeout`) ends them too.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait::until;

/// How much of a log is shown when a scenario fails.
const LOG_LINES: usize = 40;

pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    /// Where in the log this run begins.
    log_start: usize,
}

impl Program {
    /// Starts it with both outputs appended to the file `log`, and nothing to read.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let output = append(log)?;
        let log_start = usize::try_from(output.metadata()?.len())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), log_start })
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("kill {}", self.name))?;
        self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        Ok(())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What this run has written so far.
    pub(crate) fn output(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    /// The URL in its line `listening on http://...`, once it has written that.
    pub(crate) async fn address(&mut self) -> Result<String> {
        let what = format!("the line of {} that says where it listens", self.name);
        until(&what, Duration::from_secs(30), async || {
            let output = self.output();
            let address = output.lines().find_map(listening_address);
            match address {
                None if !self.is_running() => bail!("{} ended: {output}", self.name),
                address => Ok(address),
            }
        })
        .await
    }

    /// The end of its log, for a person to read.
    pub(crate) fn last_words(&self) -> String {
        let output = self.output();
        let lines: Vec<_> = output.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
        format!("--- the end of what {} wrote\n{}", self.name, shown.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

fn append(log: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(log).with_context(|| format!("open {}", log.display()))
}

fn listening_address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:-[]".contains(c))).unwrap_or(rest.len());
    rest.get(..end).map(|authority| format!("http://{authority}"))
}
