//! The ICMP check: one echo request, and its reply.
//!
//! Linux lets groups of users ping without privileges (`net.ipv4.ping_group_range`, for both families); where it does not, a raw
//! socket is tried, which wants CAP_NET_RAW.

use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::check::icmp::{Echo, Heard};
use crate::health::{Doubt, FailReason};
use crate::prefix::Family;
use socket2::{Domain, Protocol, Socket, Type};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::UdpSocket;

/// Pings once.
///
/// # Errors
/// What is wrong with the target, or with this node.
pub async fn look(addr: IpAddr, source: Option<IpAddr>, trail: &Trail) -> Result<(), Fault> {
    let socket = open(addr, source)?;
    let cookie = RandomState::new().hash_one(addr);
    let [high, low, ..] = cookie.to_be_bytes();
    let echo = Echo { family: Family::of(addr), identifier: u16::from_be_bytes([high, low]), cookie };
    socket.send(&echo.request()).await.map_err(Fault::local)?;
    let mut packet = [0; PACKET_MAX];
    loop {
        let len = socket.recv(&mut packet).await?;
        match echo.hear(&packet[..len]) {
            Heard::Reply => {
                trail.mark(Phase::Connected, "echo");
                return Ok(());
            }
            Heard::Unreachable => return Err(FailReason::Unreachable.into()),
            Heard::Nothing => {}
        }
    }
}

/// A socket for echoes with one address. It is no UDP socket, but sends and receives like one.
fn open(addr: IpAddr, source: Option<IpAddr>) -> Result<UdpSocket, Fault> {
    let (domain, protocol) = match Family::of(addr) {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol)).or_else(|_| Socket::new(domain, Type::RAW, Some(protocol)));
    let socket = socket.map_err(refused)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into()).map_err(Fault::local)?;
    }
    socket.connect(&SocketAddr::new(addr, 0).into()).map_err(Fault::local)?;
    socket.set_nonblocking(true).map_err(Fault::local)?;
    UdpSocket::from_std(socket.into()).map_err(Fault::local)
}

fn refused(error: io::Error) -> Fault {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Doubt::NotPermitted.into(),
        Some(_) | None => Fault::local(error),
    }
}

/// An echo is 16 octets; complaints about one quote it behind two headers.
const PACKET_MAX: usize = 1500;
