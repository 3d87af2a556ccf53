//! Who listens on a TCP port, as the kernel's socket monitoring tells any process (`sock_diag(7)`): unlike
//! `/proc/net/tcp` it is filtered by the kernel, and names the control group. Encoding and decoding are pure.
//!
//! Layouts: `struct nlmsghdr` of `linux/netlink.h`, `struct inet_diag_req_v2`, `struct inet_diag_msg` of
//! `linux/inet_diag.h`. All numbers are in the machine's byte order but for ports and addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::listener::Listener;
use crate::limits::{LISTENER_DATAGRAMS, LISTENERS, SOCK_DIAG_DEADLINE};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const REQUEST_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IPPROTO_TCP: u8 = 6;
/// `1 << TCP_LISTEN`.
const LISTENING: u32 = 1 << 10;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `INET_DIAG_CGROUP_ID`, since Linux 5.8.
const CGROUP_ID: u16 = 21;

const MESSAGE_HEADER: usize = 16;
const REQUEST: usize = 56;
const ANSWER: usize = 72;
const ATTRIBUTE_HEADER: usize = 4;

/// The kernel's answers are at most this long (`NLMSG_GOODSIZE` and what it gives a large reader).
const DATAGRAM: usize = 32 * 1024;

/// All sockets that listen on a port, IPv4 and IPv6.
///
/// # Errors
/// This process may not ask, or the kernel has no such answers.
pub(super) fn listeners(port: u16) -> io::Result<Vec<Listener>> {
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(SOCK_DIAG_DEADLINE))?;
    let mut found = Vec::new();
    for family in [AF_INET, AF_INET6] {
        rustix::net::send(&socket, &request(family, port), SendFlags::empty())?;
        receive(&socket, &mut found)?;
    }
    Ok(found)
}

fn receive(socket: &rustix::fd::OwnedFd, found: &mut Vec<Listener>) -> io::Result<()> {
    let mut buffer = vec![0; DATAGRAM];
    for _ in 0..LISTENER_DATAGRAMS {
        let (length, _) = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if decode(buffer.get(..length).unwrap_or_default(), found)? == Answer::Complete {
            return Ok(());
        }
    }
    Err(io::Error::other("the kernel does not end its answer"))
}

/// A request for the listening sockets of one address family and port.
fn request(family: u8, port: u16) -> Vec<u8> {
    let length = (MESSAGE_HEADER + REQUEST) as u32;
    let mut bytes = Vec::with_capacity(MESSAGE_HEADER + REQUEST);
    bytes.extend(length.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([family, IPPROTO_TCP, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    bytes.extend(port.to_be_bytes());
    bytes.resize(MESSAGE_HEADER + REQUEST, 0);
    bytes
}

/// Whether more datagrams are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Goes,
    Complete,
}

/// Adds the listeners of one datagram.
fn decode(datagram: &[u8], found: &mut Vec<Listener>) -> io::Result<Answer> {
    for (kind, payload) in messages(datagram) {
        match kind {
            NLMSG_DONE | NLMSG_ERROR => return refusal(payload).map_or(Ok(Answer::Complete), Err),
            SOCK_DIAG_BY_FAMILY if found.len() < LISTENERS => found.extend(listener(payload)),
            _ => {}
        }
    }
    Ok(Answer::Goes)
}

/// The last message bears zero or a negative error number.
fn refusal(payload: &[u8]) -> Option<io::Error> {
    let status = i32::from_ne_bytes(field(payload, 0)?);
    (status < 0).then(|| io::Error::from_raw_os_error(status.saturating_neg()))
}

fn listener(payload: &[u8]) -> Option<Listener> {
    let [family] = field(payload, 0)?;
    let ip = match family {
        AF_INET => IpAddr::from(Ipv4Addr::from(field::<4>(payload, 8)?)),
        AF_INET6 => IpAddr::from(Ipv6Addr::from(field::<16>(payload, 8)?)),
        _ => return None,
    };
    let port = u16::from_be_bytes(field(payload, 4)?);
    let inode = u64::from(u32::from_ne_bytes(field(payload, 68)?));
    let cgroup_id = attributes(payload.get(ANSWER..)?).find(|(kind, _)| *kind == CGROUP_ID);
    let cgroup_id = cgroup_id.and_then(|(_, value)| Some(u64::from_ne_bytes(field(value, 0)?)));
    Some(Listener { address: SocketAddr::from((ip, port)), inode, cgroup_id })
}

/// The messages of a datagram by kind. What follows a length that cannot be is left out.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(field(bytes, 0)?) as usize;
        let kind = u16::from_ne_bytes(field(bytes, 4)?);
        let payload = bytes.get(MESSAGE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, payload))
    })
}

