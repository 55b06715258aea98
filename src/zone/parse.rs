//! Record data from text to wire form, mostly by hickory-proto.

use crate::dns::{Name, NameError, Rtype};
use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinDecoder, BinEncodable, BinEncoder, NameEncoding, Restrict};
use hickory_proto::serialize::txt::Parser;
use std::fmt;
use std::net::IpAddr;

/// Why a text is no data of its type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RdataError {
    /// No address at all.
    NotAnAddress,
    /// An address of the other family; holds the type that takes it.
    WrongFamily(Rtype),
    /// A name in it is malformed.
    BadName(NameError),
    /// A number is missing or out of range; holds what it is.
    BadNumber(&'static str),
    /// More or fewer fields than the type has; holds what they are.
    Fields(&'static str),
    /// The generic form is `\# LENGTH HEX` (RFC 3597 section 5), and its length must agree.
    BadGeneric,
    /// The octets of a generic form are no data of a type that is known; holds the type.
    BadOctets(Rtype),
    /// A character string of more than 255 octets (RFC 1035 section 3.3).
    StringTooLong,
    /// Longer than a record can be.
    TooLong,
    /// What hickory-proto says of it.
    Unreadable(String),
    /// Only made by servers, never written by hand.
    NotForZones,
}

impl fmt::Display for RdataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RdataError::NotAnAddress => f.write_str("not an IP address"),
            RdataError::WrongFamily(rtype) => write!(f, "an address of the other family; it belongs under {rtype}"),
            RdataError::BadName(error) => write!(f, "{error}"),
            RdataError::BadNumber(what) => write!(f, "{what} must be a number from 0 to 65535"),
            RdataError::Fields(what) => write!(f, "expected `{what}`"),
            RdataError::BadGeneric => f.write_str("expected `\\# LENGTH HEX` with as many octets as the length says"),
            RdataError::BadOctets(rtype) => write!(f, "the octets are no {rtype} data"),
            RdataError::StringTooLong => f.write_str("a string is longer than 255 octets"),
            RdataError::TooLong => f.write_str("longer than the 65535 octets that a record can hold"),
            RdataError::Unreadable(text) => f.write_str(text),
            RdataError::NotForZones => f.write_str("a type that only servers make; it cannot be written into a zone"),
        }
    }
}

impl RdataError {
    /// What to write instead, as data of `rtype`.
    pub fn help(&self, rtype: Rtype) -> String {
        match self {
            RdataError::WrongFamily(other) => format!("write it at `{other}:`"),
            RdataError::BadGeneric | RdataError::BadOctets(_) => {
                r"write the number of octets and then all of them in hex: `\# 4 c0000201`".to_owned()
            }
            RdataError::StringTooLong => r#"write several strings, one behind the other: `"one" "two"`"#.to_owned(),
            RdataError::TooLong => "spread it over several records".to_owned(),
            RdataError::NotForZones => "remove it".to_owned(),
            RdataError::NotAnAddress
            | RdataError::BadName(_)
            | RdataError::BadNumber(_)
            | RdataError::Fields(_)
            | RdataError::Unreadable(_) => match form_of(rtype) {
                Some((form, example)) => format!("write {form}: `{example}`"),
                None => r"write it in the generic form: `\# LENGTH HEX` (RFC 3597 section 5)".to_owned(),
            },
        }
    }
}

