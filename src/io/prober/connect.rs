//! TCP connections of probes.

use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::health::FailReason;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;

/// Connects to `addr`, from `source` where one was written.
///
/// # Errors
/// What is wrong with the target, or with this node.
pub async fn connect(addr: SocketAddr, source: Option<IpAddr>, trail: &Trail) -> Result<TcpStream, Fault> {
    let stream = begin(addr, source).and_then(TcpStream::from_std).map_err(Fault::local)?;
    stream.writable().await?;
    if let Some(error) = stream.take_error()? {
        return Err(error.into());
    }
    // TCP lets a socket connect to itself (RFC 9293, simultaneous open). A closed port of this very host would seem open
    // whenever the kernel happens to draw that port as our own.
    if stream.local_addr()? == addr {
        return Err(FailReason::Refused.into());
    }
    trail.mark(Phase::Connected, "");
    Ok(stream)
}

/// Sends the first packet. What fails here, this machine decided by itself; what comes back for the packet is told by the socket later,
/// although some of it has the same number: the word of a router that it knows no way, say.
fn begin(addr: SocketAddr, source: Option<IpAddr>) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        // Bound before it is known where to, a port is taken for all destinations: at least those of connections that are over
        // may be taken again.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        Ok(()) | Err(_) => Ok(socket.into()),
    }
}
