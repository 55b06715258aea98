//! TCP connections of probes that speak for themselves.

use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::health::FailReason;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};

/// Connects to `addr`, from `source` where one was written.
pub async fn connect(addr: SocketAddr, source: Option<IpAddr>, trail: &Trail) -> Result<TcpStream, Fault> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        // Bound before it is known where to, a port is taken for all destinations: at least those of connections that are over
        // may be taken again.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::new(source, 0))?;
    }
    let stream = socket.connect(addr).await?;
    // TCP lets a socket connect to itself (RFC 9293, simultaneous open). A closed port of this very host would seem open
    // whenever the kernel happens to draw that port as our own.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(FailReason::Refused.into());
    }
    trail.mark(Phase::Connected, "");
    Ok(stream)
}