/// What the data of a type consists of, and an example; `None` for types that few people write.
fn form_of(rtype: Rtype) -> Option<(&'static str, &'static str)> {
    const NAPTR: Rtype = Rtype(35);
    const SSHFP: Rtype = Rtype(44);
    const TLSA: Rtype = Rtype(52);
    const SVCB: Rtype = Rtype(64);
    const HTTPS: Rtype = Rtype(65);
    const CAA: Rtype = Rtype(257);
    let form = match rtype {
        Rtype::A => ("an IPv4 address", "192.0.2.1"),
        Rtype::AAAA => ("an IPv6 address", "2001:db8::1"),
        Rtype::NS | Rtype::CNAME | Rtype::PTR => ("one name, with a dot at its end unless it is relative to the zone", "www.example.com."),
        Rtype::MX => ("preference and name in one text", "10 mail.example.com."),
        Rtype::TXT => ("one text, or several in quotes of their own", r#""one" "two""#),
        Rtype::SRV => ("priority, weight, port and name in one text", "10 5 443 lb.example.com."),
        Rtype::DS => ("key tag, algorithm, digest type and digest in one text", "60485 13 2 0123456789abcdef0123456789abcdef"),
        NAPTR => {
            ("order, preference, flags, service, pattern and name in one text", r#"100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" ."#)
        }
        SSHFP => ("algorithm, digest type and digest in one text", "4 1 0123456789abcdef0123456789abcdef01234567"),
        TLSA => ("usage, selector, matching type and data in one text", "3 1 2 0123456789abcdef"),
        SVCB | HTTPS => ("priority, target and parameters in one text", "1 . alpn=h2"),
        CAA => ("flags, tag and value in one text", r#"0 issue "ca.example.net""#),
        _ => return None,
    };
    Some(form)
}

impl From<NameError> for RdataError {
    fn from(error: NameError) -> RdataError {
        RdataError::BadName(error)
    }
}

/// Reads the text of one record's data as YAML holds it, and appends its octets, names uncompressed, to `out`; names without
/// a dot at their end are relative to `origin`.
///
/// TXT is lenient, since YAML has quotes of its own: a text that does not begin with `"` is one string as it stands.
///
/// # Errors
/// Which rule the text breaks; nothing is appended then.
pub fn parse_rdata(rtype: Rtype, text: &str, origin: &Name, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let text = text.trim();
    if rtype == Rtype::TXT && !text.starts_with('"') && !text.starts_with("\\#") {
        strings(text, out);
        return Ok(());
    }
    parse_words(rtype, text.split_whitespace(), text, origin, out)
}

/// As [`parse_rdata`] for a text whose words are known, as a master file has them.
///
/// # Errors
/// Which rule the text breaks; nothing is appended then.
pub(super) fn parse_words<'t>(
    rtype: Rtype,
    words: impl Iterator<Item = &'t str> + Clone,
    text: &str,
    origin: &Name,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    let start = out.len();
    let result = append(rtype, words, text, origin, out).and_then(|()| checked(&out[start..]));
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn append<'t>(
    rtype: Rtype,
    mut words: impl Iterator<Item = &'t str> + Clone,
    text: &str,
    origin: &Name,
    out: &mut Vec<u8>,
) -> Result<(), RdataError> {
    if rtype.is_meta() || MADE_BY_SERVERS.contains(&rtype) {
        return Err(RdataError::NotForZones);
    }
    if words.clone().next() == Some("\\#") {
        return parse_generic(rtype, words.skip(1), out);
    }
    match rtype {
        Rtype::A | Rtype::AAAA => parse_address(rtype, text, out),
        Rtype::NS | Rtype::CNAME | Rtype::PTR => {
            let [name] = exactly(&mut words, "one name")?;
            Ok(Name::parse_into(name, origin, out)?)
        }
        Rtype::MX => {
            let [preference, name] = exactly(&mut words, "PREFERENCE NAME")?;
            number(preference, "the preference", out)?;
            Ok(Name::parse_into(name, origin, out)?)
        }
        Rtype::SRV => {
            let [priority, weight, port, name] = exactly(&mut words, "PRIORITY WEIGHT PORT NAME")?;
            for (text, what) in [(priority, "the priority"), (weight, "the weight"), (port, "the port")] {
                number(text, what, out)?;
            }
            Ok(Name::parse_into(name, origin, out)?)
        }
        Rtype::DS => parse_ds(words, out),
        _ => by_hickory(rtype, text, origin, out),
    }
}

/// A delegation's DS record (RFC 4034 section 5.3), which hickory-proto does not read: the digest may be several words.
fn parse_ds<'t>(mut words: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    const FIELDS: RdataError = RdataError::Fields("KEYTAG ALGORITHM DIGESTTYPE DIGEST");
    number(words.next().ok_or(FIELDS)?, "the key tag", out)?;
    for _ in 0..2 {
        out.push(words.next().and_then(|word| word.parse().ok()).ok_or(FIELDS)?);
    }
    let digest = out.len();
    hex(words, out).ok_or(FIELDS)?;
    if out.len() == digest { Err(FIELDS) } else { Ok(()) }
}

/// Octets in hex, which blanks may cut anywhere.
fn hex<'t>(words: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) -> Option<()> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut digits = words.flat_map(str::bytes).map(digit);
    while let Some(high) = digits.next() {
        out.push(high? << 4 | digits.next()??);
    }
    Some(())
}

