//! Time that tasks lost waiting for processors, memory, input and output: the kernel's pressure stall information.
//! Particular to Linux.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use report::Pressure;

use super::{Failure, Probe, Reading};
use crate::limits::{COUNTER_PERIOD, UNSUPPORTED_PERIOD};

const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];

const MICROSECONDS_PER_SECOND: f64 = 1_000_000.0;

/// Reads `/proc/pressure`.
#[derive(Debug)]
pub(crate) struct PressureProbe {
    folder: PathBuf,
    is_unsupported: bool,
}

impl Default for PressureProbe {
    fn default() -> Self {
        Self { folder: PathBuf::from("/proc/pressure"), is_unsupported: false }
    }
}

impl Probe for PressureProbe {
    fn name(&self) -> &'static str {
        "pressure"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let pressure = read(&self.folder);
        self.is_unsupported = matches!(&pressure, Err(failure) if failure.reason == UNSUPPORTED);
        pressure.map(Reading::Pressure)
    }

    fn pause(&self) -> Duration {
        if self.is_unsupported { UNSUPPORTED_PERIOD } else { COUNTER_PERIOD }
    }
}

const UNSUPPORTED: &str = "unsupported";

fn read(folder: &Path) -> Result<Pressure, Failure> {
    let mut stalled_seconds_total = BTreeMap::new();
    for resource in RESOURCES {
        if let Some(text) = text(&folder.join(resource))? {
            // Without the text, whose figures differ each time: the log is told of a failure when it changes.
            let seconds = stalled_seconds(&text).ok_or_else(|| {
                Failure::new("io", format!("cannot make out what /proc/pressure/{resource} says"))
            })?;
            stalled_seconds_total.insert(resource.to_owned(), seconds);
        }
    }
    if stalled_seconds_total.is_empty() {
        return Err(Failure::new(
            UNSUPPORTED,
            "this kernel does not tell pressure; boot it with psi=1 for these figures, or leave them out with \
             --no-probe pressure",
        ));
    }
    Ok(Pressure { stalled_seconds_total, age_seconds: None })
}

/// `None` where the kernel does not have the file, or has it and with `psi=0` refuses to read it.
fn text(file: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_unsupported(&error) => Ok(None),
        Err(error) => Err(Failure::new("io", format!("cannot read {}: {error}", file.display()))),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::OPNOTSUPP)
}

/// Parses lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=225173237` by kind. Before Linux 5.13
/// processors have no line `full`.
fn stalled_seconds(text: &str) -> Option<BTreeMap<String, f64>> {
    let seconds: Option<BTreeMap<String, f64>> = text.lines().map(kind_and_seconds).collect();
    seconds.filter(|seconds| !seconds.is_empty())
}

fn kind_and_seconds(line: &str) -> Option<(String, f64)> {
    let mut words = line.split_whitespace();
    let kind = words.next()?;
    let microseconds: u64 = words.find_map(|word| word.strip_prefix("total="))?.parse().ok()?;
    Some((kind.to_owned(), microseconds as f64 / MICROSECONDS_PER_SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(expected: &[(&str, f64)]) -> BTreeMap<String, f64> {
        expected.iter().map(|(kind, seconds)| ((*kind).to_owned(), *seconds)).collect()
    }

    #[test]
    fn stalls_are_read_by_kind_in_seconds() {
        let some = "some avg10=2.16 avg60=11.09 avg300=17.24 total=7277409358\n";
        let full = "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(
            stalled_seconds(&[some, full].concat()),
            Some(seconds(&[("full", 0.0), ("some", 7_277.409_358)]))
        );
        assert_eq!(stalled_seconds(some), Some(seconds(&[("some", 7_277.409_358)])));
    }

    #[test]
    fn what_is_no_pressure_is_not_taken_for_none() {
        for text in ["", "some", "some avg10=0.00", "some total=-1", "some total=x\nfull total=1"] {
            assert_eq!(stalled_seconds(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_kernel_without_pressure_is_asked_seldom_and_one_that_has_some_tells_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut probe = PressureProbe { folder: folder.path().to_owned(), is_unsupported: false };
        let failure = probe.read(Instant::now()).unwrap_err();
        assert_eq!((failure.reason, probe.pause()), ("unsupported", UNSUPPORTED_PERIOD));

        std::fs::write(folder.path().join("memory"), "some total=1500000\n").unwrap();
        let expected = [("memory".to_owned(), seconds(&[("some", 1.5)]))].into();
        let pressure = Pressure { stalled_seconds_total: expected, age_seconds: None };
        assert_eq!(probe.read(Instant::now()), Ok(Reading::Pressure(pressure)));
        assert_eq!(probe.pause(), COUNTER_PERIOD);
    }

    #[test]
    fn a_file_that_cannot_be_made_out_is_a_failure_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("io"), "none\n").unwrap();
        let failure = read(folder.path()).unwrap_err();
        assert_eq!((failure.reason, failure.message.contains("/proc/pressure/io")), ("io", true));
    }
}
