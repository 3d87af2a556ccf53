//! What several probes read of Linux' `/proc`: processor time and sizes here, mounts and processes in files of their own.
//! Particular to Linux. The parsers are pure.

pub(super) mod mounts;
pub(super) mod processes;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

/// Unit of `/proc/stat`. The kernel's interface to user space fixes `USER_HZ` at 100 on every architecture that
/// NVIDIA drives (x86-64, arm64, ppc64le), whatever the kernel's own timer does.
pub(super) const TICKS_PER_SECOND: f64 = 100.0;

/// The columns of `/proc/stat` by proc(5). `guest` and `guest_nice` follow; they are counted in `user` and `nice`
/// already.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Processor time since boot by mode, summed over all processors.
///
/// # Errors
/// The file cannot be read, or its first line is not that of all processors.
pub(super) fn read_cpu_seconds() -> io::Result<BTreeMap<String, f64>> {
    let mut line = String::new();
    BufReader::with_capacity(1024, File::open("/proc/stat")?).read_line(&mut line)?;
    cpu_seconds(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line of all processors"))
}

/// Parses the line `cpu  1 2 3 ...`.
fn cpu_seconds(line: &str) -> Option<BTreeMap<String, f64>> {
    let mut words = line.split_whitespace();
    words.next().filter(|word| *word == "cpu")?;
    let ticks = words.map_while(|word| word.parse::<u64>().ok());
    let seconds: BTreeMap<_, _> = MODES
        .iter()
        .zip(ticks)
        .map(|(mode, ticks)| ((*mode).to_owned(), ticks as f64 / TICKS_PER_SECOND))
        .collect();
    // Kernels before 2.6.11 have no `steal`; with fewer than four columns there is no `idle` to compare with.
    (seconds.len() >= 4).then_some(seconds)
}

/// The size after a key, in a file of lines such as `MemTotal:  100 kB`, whose `kB` are KiB.
pub(super) fn bytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_by_mode_without_counting_guests_twice() {
        let seconds = cpu_seconds("cpu  1000 200 300 40000 50 6 7 8 900 10\n").unwrap();
        let expected = [
            ("user", 10.0),
            ("nice", 2.0),
            ("system", 3.0),
            ("idle", 400.0),
            ("iowait", 0.5),
            ("irq", 0.06),
            ("softirq", 0.07),
            ("steal", 0.08),
        ];
        assert_eq!(seconds, expected.map(|(mode, value)| (mode.to_owned(), value)).into());
    }

    #[test]
    fn another_line_is_not_taken_for_all_processors() {
        for line in ["", "cpu0 1 2 3 4 5\n", "intr 1 2 3 4\n", "cpu 1 2\n", "cpu a b c d\n"] {
            assert_eq!(cpu_seconds(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_size_is_that_of_its_key_and_no_other() {
        let text = "MemTotal:  100 kB\nMemFree: 7 kB\nSwap: x kB\n";
        for (key, expected) in
            [("MemTotal", Some(102_400)), ("MemFree", Some(7168)), ("Mem", None), ("Swap", None)]
        {
            assert_eq!(bytes(text, key), expected, "{key}");
        }
    }

    #[test]
    fn this_machine_tells_its_processor_time() {
        assert!(read_cpu_seconds().unwrap().values().sum::<f64>() > 0.0);
    }
}
