//! Who listens, by `/proc/net/tcp` and `/proc/net/tcp6`, where `sock_diag` is refused. They tell no control group.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::listener::Listener;
use crate::limits::LISTENERS;

/// `TCP_LISTEN` in the column `st`.
const LISTENING: &str = "0A";

/// Sockets that listen.
///
/// # Errors
/// `/proc/net/tcp` cannot be read. Without IPv6 there is no other file.
pub(super) fn listeners(proc: &Path) -> io::Result<Vec<Listener>> {
    let mut found = in_table(&proc.join("net/tcp"))?;
    found.extend(in_table(&proc.join("net/tcp6")).unwrap_or_default());
    Ok(found)
}

fn in_table(file: &Path) -> io::Result<Vec<Listener>> {
    let lines = BufReader::new(File::open(file)?).lines().skip(1).take(LISTENERS);
    lines.filter_map(|line| line.map(|line| listener(&line)).transpose()).collect()
}

/// Parses `0: 0100007F:1FFC 00000000:0000 0A ...`, whose tenth column is the inode.
fn listener(line: &str) -> Option<Listener> {
    let columns: Vec<&str> = line.split_whitespace().take(10).collect();
    let [_, local, _, LISTENING, .., inode] = columns.as_slice() else { return None };
    let (ip, port) = local.split_once(':')?;
    let address = SocketAddr::from((ip_address(ip)?, u16::from_str_radix(port, 16).ok()?));
    Some(Listener { address, inode: inode.parse().ok()?, cgroup_id: None })
}

/// The kernel writes each 32 bits of an address as a number of the machine.
fn ip_address(hex: &str) -> Option<IpAddr> {
    let word = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok()?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let words: Option<Vec<[u8; 4]>> = hex.as_bytes().chunks(8).map(word).collect();
    match words?.as_slice() {
        [v4] => Some(Ipv4Addr::from(*v4).into()),
        [a, b, c, d] => {
            let octets: [u8; 16] = [*a, *b, *c, *d].concat().try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn listening_sockets_of_both_tables_are_told() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("net")).unwrap();
        let v4 = "   0: 0100007F:1FFC 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 777 1 0 100 0 0 10 0\n   1: 0100007F:1FFC 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 778 1 0 20 4 30 10 -1\n";
        std::fs::write(proc.path().join("net/tcp"), [HEAD, v4].concat()).unwrap();
        let expected = Listener { address: "127.0.0.1:8188".parse().unwrap(), inode: 777, cgroup_id: None };
        assert_eq!(listeners(proc.path()).unwrap(), std::slice::from_ref(&expected));

        let v6 = "   0: 00000000000000000000000001000000:1FFD 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 779 1 0 100 0 0 10 0\n";
        std::fs::write(proc.path().join("net/tcp6"), [HEAD, v6].concat()).unwrap();
        let sixth = Listener { address: "[::1]:8189".parse().unwrap(), inode: 779, cgroup_id: None };
        assert_eq!(listeners(proc.path()).unwrap(), [expected, sixth]);
    }

    #[test]
    fn lines_that_cannot_be_made_out_are_no_listeners() {
        for line in ["", "0: x:1 y:2 0A", "0: 0100007F 0 0A 0 0 0 0 0 7", "0: é:1FFC 0 0A 0 0 0 0 0 7"] {
            assert_eq!(listener(line), None, "{line}");
        }
    }

    #[test]
    fn without_the_table_of_ipv4_nothing_is_known() {
        assert!(listeners(tempfile::tempdir().unwrap().path()).is_err());
    }
}