/// The attributes of a message by kind, likewise.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(bytes, 0)?));
        let kind = u16::from_ne_bytes(field(bytes, 2)?);
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What Linux 6.18 answered when 127.0.0.1:33451 and [::]:33451 listened, and when asked for an unknown protocol.
    const V4: &str = "7c0000001400020000000000632d0000020a000082ab00007f000001000000000000000000000000000000000000\
        0000000000000000000000000000100000000000000000000000000000008000000000000000edfc1400050008000000000008000f0000\
        0000000c00150001000000000000000600160052000000";
    const V6: &str = "840000001400020000000000632d00000a0a000082ab000000000000000000000000000000000000000000000000\
        0000000000000000000000000000110000000000000000000000000000008000000000000000eefc1400050008000000000005000b0001\
        00000008000f00000000000c00150001000000000000000600160012000000";
    const DONE: &str = "140000000300020000000000632d000000000000";
    const NO_SUCH_PROTOCOL: &str = "140000000300020000000000632d0000feffffff";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |byte: &u8| (*byte as char).to_digit(16).unwrap() as u8;
        hex.as_bytes().chunks(2).map(|pair| digit(&pair[0]) * 16 + digit(&pair[1])).collect()
    }

    fn listener(address: &str, inode: u64, cgroup_id: u64) -> Listener {
        Listener { address: address.parse().unwrap(), inode, cgroup_id: Some(cgroup_id) }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_request_is_for_the_listening_sockets_of_one_port() {
        let expected = "4800000014000103000000000000000002060000000400001ffc";
        assert_eq!(request(AF_INET, 8188), bytes(&format!("{expected:0<144}")));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn answers_name_address_socket_and_control_group() {
        let mut found = Vec::new();
        assert_eq!(decode(&bytes(&[V4, V6].concat()), &mut found).unwrap(), Answer::Goes);
        assert_eq!(decode(&bytes(DONE), &mut found).unwrap(), Answer::Complete);
        assert_eq!(found, [listener("127.0.0.1:33451", 1_375_469, 1), listener("[::]:33451", 1_375_470, 1)]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_refusal_is_an_error_and_not_that_nobody_listens() {
        let error = decode(&bytes(NO_SUCH_PROTOCOL), &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_answer_that_is_cut_or_claims_odd_lengths_is_read_as_far_as_it_goes() {
        let whole = bytes(&[V4, V6].concat());
        for length in 0..whole.len() {
            let _ = decode(&whole[..length], &mut Vec::new());
        }
        for place in 0..whole.len() {
            for value in [0, 1, 0xff] {
                let mut odd = whole.clone();
                odd[place] = value;
                let mut found = Vec::new();
                let _ = decode(&odd, &mut found);
                assert!(found.len() <= 2);
            }
        }
    }

    #[test]
    fn the_kernel_names_the_sockets_of_a_port_and_of_no_other() {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(address) else { continue };
            let address = socket.local_addr().unwrap();
            let found = listeners(address.port()).unwrap();
            assert_eq!(found.iter().map(|one| one.address).collect::<Vec<_>>(), [address]);
            let by_table = super::super::proc_net::listeners("/proc".as_ref()).unwrap();
            let same = by_table.iter().find(|one| one.address == address).unwrap();
            assert_eq!(found[0].inode, same.inode);
        }
        drop(other);
    }
}
