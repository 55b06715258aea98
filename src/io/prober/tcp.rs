//! The TCP check: a connection, and where wanted a short conversation.

use super::connect::connect;
use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::check::TcpCheck;
use std::net::{IpAddr, SocketAddr};
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
        // What was heard is searched anew with every piece: pieces are large, and `within` bounds them all.
        if stream.read_buf(&mut heard).await? == 0 {
            break;
        }
        trail.mark(Phase::Answered, "");
        if check.text.judge(&heard).is_ok() {
            break;
        }
    }
    trail.mark(Phase::Read, format!("{} octets", heard.len()));
    Ok(check.text.judge(&heard)?)
}
