//! What block devices have read and written, from `/proc/diskstats`. Pure; particular to Linux.

/// The kernel counts in sectors of this size, whatever the device's own are (`Documentation/admin-guide/iostats.rst`).
const SECTOR_BYTES: u64 = 512;

/// What one block device has done since boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counters {
    /// Major and minor number.
    pub(super) device: (u32, u32),
    pub(super) name: String,
    pub(super) read_bytes: u64,
    pub(super) written_bytes: u64,
}

/// All block devices.
pub(super) fn counters(diskstats: &str) -> Vec<Counters> {
    diskstats.lines().filter_map(line).collect()
}

/// Parses `259 2 nvme0n1p2 reads merged sectors ms writes merged sectors ...`.
fn line(line: &str) -> Option<Counters> {
    let mut words = line.split_whitespace();
    let device = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let name = words.next()?.to_owned();
    let mut sectors =
        |place| words.nth(place)?.parse::<u64>().ok().map(|count| count.saturating_mul(SECTOR_BYTES));
    Some(Counters { device, name, read_bytes: sectors(2)?, written_bytes: sectors(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_from_the_columns_of_sectors() {
        let text = " 259       2 nvme0n1p2 11 12 13 14 15 16 17 18 0 20 21\n   7 0 loop0 1 2\n";
        let expected = Counters {
            device: (259, 2),
            name: "nvme0n1p2".to_owned(),
            read_bytes: 13 * 512,
            written_bytes: 17 * 512,
        };
        assert_eq!(counters(text), [expected]);
    }
}
