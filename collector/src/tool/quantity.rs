//! Times and sizes as people read them. Pure.

use std::time::Duration;

/// `3 s ago`, `4 min ago`, `2 h ago`, `5 days ago`.
pub(super) fn ago(age: Duration) -> String {
    format!("{} ago", span(age))
}

/// In its largest unit, rounded down.
pub(super) fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds @ 60..=3_599 => format!("{} min", seconds / 60),
        seconds @ 3_600..=172_799 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// To a tenth of a second below a minute.
pub(super) fn took(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 { format!("{seconds:.1} s") } else { span(time) }
}

/// `912 MiB`, `23.9 GiB`.
pub(super) fn size(mebibytes: u64) -> String {
    match mebibytes {
        0..1024 => format!("{mebibytes} MiB"),
        _ => format!("{:.1} GiB", mebibytes as f64 / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_its_largest_unit() {
        for (seconds, told) in [
            (0, "0 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (3_600, "1 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), told);
        }
        assert_eq!(
            (took(Duration::from_millis(1_250)), took(Duration::from_secs(61))),
            ("1.2 s".into(), "1 min".into())
        );
    }

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!((size(912), size(24_564)), ("912 MiB".to_owned(), "24.0 GiB".to_owned()));
    }
}
