//! The process that a PID file names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::clock::unix_seconds;
use crate::limits::PID_FILE_SLACK_SECONDS;
use crate::probe::Failure;
use crate::probe::procfs::processes::{Process, Processes};

/// A PID file is not longer than this.
const LENGTH: u64 = 64;

/// The process, if it lives; `None` also without the file, which a service takes away when it stops.
///
/// # Errors
/// The file cannot be read or names no process, or whether the process is ComfyUI cannot be told.
pub(super) fn process(file: &Path, processes: &Processes) -> Result<Option<Process>, Failure> {
    let Some((pid, written)) = read(file)? else { return Ok(None) };
    let Some(process) = processes.get(pid) else {
        return if processes.are_hidden() { Err(hidden()) } else { Ok(None) };
    };
    let started = processes.start_unix_seconds(&process);
    let is_younger = matches!((started, written), (Some(started), Some(written)) if started > written + PID_FILE_SLACK_SECONDS);
    if is_younger { Err(stale(file, pid)) } else { Ok(Some(process)) }
}

/// The number, and when it was written, in seconds since the Unix epoch.
fn read(file: &Path) -> Result<Option<(u32, Option<f64>)>, Failure> {
    let (text, written) = match contents(file) {
        Ok(contents) => contents,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(file, &error.to_string())),
    };
    let pid = text.trim().parse().map_err(|_| unreadable(file, "it holds no number of a process"))?;
    Ok(Some((pid, written)))
}

fn contents(file: &Path) -> io::Result<(String, Option<f64>)> {
    let file = File::open(file)?;
    let written = file.metadata()?.modified().ok().and_then(unix_seconds);
    let mut text = String::new();
    file.take(LENGTH).read_to_string(&mut text)?;
    Ok((text, written))
}

fn unreadable(file: &Path, why: &str) -> Failure {
    Failure::new("pid_file", format!("cannot read ComfyUI's PID file {}: {why}", file.display()))
}

fn stale(file: &Path, pid: u32) -> Failure {
    Failure::new(
        "stale_pid_file",
        format!(
            "process {pid} started after {} was written, so it is likely another program that was given ComfyUI's \
             number; remove the file, or start ComfyUI again",
            file.display()
        ),
    )
}

fn hidden() -> Failure {
    Failure::new(
        "hidden",
        "others' processes are hidden from the agent; give its unit ProtectProc=default, or name ComfyUI with \
         --comfyui or --comfyui-unit",
    )
}
