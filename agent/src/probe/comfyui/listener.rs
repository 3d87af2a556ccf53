//! The sockets that listen at ComfyUI's address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::{proc_net, sock_diag};

/// A TCP socket that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    /// The socket's number, which processes that hold it show in `/proc/PID/fd`.
    pub(super) inode: u64,
    /// The control group in which it was made, where the kernel tells.
    pub(super) cgroup_id: Option<u64>,
}

/// What answers at an address; of the unspecified address, what answers at any.
///
/// # Errors
/// The kernel tells who listens neither by netlink nor in `/proc/net/tcp`.
pub(super) fn at(proc: &Path, wanted: SocketAddr) -> io::Result<Vec<Listener>> {
    // A sandbox without AF_NETLINK, or a kernel without inet_diag.
    let all = sock_diag::listeners(wanted.port()).or_else(|_| proc_net::listeners(proc))?;
    Ok(answering(all, wanted))
}

/// Like the kernel, prefers the socket of the very address to one of all addresses.
fn answering(all: Vec<Listener>, wanted: SocketAddr) -> Vec<Listener> {
    let reach = |listener: &Listener| {
        let same_port = listener.address.port() == wanted.port();
        same_port.then(|| reach(listener.address.ip(), wanted.ip())).flatten()
    };
    let best = all.iter().filter_map(reach).max();
    all.into_iter().filter(|listener| best.is_some() && reach(listener) == best).collect()
}

/// How well a listener's address fits; `None` if what is sent to the wanted address does not reach it.
fn reach(listens: IpAddr, wanted: IpAddr) -> Option<u8> {
    let (listens, wanted) = (listens.to_canonical(), wanted.to_canonical());
    match listens {
        _ if wanted.is_unspecified() || listens == wanted => Some(2),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) if wanted.is_ipv4() => Some(1),
        // It takes IPv4 as well, unless told otherwise.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_at_an_address_is_what_the_kernel_would_hand_a_connection_to() {
        let cases: [(&str, &[&str], &[&str]); 11] = [
            (
                "0.0.0.0:8188",
                &["127.0.0.1:8188", "[::1]:8188", "10.0.0.5:8189"],
                &["127.0.0.1:8188", "[::1]:8188"],
            ),
            ("[::]:8188", &["127.0.0.1:8188"], &["127.0.0.1:8188"]),
            ("127.0.0.1:8188", &["10.0.0.5:8188"], &[]),
            ("127.0.0.1:8188", &["127.0.0.1:8189"], &[]),
            ("127.0.0.1:8188", &["0.0.0.0:8188"], &["0.0.0.0:8188"]),
            ("127.0.0.1:8188", &["[::]:8188"], &["[::]:8188"]),
            ("127.0.0.1:8188", &["[::]:8188", "0.0.0.0:8188"], &["0.0.0.0:8188"]),
            ("127.0.0.1:8188", &["0.0.0.0:8188", "127.0.0.1:8188"], &["127.0.0.1:8188"]),
            ("127.0.0.1:8188", &["[::ffff:127.0.0.1]:8188"], &["[::ffff:127.0.0.1]:8188"]),
            ("[::1]:8188", &["0.0.0.0:8188"], &[]),
            ("[::1]:8188", &["[::]:8188"], &["[::]:8188"]),
        ];
        for (wanted, all, expected) in cases {
            let listener =
                |text: &&str| Listener { address: text.parse().unwrap(), inode: 1, cgroup_id: None };
            let found = answering(all.iter().map(listener).collect(), wanted.parse().unwrap());
            assert_eq!(found, expected.iter().map(listener).collect::<Vec<_>>(), "{wanted} {all:?}");
        }
    }
}
