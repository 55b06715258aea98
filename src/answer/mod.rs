//! The data plane's one function: a query in, a response out.
//!
//! [`respond`] reads as the answer is made: read the query, refuse what is not a look-up, find the name, steer or copy,
//! finish. Everything it needs is handed in: the [`Live`] view, the [`Client`], a worker's [`Scratch`] (which holds the
//! dice) and two buffers. It knows no socket and no clock.

mod asked;
mod classify;
mod outcome;
mod scratch;
mod sections;
mod steer;

pub use asked::{Asked, anticipate, anticipate_further};
pub use outcome::{Client, Disposition, DropReason, Outcome, Transport};
pub use scratch::Scratch;

use crate::dns::{HEADER_LEN, Opt, Query, Rcode, ResponseWriter};
use crate::live::Live;
use crate::policy::Trace;
use scratch::Draw;

/// The largest response over UDP, and the size we announce: DNS flag day 2020 recommends it against fragments.
pub const UDP_PAYLOAD_MAX: usize = 1232;
/// The largest response over UDP to a client without EDNS (RFC 1035 section 4.2.1); `out` must never be shorter.
pub const PLAIN_PAYLOAD_MAX: usize = 512;
/// The largest response over a stream.
pub const STREAM_PAYLOAD_MAX: usize = 65_535;

/// Answers one query.
///
/// Reads `query`, writes the response to the front of `out`: at least [`PLAIN_PAYLOAD_MAX`] octets, [`UDP_PAYLOAD_MAX`] for
/// UDP or [`STREAM_PAYLOAD_MAX`] for streams to make use of the whole. Does not allocate, lock, log or ask the time, and
/// never fails: what cannot be answered is refused by an RCODE, or dropped.
pub fn respond(live: &Live, client: &Client, query: &[u8], scratch: &mut Scratch, out: &mut [u8]) -> Disposition {
    respond_traced(live, client, query, scratch, out, &mut ())
}

/// [`respond`] to the query that `asked` was read from.
pub fn respond_anticipated(
    live: &Live,
    client: &Client,
    query: &[u8],
    asked: &mut Asked,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Disposition {
    reply(live, client, query, asked, &mut scratch.draw, out, &mut ())
}

/// [`respond`], with somebody listening to the steps of the decision. This is how `explain` works.
pub fn respond_traced<T: Trace>(
    live: &Live,
    client: &Client,
    query: &[u8],
    scratch: &mut Scratch,
    out: &mut [u8],
    trace: &mut T,
) -> Disposition {
    reply(live, client, query, &mut scratch.asked, &mut scratch.draw, out, trace)
}

fn reply<T: Trace>(
    live: &Live,
    client: &Client,
    packet: &[u8],
    asked: &mut Asked,
    draw: &mut Draw,
    out: &mut [u8],
    trace: &mut T,
) -> Disposition {
    let (query, name) = match asked.take(packet) {
        Ok(both) => both,
        Err(error) => return classify::unreadable(error, packet, out),
    };
    let opt = query.edns.as_ref().map(Opt::answering);
    let limit = payload_max(client.transport, query);
    let mut response = ResponseWriter::new(&packet[..HEADER_LEN], query.question(packet), opt, limit, announced(), out);
    let (rcode, outcome) = match classify::refusal(query) {
        Some(refusal) => refusal,
        None => sections::answer(live, client, query, name, draw, &mut response, trace),
    };
    let truncated = response.is_truncated();
    Disposition::Send { len: response.finish(rcode), outcome, truncated }
}

/// How large the response may get.
fn payload_max(transport: Transport, query: &Query) -> usize {
    match (transport, &query.edns) {
        (Transport::Tcp | Transport::Tls, _) => STREAM_PAYLOAD_MAX,
        (Transport::Udp, None) => PLAIN_PAYLOAD_MAX,
        // RFC 6891 section 6.2.3: values below 512 are treated as 512.
        (Transport::Udp, Some(edns)) => usize::from(edns.payload).clamp(PLAIN_PAYLOAD_MAX, UDP_PAYLOAD_MAX),
    }
}

fn announced() -> u16 {
    u16::try_from(UDP_PAYLOAD_MAX).unwrap_or(u16::MAX)
}

/// What a failed look-up or a full message leads to: the RCODE and what the counters count.
type Verdict = (Rcode, Outcome);
