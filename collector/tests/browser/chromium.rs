//! A Chromium without a window, with nothing of its user's and no network but this machine's.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Root has no sandbox; nothing but our own pages is opened in it.
const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--window-size=1600,1000",
    "--remote-debugging-port=0",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
];

/// After their first one its processes end within a moment.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Chromium {
    child: Child,
    /// Where it takes commands: `ws://127.0.0.1:PORT/...`.
    pub(crate) url: String,
    /// Told once none of its processes has its error output any more.
    ended: Receiver<()>,
    // The last field: removed when nobody writes there any more.
    _profile: TempDir,
}

impl Chromium {
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let mut command = Command::new(program);
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.env("TMPDIR", profile.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let (end, ended) = channel();
        let mut chromium = Self { child, url: String::new(), ended, _profile: profile };
        let output = chromium.child.stderr.take().context("it has no error output")?;
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.split_once("DevTools listening on ")?.1.trim().to_owned()));
        std::thread::spawn(move || {
            // It must be able to write for as long as it lives.
            lines.for_each(drop);
            // Nobody may wait for it.
            let _ = end.send(());
        });
        chromium.url = url.context("Chromium ended without telling its address")?;
        Ok(chromium)
    }

    /// Of all its processes together, those that have ended and were waited for included.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        const TICKS_A_SECOND: f64 = 100.0;
        let mut processes = HashMap::new();
        for entry in std::fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_string_lossy().parse::<u32>().ok();
            // One that has ended meanwhile is none of those that are counted.
            let stat = pid.and_then(|pid| {
                Some((pid, stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
            });
            processes.extend(stat);
        }
        let is_ours = |mut pid: u32| {
            while pid != self.child.id() {
                match processes.get(&pid) {
                    Some((parent, _)) => pid = *parent,
                    None => return false,
                }
            }
            true
        };
        let ticks =
            processes.iter().filter(|(pid, _)| is_ours(**pid)).map(|(_, (_, ticks))| ticks).sum::<u64>();
        Ok(ticks as f64 / TICKS_A_SECOND)
    }
}

/// Its parent, and the ticks that it and the children that it waited for have taken.
fn stat(text: &str) -> Option<(u32, u64)> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some((fields.get(1)?.parse().ok()?, ticks))
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // One that has ended already is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        // Its other processes follow it, and write until then. Where one does not, its profile may stay.
        let _ = self.ended.recv_timeout(ENDS_WITHIN);
    }
}
