//! The TCP check: a connection, and where wanted a short conversation.

use super::connect::connect;
use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::check::TcpCheck;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Connects, says what is to be said, and listens until what must be heard was heard, or cannot be any more.
pub async fn look(addr: SocketAddr, source: Option<IpAddr>, check: &TcpCheck, trail: &Trail) -> Result<(), Fault> {
    let mut stream = connect(addr, source, trail).await?;
    if let Some(send) = &check.send {
        stream.write_all(send.as_bytes()).await?;
    }
    if check.text.is_empty() {
        return Ok(());
    }
    let mut heard = Vec::new();
    while heard.len() < check.text.within {
        if stream.read_buf(&mut heard).await? == 0 {
            break;
        }
        trail.mark(Phase::Answered, "");
        let start = Instant::now();
        if check.text.judge(&heard).is_ok() {
            break;
        }
        // All of it is searched anew with every piece. Whoever sends octet by octet is heard in pieces that are the longer the more there is to search.
        tokio::time::sleep((start.elapsed() * REST).max(PAUSE)).await;
    }
    trail.mark(Phase::Read, format!("{} octets", heard.len()));
    Ok(check.text.judge(&heard)?)
}

/// A search is followed by so many times its own length of rest: one target takes at most a few percent of a processor.
const REST: u32 = 20;

/// Nobody notices it in an answer of a few pieces.
const PAUSE: Duration = Duration::from_millis(5);