/// The SOA has a place of its own in every format; RRSIG, NSEC, NSEC3 and NSEC3PARAM come with signing.
const MADE_BY_SERVERS: [Rtype; 5] = [Rtype::SOA, Rtype(46), Rtype(47), Rtype(50), Rtype(51)];

/// So many words and no more.
fn exactly<'t, const N: usize>(words: &mut impl Iterator<Item = &'t str>, fields: &'static str) -> Result<[&'t str; N], RdataError> {
    let mut found = [""; N];
    for word in &mut found {
        *word = words.next().ok_or(RdataError::Fields(fields))?;
    }
    if words.next().is_some() { Err(RdataError::Fields(fields)) } else { Ok(found) }
}

/// The RDATA of an SOA record (RFC 1035 section 3.3.13): serial, refresh, retry, expire and minimum, the last four in
/// seconds.
pub fn soa_rdata(mname: &Name, rname: &Name, numbers: [u32; 5]) -> Vec<u8> {
    let numbers: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
    [mname.wire(), rname.wire(), &numbers].concat()
}

fn parse_address(rtype: Rtype, text: &str, out: &mut Vec<u8>) -> Result<(), RdataError> {
    match (rtype, text.parse::<IpAddr>().map_err(|_| RdataError::NotAnAddress)?) {
        (Rtype::A, IpAddr::V4(addr)) => out.extend(addr.octets()),
        (Rtype::AAAA, IpAddr::V6(addr)) => out.extend(addr.octets()),
        (_, IpAddr::V4(_)) => return Err(RdataError::WrongFamily(Rtype::A)),
        (_, IpAddr::V6(_)) => return Err(RdataError::WrongFamily(Rtype::AAAA)),
    }
    Ok(())
}

fn number(text: &str, what: &'static str, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let number: u16 = text.parse().map_err(|_| RdataError::BadNumber(what))?;
    out.extend(number.to_be_bytes());
    Ok(())
}

/// Character strings of at most 255 octets each (RFC 1035 section 3.3); at least one.
fn strings(text: &str, out: &mut Vec<u8>) {
    if text.is_empty() {
        return out.push(0);
    }
    for chunk in text.as_bytes().chunks(255) {
        out.push(u8::try_from(chunk.len()).unwrap_or(255));
        out.extend(chunk);
    }
}

/// The generic form (RFC 3597 section 5), behind its `\#`.
fn parse_generic<'t>(rtype: Rtype, mut words: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    let start = out.len();
    let length: usize = words.next().and_then(|word| word.parse().ok()).ok_or(RdataError::BadGeneric)?;
    hex(words, out).ok_or(RdataError::BadGeneric)?;
    if out.len() - start != length {
        return Err(RdataError::BadGeneric);
    }
    if is_data_of(rtype, &out[start..])? { Ok(()) } else { Err(RdataError::BadOctets(rtype)) }
}

