//! The DNS check: a question over UDP, and over TCP when the answer was cut short or TCP was asked for.

use super::connect::connect;
use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::check::DnsCheck;
use crate::check::dns::Sight;
use crate::health::{Doubt, FailReason};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

/// Asks once.
///
/// # Errors
/// What is wrong with the target, or with this node.
pub async fn look(addr: SocketAddr, source: Option<IpAddr>, check: &DnsCheck, trail: &Trail) -> Result<(), Fault> {
    let [high, low, ..] = RandomState::new().hash_one(addr).to_be_bytes();
    let id = u16::from_be_bytes([high, low]);
    let query = check.query(id).ok_or(Doubt::Unaskable)?;
    let cut_short = check.udp && over_udp(addr, source, &query, |octets| check.judge(id, octets), trail).await? == Sight::Truncated;
    if check.udp && !cut_short {
        return Ok(());
    }
    match check.judge(id, &over_tcp(addr, source, &query, trail).await?)? {
        Sight::Good => Ok(()),
        Sight::Truncated => Err(FailReason::Protocol("an answer over TCP that is cut short".into()).into()),
        Sight::Foreign => Err(FailReason::Protocol("an answer to another question".into()).into()),
    }
}

/// Asks over UDP until something comes that answers the question. A connected socket hears nobody but the target, and hears
/// of ports that are closed.
async fn over_udp(
    addr: SocketAddr,
    source: Option<IpAddr>,
    query: &[u8],
    judge: impl Fn(&[u8]) -> Result<Sight, FailReason>,
    trail: &Trail,
) -> Result<Sight, Fault> {
    let any: IpAddr = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((source.unwrap_or(any), 0)).await.map_err(Fault::local)?;
    socket.connect(addr).await.map_err(Fault::local)?;
    // Nothing can have come back before this.
    socket.send(query).await.map_err(Fault::local)?;
    let mut octets = vec![0; OCTETS_MAX];
    loop {
        let len = socket.recv(&mut octets).await?;
        match judge(&octets[..len])? {
            Sight::Foreign => {}
            sight @ (Sight::Good | Sight::Truncated) => {
                // What TCP calls connecting, one question and one answer over UDP are: the way there and back.
                trail.mark(Phase::Connected, "over UDP");
                trail.mark(Phase::Answered, format!("{len} octets"));
                return Ok(sight);
            }
        }
    }
}

async fn over_tcp(addr: SocketAddr, source: Option<IpAddr>, query: &[u8], trail: &Trail) -> Result<Vec<u8>, Fault> {
    let mut stream = connect(addr, source, trail).await?;
    let mut framed = u16::try_from(query.len()).map_err(|_| Doubt::Unaskable)?.to_be_bytes().to_vec();
    framed.extend_from_slice(query);
    stream.write_all(&framed).await?;
    let mut octets = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut octets).await?;
    trail.mark(Phase::Answered, format!("{} octets over TCP", octets.len()));
    Ok(octets)
}

/// The most that a datagram can bring.
const OCTETS_MAX: usize = 65_535;
