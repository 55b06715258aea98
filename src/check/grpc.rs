//! The health service of gRPC, version 1 (grpc.health.v1.Health/Check).
//!
//! A request with one text and a response with one number: both are written and read here by hand. A library for protocol
//! buffers and a generator would be more code than the two fields.

use super::feed::reason;
use super::tls::TlsRules;
use crate::health::FailReason;
use std::sync::Arc;

/// A question to the health service.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcCheck {
    /// Over TLS, by these rules; none: in the clear.
    pub tls: Option<TlsRules>,
    /// The authority and the TLS server name; the address that is probed when none was written.
    pub host: Option<Arc<str>>,
    /// The service asked about; empty: the server as a whole.
    pub service: Arc<str>,
}

/// Where the question goes.
pub const PATH: &str = "/grpc.health.v1.Health/Check";

/// The longest answer that is read: the message itself takes seven octets.
pub const ANSWER_MAX: usize = 1024;

/// The status of a response that a service without trouble has (gRPC over HTTP/2, "Responses").
const OK: &str = "0";
const NOT_FOUND: &str = "5";
const UNIMPLEMENTED: &str = "12";

impl GrpcCheck {
    /// The framed request.
    pub fn request(&self) -> Vec<u8> {
        let mut message = Vec::new();
        if !self.service.is_empty() {
            // Field 1, length-delimited.
            message.push(0x0a);
            push_varint(self.service.len() as u64, &mut message);
            message.extend(self.service.as_bytes());
        }
        let mut framed = vec![0];
        framed.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
        framed.append(&mut message);
        framed
    }

    /// Judges a response: the HTTP status, the `grpc-status` of its headers or trailers with what is said beside it, and its octets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, http_status: u16, grpc_status: Option<(&str, &str)>, octets: &[u8]) -> Result<(), FailReason> {
        if http_status != 200 {
            return Err(FailReason::Status(http_status));
        }
        match grpc_status {
            Some((OK, _)) => judge_message(octets),
            Some((NOT_FOUND, _)) => Err(content(&format!("the health service does not know the service `{}`", self.service))),
            Some((UNIMPLEMENTED, _)) => Err(content("the server has no health service")),
            Some((code, said)) => Err(content(&format!("gRPC status {} {}", reason(code), reason(&decoded(said))))),
            None => Err(FailReason::Protocol("no gRPC: the response has no grpc-status".into())),
        }
    }
}

/// A message as it was meant: what is no printable ASCII travels as `%XX` (gRPC over HTTP/2, "Responses"). What is no such thing stands as it came.
fn decoded(message: &str) -> String {
    let (mut octets, mut rest) = (Vec::new(), message.as_bytes());
    while let Some((&octet, after)) = rest.split_first() {
        let hex = after.first_chunk::<2>().filter(|_| octet == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        let meant = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        octets.push(meant.unwrap_or(octet));
        rest = if meant.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The states of the health service.
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

fn judge_message(framed: &[u8]) -> Result<(), FailReason> {
    let malformed = || FailReason::Protocol("no gRPC health response".into());
    let status = unframed(framed).and_then(status).ok_or_else(malformed)?;
    if status == SERVING {
        return Ok(());
    }
    let state = usize::try_from(status).ok().and_then(|status| STATES.get(status));
    Err(content(state.unwrap_or(&"a state that does not exist")))
}

fn content(what: &str) -> FailReason {
    FailReason::Content(what.into())
}

/// The message of a frame that is not compressed, since we never said that we could decompress.
fn unframed(framed: &[u8]) -> Option<&[u8]> {
    let (&[compressed, a, b, c, d], rest) = framed.split_first_chunk::<5>()?;
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (compressed == 0).then(|| rest.get(..length)).flatten()
}

/// Field 1 of the message; what is not written is 0. Fields that newer versions add are passed over.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match tag & 7 {
            0 => {
                let value = take_varint(&mut message)?;
                status = if tag >> 3 == 1 { value } else { status };
            }
            1 => message = message.get(8..)?,
            2 => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn push_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(0x80 | u8::try_from(number & 0x7f).unwrap_or(0));
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

fn take_varint(octets: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u64::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(service: &str) -> GrpcCheck {
        GrpcCheck { tls: None, host: None, service: service.into() }
    }

    #[test]
    fn the_request_is_a_frame_with_the_name_of_the_service() {
        assert_eq!(check("").request(), [0, 0, 0, 0, 0]);
        assert_eq!(check("db").request(), [0, 0, 0, 0, 4, 0x0a, 2, b'd', b'b']);
        let long = check(&"x".repeat(200)).request();
        assert_eq!((&long[..8], long.len()), (&[0, 0, 0, 0, 203, 0x0a, 0xc8, 1][..], 208));
    }

    #[test]
    fn only_serving_passes() {
        let judge = |octets: &[u8]| check("").judge(200, Some(("0", "")), octets);
        assert!(judge(&[0, 0, 0, 0, 2, 8, 1]).is_ok());
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 2]), Err(content("NOT_SERVING")));
        assert_eq!(judge(&[0, 0, 0, 0, 0]), Err(content("UNKNOWN")));
        assert!(judge(&[0, 0, 0, 0, 10, 0x12, 1, b'x', 0x1d, 0, 0, 0, 0, 8, 1]).is_ok(), "later fields are passed over");
        for malformed in [&[][..], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 3, 8, 1], &[0, 0, 0, 0, 1, 8]] {
            assert!(matches!(judge(malformed), Err(FailReason::Protocol(_))), "{malformed:?}");
        }
    }

    #[test]
    fn trouble_of_the_call_is_told_apart() {
        let judge = |http, grpc| check("db").judge(http, grpc, &[0, 0, 0, 0, 2, 8, 1]).expect_err("trouble").to_string();
        assert_eq!(judge(503, None), "HTTP 503");
        assert_eq!(judge(200, Some(("5", ""))), "unexpected content: the health service does not know the service `db`");
        assert_eq!(judge(200, Some(("12", ""))), "unexpected content: the server has no health service");
        assert_eq!(judge(200, Some(("14", "not now"))), "unexpected content: gRPC status 14 not now");
        assert_eq!(judge(200, Some(("14", "no%20upstream%0A100%, %zz"))), "unexpected content: gRPC status 14 no upstream 100%, %zz");
        assert!(judge(200, None).contains("no gRPC"));
    }

    proptest! {
        #[test]
        fn no_octets_make_the_reader_panic(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = check("").judge(200, Some(("0", "")), &octets);
        }
    }
}
