//! The TCP check: a connection is enough.

use super::fault::Fault;
use crate::health::FailReason;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Connects to `addr` and closes the connection at once; returns how long it took to connect.
pub async fn look(addr: SocketAddr) -> Result<Duration, Fault> {
    let start = Instant::now();
    let stream = TcpStream::connect(addr).await?;
    let connect = start.elapsed();
    // TCP lets a socket connect to itself (RFC 9293, simultaneous open). A closed port of this very host would seem open
    // whenever the kernel happens to draw that port as our own.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(FailReason::Refused.into());
    }
    Ok(connect)
}