/// RFC 3597 section 5 allows the generic form for known types too: then it must be what the text form would have become.
fn is_data_of(rtype: Rtype, octets: &[u8]) -> Result<bool, RdataError> {
    let length = u16::try_from(octets.len()).map_err(|_| RdataError::TooLong)?;
    let Ok(data) = RData::read(&mut BinDecoder::new(octets), RecordType::from(rtype.0), Restrict::new(length)) else { return Ok(false) };
    // Written out again, so that no compression pointer is left: it would point elsewhere in another message.
    let mut again = Vec::new();
    Ok(encode(&data, &mut again).is_ok() && again == octets)
}

/// Everything else goes through the zone parser of hickory-proto, as one line of a master file.
fn by_hickory(rtype: Rtype, text: &str, origin: &Name, out: &mut Vec<u8>) -> Result<(), RdataError> {
    // One line in, one record out: a line break or a comment sign outside quotes would smuggle in another.
    if text.contains(['\n', '\r']) {
        return Err(RdataError::Unreadable("a record is one line".to_owned()));
    }
    let zone = hickory_proto::rr::Name::from_ascii(origin.to_string()).map_err(|e| RdataError::Unreadable(e.to_string()))?;
    let line = format!("@ 0 IN {rtype} {text}\n");
    let unreadable = |error: &dyn fmt::Display| RdataError::Unreadable(error.to_string());
    let (_, sets) = Parser::new(line, None, Some(zone)).parse().map_err(|e| unreadable(&e))?;
    let data: Vec<&RData> = sets.values().flat_map(|set| set.records_without_rrsigs()).map(|record| &record.data).collect();
    match data.as_slice() {
        [data] if data.record_type() == RecordType::from(rtype.0) => encode(data, out).map_err(|e| unreadable(&e)),
        _ => Err(RdataError::Unreadable(format!("no {rtype} data"))),
    }
}

fn encode(data: &RData, out: &mut Vec<u8>) -> Result<(), hickory_proto::ProtoError> {
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder)?;
    out.append(&mut wire);
    Ok(())
}

