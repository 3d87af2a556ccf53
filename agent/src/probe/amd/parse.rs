//! What the texts of `amdgpu` say. Pure.

/// The highest clock of a table such as `0: 500Mhz\n1: 2100Mhz *\n`. The line in use may be one that is not among
/// the levels (`S: 19Mhz *`, asleep).
pub(super) fn highest_hertz(table: &str) -> Option<f64> {
    let clocks = table.split_whitespace().filter_map(|word| {
        let digits = word.trim_end_matches(|character: char| !character.is_ascii_digit());
        let is_clock = word.len() - digits.len() == 3 && word.to_ascii_lowercase().ends_with("mhz");
        is_clock.then(|| digits.parse::<u32>().ok()).flatten()
    });
    clocks.max().map(|megahertz| f64::from(megahertz) * 1e6)
}

/// The PCIe generation of a link's speed such as `16.0 GT/s PCIe`.
pub(super) fn link_generation(speed: &str) -> Option<u32> {
    let speeds = ["2.5", "5.0", "8.0", "16.0", "32.0", "64.0"];
    let told: f64 = speed.split_whitespace().next()?.parse().ok()?;
    let place = speeds.iter().position(|speed| speed.parse() == Ok(told))?;
    u32::try_from(place + 1).ok()
}

/// Uncorrected and corrected errors of one block, from `ue: 0\nce: 0\n`.
pub(super) fn error_counts(counts: &str) -> Option<(u64, u64)> {
    let count = |key: &str| -> Option<u64> {
        counts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?.trim().parse().ok()
    };
    Some((count("ue")?, count("ce")?))
}

/// The name in libdrm's list (`744C,\tC8,\tAMD Radeon RX 7900 XTX`) of a device and its revision, which the kernel
/// writes as `0x744c` and `0xc8`.
pub(super) fn listed_name(list: &str, device: &str, revision: &str) -> Option<String> {
    let (device, revision) = (hex(device)?, hex(revision)?);
    list.lines().find_map(|line| {
        let mut columns = line.splitn(3, ',').map(str::trim);
        let is_it = hex(columns.next()?)? == device && hex(columns.next()?)? == revision;
        is_it.then(|| columns.next().map(str::to_owned)).flatten()
    })
}

fn hex(digits: &str) -> Option<u32> {
    let digits = digits.trim();
    u32::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_clock_is_found_whichever_is_in_use() {
        let cases = [
            ("0: 500Mhz\n1: 35Mhz *\n2: 2525Mhz\n", Some(2.525e9)),
            ("S: 19Mhz *\n0: 800Mhz\n1: 2100Mhz\n", Some(2.1e9)),
            ("0: 96Mhz *\n", Some(9.6e7)),
            ("", None),
            ("0: fastMhz\n", None),
        ];
        for (table, expected) in cases {
            assert_eq!(highest_hertz(table), expected, "{table:?}");
        }
    }

    #[test]
    fn every_speed_of_a_link_has_its_generation() {
        let cases = [
            ("2.5 GT/s PCIe", Some(1)),
            ("5.0 GT/s PCIe", Some(2)),
            ("8.0 GT/s PCIe", Some(3)),
            ("16.0 GT/s PCIe", Some(4)),
            ("32.0 GT/s PCIe", Some(5)),
            ("64.0 GT/s PCIe", Some(6)),
            ("16 GT/s", Some(4)),
            ("Unknown", None),
            ("", None),
        ];
        for (speed, expected) in cases {
            assert_eq!(link_generation(speed), expected, "{speed:?}");
        }
    }

    #[test]
    fn errors_are_counted_only_where_both_kinds_are_told() {
        assert_eq!(error_counts("ue: 2\nce: 31\n"), Some((2, 31)));
        assert_eq!(error_counts("ue: 2\nce: 31\nde: 5\n"), Some((2, 31)));
        assert_eq!(error_counts("ue: 2\n"), None);
        assert_eq!(error_counts("ue: many\nce: 1\n"), None);
    }

    #[test]
    fn a_name_is_found_by_device_and_revision() {
        let list = "# List of AMDGPU IDs\n1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n744C,\tCC,\tAMD Radeon RX 7900 XT\n";
        let name = |device, revision| listed_name(list, device, revision);
        assert_eq!(name("0x744c\n", "0xc8\n").as_deref(), Some("AMD Radeon RX 7900 XTX"));
        assert_eq!(name("0x744c", "0xcc").as_deref(), Some("AMD Radeon RX 7900 XT"));
        assert_eq!(name("0x744c", "0x00"), None);
        assert_eq!(name("", "0xc8"), None);
    }
}
