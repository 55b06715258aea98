//! The TCP check: a connection, and where wanted a short conversation.

use super::connect::connect;
use super::fault::Fault;
use super::trail::{Phase, Trail};
use crate::check::TcpCheck;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// Connects, says what is to be said, and listens until what must be heard was heard, or cannot be any more.
pub async fn look(addr: SocketAddr, source: Option<IpAddr>, check: &TcpCheck, trail: &Trail) -> Result<(), Fault> {
    let mut stream = connect(addr, source, trail).await?;
    if let Some(send) = &check.send {
        stream.write_all(send.as_bytes()).await?;
    }
    if check.text.is_empty() {
        return Ok(());
    }
    let is_enough = |heard: &[u8]| check.text.missing(heard).map(|what| trail.miss(what)).is_none();
    let heard = hear(&mut stream, check.text.within, trail, is_enough, tokio::time::sleep).await?;
    trail.mark(Phase::Read, format!("{} octets", heard.len()));
    Ok(check.text.judge(&heard)?)
}

/// Listens until `is_enough` says so, `within` octets came, or no more do.
///
/// All that came is searched anew with every piece. Whoever sends octet by octet is heard in pieces that are the longer the more there is to search.
async fn hear(
    stream: &mut (impl AsyncRead + Unpin),
    within: usize,
    trail: &Trail,
    mut is_enough: impl FnMut(&[u8]) -> bool,
    rest: impl AsyncFn(Duration),
) -> io::Result<Vec<u8>> {
    let mut heard = Vec::new();
    while heard.len() < within && stream.read_buf(&mut heard).await? > 0 {
        trail.mark(Phase::Answered, "");
        let start = Instant::now();
        if is_enough(&heard) {
            break;
        }
        rest((start.elapsed() * REST).max(PAUSE)).await;
    }
    Ok(heard)
}

/// A search is followed by so many times its own length of rest: one target takes at most a few percent of a processor.
const REST: u32 = 20;

/// Nobody notices it in an answer of a few pieces.
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::TextRule;

    /// Says octet after octet, each of which may be heard before the next, and then nothing more without an end.
    fn drip(octets: Vec<u8>) -> impl AsyncRead + Unpin {
        let (mut speaker, listener) = tokio::io::duplex(octets.len());
        tokio::spawn(async move {
            for octet in octets {
                speaker.write_all(&[octet]).await?;
                tokio::task::yield_now().await;
            }
            std::future::pending::<io::Result<()>>().await
        });
        listener
    }

    #[tokio::test]
    async fn octets_that_drip_are_searched_in_pieces_and_the_last_of_them_is_heard() {
        let text = [vec![b'.'; TextRule::WITHIN - 2], b"ok".to_vec()].concat();
        let mut stream = drip(text.clone());
        let mut searched = 0;
        let is_enough = |heard: &[u8]| {
            searched += heard.len();
            assert!(searched <= 64 * TextRule::WITHIN, "{searched} octets were searched to hear {}", heard.len());
            heard.ends_with(b"ok")
        };
        // An octet every four microseconds, by a clock that only counts turns.
        let rest = async |span: Duration| {
            for _ in 0..span.as_micros() / 4 {
                tokio::task::yield_now().await;
            }
        };
        let heard = hear(&mut stream, TextRule::WITHIN + 1, &Trail::start(), is_enough, rest).await;
        assert_eq!(heard.expect("the stream is sound"), text);
    }
}