fn checked(octets: &[u8]) -> Result<(), RdataError> {
    if octets.len() > usize::from(u16::MAX) { Err(RdataError::TooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Name {
        Name::parse("example.com.", &Name::root()).unwrap()
    }

    fn wire(rtype: Rtype, text: &str) -> Result<Vec<u8>, RdataError> {
        let mut out = Vec::new();
        parse_rdata(rtype, text, &origin(), &mut out).map(|()| out)
    }

    #[test]
    fn addresses_of_the_wrong_family_name_the_type_that_takes_them() {
        assert_eq!(wire(Rtype::A, "192.0.2.1"), Ok(vec![192, 0, 2, 1]));
        assert_eq!(wire(Rtype::A, "2001:db8::1"), Err(RdataError::WrongFamily(Rtype::AAAA)));
        assert_eq!(wire(Rtype::AAAA, "192.0.2.1"), Err(RdataError::WrongFamily(Rtype::A)));
        assert_eq!(wire(Rtype::A, "fra-1"), Err(RdataError::NotAnAddress));
    }

    #[test]
    fn names_are_relative_to_the_origin_unless_they_end_in_a_dot() {
        assert_eq!(wire(Rtype::MX, "10 mail"), Ok(b"\x00\x0a\x04mail\x07example\x03com\x00".to_vec()));
        assert_eq!(wire(Rtype::CNAME, "a.b."), Ok(b"\x01a\x01b\x00".to_vec()));
        assert_eq!(wire(Rtype::SRV, "1 2 443 www"), Ok(b"\x00\x01\x00\x02\x01\xbb\x03www\x07example\x03com\x00".to_vec()));
        assert_eq!(wire(Rtype::MX, "mail"), Err(RdataError::Fields("PREFERENCE NAME")));
        assert_eq!(wire(Rtype::MX, "70000 mail"), Err(RdataError::BadNumber("the preference")));
    }

    #[test]
    fn text_without_quotes_is_one_string_and_long_text_is_split_at_255() {
        assert_eq!(wire(Rtype::TXT, "v=spf1 -all"), Ok(b"\x0bv=spf1 -all".to_vec()));
        assert_eq!(wire(Rtype::TXT, r#""a b" "c""#), Ok(b"\x03a b\x01c".to_vec()));
        assert_eq!(wire(Rtype::TXT, ""), Ok(vec![0]));
        let long = wire(Rtype::TXT, &"x".repeat(256)).unwrap();
        assert_eq!((long.len(), long[0], long[256]), (258, 255, 1));
    }

    #[test]
    fn newer_and_unknown_types_are_read_too() {
        assert_eq!(wire(Rtype(257), r#"0 issue "ca.example""#), Ok(b"\x00\x05issueca.example".to_vec()));
        assert_eq!(wire(Rtype(65280), r"\# 3 010203"), Ok(vec![1, 2, 3]));
        assert_eq!(wire(Rtype(65280), r"\# 2 010203"), Err(RdataError::BadGeneric));
        assert_eq!(wire(Rtype(65280), r"\# 2 01zz"), Err(RdataError::BadGeneric));
        assert!(wire(Rtype(65), "1 . alpn=h2").is_ok());
        assert_eq!(wire(Rtype::AXFR, "x"), Err(RdataError::NotForZones));
    }

    #[test]
    fn what_is_proposed_for_a_faulty_record_can_be_written() {
        let proposed: Vec<(Rtype, &str)> =
            (1..=300).map(Rtype).filter_map(|rtype| form_of(rtype).map(|(_, example)| (rtype, example))).collect();
        assert!(proposed.len() > 10, "{proposed:?}");
        for (rtype, example) in proposed {
            assert!(wire(rtype, example).is_ok(), "{rtype}: {:?}", wire(rtype, example));
        }
    }

    #[test]
    fn the_generic_form_of_a_known_type_is_read_as_that_type_or_refused() {
        assert_eq!(wire(Rtype::CNAME, r"\# 3 016100"), Ok(b"\x01a\x00".to_vec()));
        assert_eq!(wire(Rtype::MX, r"\# 5 000A016100"), Ok(b"\x00\x0a\x01a\x00".to_vec()));
        assert_eq!(wire(Rtype::A, r"\# 4 c0000201"), Ok(vec![192, 0, 2, 1]));
        let pointer = r"\# 8 0001000201bbc000";
        for (rtype, octets) in [
            (Rtype::A, r"\# 3 010203"),
            (Rtype::AAAA, r"\# 4 c0000201"),
            (Rtype::CNAME, r"\# 2 0161"),
            (Rtype::CNAME, r"\# 0"),
            (Rtype::MX, r"\# 1 00"),
            (Rtype::TXT, r"\# 1 05"),
            (Rtype::SRV, pointer),
        ] {
            assert_eq!(wire(rtype, octets), Err(RdataError::BadOctets(rtype)), "{octets}");
        }
        assert_eq!(wire(Rtype::OPT, r"\# 0"), Err(RdataError::NotForZones));
    }

    #[test]
    fn the_digest_of_a_ds_record_may_be_cut_anywhere() {
        assert_eq!(wire(Rtype::DS, "258 13 2 01 A bff"), Ok(vec![1, 2, 13, 2, 0x01, 0xab, 0xff]));
        for text in ["258 13 2", "258 13 2 0", "258 13 2 0g", "258 256 2 00", "65536 13 2 00", "258"] {
            assert!(wire(Rtype::DS, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_cannot_smuggle_in_a_second_record() {
        assert!(matches!(wire(Rtype(257), "0 issue \"ca\"\n@ 0 IN A 192.0.2.1"), Err(RdataError::Unreadable(_))));
        assert!(matches!(wire(Rtype::SRV, "1 2 443 www\n@ 0 IN A 192.0.2.1"), Err(RdataError::Fields(_))));
    }
}
