//! Reads a zone from a master file (RFC 1035 section 5): the format of BIND, NSD, Knot and most others.
//!
//! Text enters by [`read`], a [`ZoneSource`] leaves, with every fault reported where it stands. One record type is ours: `name STEER
//! policy` lets a pool or policy decide the addresses of a name. `$INCLUDE` and `$GENERATE` are refused: every file of a
//! config is named in steersman.yaml, so that what is read can be seen there.
//!
//! Knows no rule about several records of a name; the compiler checks those for all formats alike.

use super::parse::{RdataError, parse_words, soa_rdata};
use super::scan::{Entry, ScanError, Scanner, Word};
use super::source::{OwnerId, Place, ZoneSource, doubled_origin};
use crate::diagnostic::{Diagnostic, Diagnostics, Source, Span, Spanned};
use crate::dns::{Name, Rtype};
use std::ops::Range;
use std::sync::Arc;

/// What names of master files end in.
pub const EXTENSIONS: [&str; 2] = [".zone", ".db"];

/// Whether a file of this name is a master file.
pub fn is_master_file(name: &str) -> bool {
    EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

/// Reads a master file. `None` when no zone can be made of it; what else is faulty is reported and left out.
///
/// Names without a dot at their end are relative to what `$ORIGIN` says; before there is one, to the name of the file
/// without its directory and extension.
pub fn read(source: &Arc<Source>, diagnostics: &mut Diagnostics) -> Option<ZoneSource> {
    if u32::try_from(source.text.len()).is_err() {
        let fault = Diagnostic::error("file-too-large", &Span::start_of(source), "a zone file must be smaller than 4 GiB");
        diagnostics.push(fault.help("delegate parts of the zone and give each a file of its own"));
        return None;
    }
    let mut scanner = Scanner::new(&source.text);
    let mut entry = Entry::default();
    let mut reader = Reader::new(source, diagnostics);
    while let Some(result) = scanner.next(&mut entry) {
        match result {
            Ok(()) => reader.entry(&entry),
            Err((error, range)) => reader.unreadable(error, range),
        }
    }
    reader.finish()
}

/// A master file under way.
struct Reader<'a> {
    source: &'a Arc<Source>,
    text: &'a str,
    diagnostics: &'a mut Diagnostics,
    /// What relative names end in; `None` when the file's name is no domain name and no `$ORIGIN` came.
    origin: Option<Name>,
    /// From `$TTL` (RFC 2308 section 4).
    default_ttl_s: Option<u32>,
    /// The last one written at a record (RFC 1035 section 5.1).
    last_ttl_s: Option<u32>,
    owner: Before,
    /// From the first record on.
    zone: Option<ZoneSource>,
    soa: Option<Place>,
    first_record: Option<Place>,
    wire: Vec<u8>,
    /// The data of an entry that stands on several lines, on one.
    unfolded: String,
}

/// The owner of the record before, which an indented line belongs to.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Owner(OwnerId),
    /// It was faulty, which has been reported.
    Faulty,
}

/// What stands before a record's data.
struct Head {
    ttl_s: Option<(u32, Word)>,
    kind: Kind,
    kind_word: Word,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data(Rtype),
    Steer,
}

/// The largest TTL (RFC 2181 section 8), in seconds.
const TTL_MAX_S: u64 = (1 << 31) - 1;

/// How a record is written, for help.
const SHAPE: &str = "a record is `NAME [TTL] [IN] TYPE DATA`; a line that begins with a blank belongs to the name above it";

impl<'a> Reader<'a> {
    fn new(source: &'a Arc<Source>, diagnostics: &'a mut Diagnostics) -> Reader<'a> {
        let file = source.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = EXTENSIONS.iter().find_map(|extension| file.strip_suffix(extension)).unwrap_or(file);
        let origin = Name::parse(stem, &Name::root()).ok().filter(|_| stem != "@");
        Reader {
            source,
            text: &source.text,
            diagnostics,
            origin,
            default_ttl_s: None,
            last_ttl_s: None,
            owner: Before::Nothing,
            zone: None,
            soa: None,
            first_record: None,
            wire: Vec::new(),
            unfolded: String::new(),
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let first = entry.words[0];
        if !entry.indented && !first.quoted && self.word(first).starts_with('$') {
            self.directive(first, &entry.words[1..]);
        } else {
            self.record(entry);
        }
    }

    fn finish(self) -> Option<ZoneSource> {
        if self.soa.is_none() {
            let at = self.first_record.map_or(Span::start_of(self.source), |place| self.zone_span(place));
            let fault = Diagnostic::error("missing-soa", &at, "the zone has no SOA record");
            self.diagnostics.push(fault.help("begin it with `@ IN SOA ns1 hostmaster.example.com. ( 1 1h 15m 7d 30s )`"));
        }
        self.zone
    }

    //--- Directives

    fn directive(&mut self, name: Word, values: &[Word]) {
        let text = self.word(name);
        let one = |values: &[Word]| match values {
            [value] => Some(*value),
            _ => None,
        };
        match (text.to_ascii_uppercase().as_str(), one(values)) {
            ("$ORIGIN", Some(value)) => self.set_origin(value),
            ("$TTL", Some(value)) => self.default_ttl_s = self.ttl(value),
            ("$ORIGIN" | "$TTL", None) => {
                self.fault("bad-directive", name, format!("`{text}` takes one value"), "write it on the same line");
            }
            ("$INCLUDE", _) => {
                let help = "name the other file under `zones` in steersman.yaml when it is a zone, or copy its records to here";
                self.fault("refused-directive", name, "`$INCLUDE` is not followed", help);
            }
            ("$GENERATE", _) => self.fault("refused-directive", name, "`$GENERATE` is not known here", "write the records out"),
            _ => self.fault("unknown-directive", name, format!("`{text}` is no directive"), "the directives are `$ORIGIN` and `$TTL`"),
        }
    }

    fn set_origin(&mut self, value: Word) {
        if let Some(name) = self.name(value) {
            self.origin = Some(name);
        }
    }

    //--- Records

    fn record(&mut self, entry: &Entry) -> Option<()> {
        let mut words = entry.words.as_slice();
        let written = if entry.indented { None } else { words.split_off_first().copied() };
        let head = self.head(&mut words, entry.words[0]);
        let is_soa = head.as_ref().is_some_and(|head| head.kind == Kind::Data(Rtype::SOA));
        self.first_record.get_or_insert(place(entry.words[0]));
        let owner = self.owner(written, entry.words[0], is_soa);
        let (head, owner) = (head?, owner?);
        match head.kind {
            Kind::Data(Rtype::SOA) => self.soa(owner, &head, words),
            Kind::Data(rtype) => self.data(owner, rtype, &head, words, entry.folded),
            Kind::Steer => self.steer(owner, &head, words),
        }
    }

    /// TTL and class, either first, then the type.
    fn head(&mut self, words: &mut &[Word], first: Word) -> Option<Head> {
        let mut ttl_s = None;
        let mut class = false;
        while let Some(&word) = words.split_off_first() {
            let text = self.word(word);
            if ttl_s.is_none()
                && let Some(seconds) = parse_ttl(text)
            {
                ttl_s = Some((self.bounded_ttl(word, seconds)?, word));
            } else if !class && text.eq_ignore_ascii_case("IN") {
                class = true;
            } else if !class && ["CH", "HS", "CS"].iter().any(|other| text.eq_ignore_ascii_case(other)) {
                self.fault(
                    "bad-class",
                    word,
                    format!("the class `{text}` is not served"),
                    "only the class of the Internet is: `IN`, or nothing",
                );
                return None;
            } else {
                return Some(Head { ttl_s, kind: self.kind(word)?, kind_word: word });
            }
        }
        self.fault("incomplete-record", first, "this record has no type", SHAPE);
        None
    }

    fn kind(&mut self, word: Word) -> Option<Kind> {
        let text = self.word(word);
        let common = match text {
            "A" => Some(Rtype::A),
            "AAAA" => Some(Rtype::AAAA),
            "NS" => Some(Rtype::NS),
            "CNAME" => Some(Rtype::CNAME),
            "MX" => Some(Rtype::MX),
            "TXT" => Some(Rtype::TXT),
            _ => None,
        };
        if let Some(rtype) = common {
            return Some(Kind::Data(rtype));
        }
        if text.eq_ignore_ascii_case("STEER") {
            return Some(Kind::Steer);
        }
        let rtype = Rtype::parse(text);
        if rtype.is_none() {
            self.fault("unknown-type", word, format!("`{text}` is no record type"), SHAPE);
        }
        rtype.map(Kind::Data)
    }

    /// The owner of a record; `None` when there is none, which has been reported.
    fn owner(&mut self, written: Option<Word>, first: Word, is_soa: bool) -> Option<OwnerId> {
        let Some(word) = written else {
            return match self.owner {
                Before::Owner(owner) => Some(owner),
                Before::Faulty => None,
                Before::Nothing => {
                    self.fault(
                        "missing-owner",
                        first,
                        "this line belongs to the name above it, but there is none",
                        "begin the line with a name, or with `@`",
                    );
                    self.owner = Before::Faulty;
                    None
                }
            };
        };
        let owner = self.named_owner(word, is_soa);
        self.owner = owner.map_or(Before::Faulty, Before::Owner);
        owner
    }

    fn named_owner(&mut self, word: Word, is_soa: bool) -> Option<OwnerId> {
        let mut wire = std::mem::take(&mut self.wire);
        wire.clear();
        let owner = self.name_into(word, &mut wire).then(|| {
            wire.make_ascii_lowercase();
            self.begin(word, &wire, is_soa);
            self.zone.as_mut()?.owner(&wire, place(word), self.diagnostics)
        });
        self.wire = wire;
        owner.flatten()
    }

    /// Begins the zone at its first record: the SOA's owner is its name.
    fn begin(&mut self, word: Word, wire: &[u8], is_soa: bool) {
        if self.zone.is_some() {
            return;
        }
        let apex = if is_soa { Name::from_wire(wire) } else { self.origin.clone() };
        // A record is a line, nearly always; what is too much is never touched.
        let lines = self.text.bytes().filter(|&byte| byte == b'\n').count();
        self.zone = apex.map(|apex| ZoneSource::new(self.source, apex, place(word), lines + 1));
    }

    fn data(&mut self, owner: OwnerId, rtype: Rtype, head: &Head, words: &[Word], folded: bool) -> Option<()> {
        let ttl_s = self.ttl_of(head)?;
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            self.fault("incomplete-record", head.kind_word, format!("this {rtype} record has no data"), SHAPE);
            return None;
        };
        let whole = first.outer().start..last.outer().end;
        let origin = self.origin_or_report(head.kind_word)?;
        let text = self.text;
        let mut unfolded = std::mem::take(&mut self.unfolded);
        let line = if folded { unfold(words, text, &mut unfolded) } else { &text[whole.clone()] };
        let zone = self.zone.as_mut()?;
        let result = zone.record(owner, rtype, ttl_s, Place::from(whole.clone()), |out| {
            if rtype == Rtype::TXT && !line.starts_with("\\#") {
                return strings(words.iter().map(|word| &text[word.range()]), out);
            }
            parse_words(rtype, words.iter().map(|word| &text[word.outer()]), line, &origin, out)
        });
        (self.origin, self.unfolded) = (Some(origin), unfolded);
        let error = result.err()?;
        let message = format!("`{}` is no {rtype} data: {error}", self.text[whole.clone()].lines().next().unwrap_or_default());
        self.report("bad-record", whole, message, data_help(&error, rtype));
        None
    }

    fn steer(&mut self, owner: OwnerId, head: &Head, words: &[Word]) -> Option<()> {
        if let Some((_, word)) = head.ttl_s {
            self.fault("steered-ttl", word, "a steered name has no TTL here", "its TTL comes from the policy or pool: set `ttl` there");
        }
        let &[word] = words else {
            self.fault("bad-steer", head.kind_word, "expected one name of a policy or pool behind `STEER`", "write `www STEER web`");
            return None;
        };
        let policy = Spanned { value: self.word(word).to_owned(), span: self.span(word) };
        self.zone.as_mut()?.steer(owner, policy);
        Some(())
    }

    fn soa(&mut self, owner: OwnerId, head: &Head, words: &[Word]) -> Option<()> {
        let at = head.kind_word;
        if let Some(first) = self.soa {
            let fault = Diagnostic::error("second-soa", &self.span(at), "the zone has a second SOA record");
            let fault = fault.also(&self.zone_span(first), "the first one").help("remove one of them: a file holds one zone");
            self.diagnostics.push(fault);
            return None;
        }
        self.soa = Some(place(at));
        let zone = self.zone.as_ref()?;
        let (at_apex, late) = (owner == zone.apex().id(), zone.owners().any(|owner| owner.records().next().is_some()));
        if late || !zone.steered().is_empty() || !at_apex {
            let help = "move it to the top of the file: its owner is the name of the zone";
            self.fault("late-soa", at, "the SOA record is not the first record", help);
            return None;
        }
        let &[mname, rname, serial, ref times @ ..] = words else { return self.short_soa(at) };
        let &[refresh, retry, expire, minimum] = times else { return self.short_soa(at) };
        let names = (self.name(mname), self.mailbox(rname));
        let serial = self.serial(serial);
        let [refresh, retry, expire, minimum] = [refresh, retry, expire, minimum].map(|word| self.ttl(word));
        for (name, word) in [(&names.0, mname), (&names.1, rname)] {
            let origin = self.zone.as_ref()?.origin();
            let fault = name.as_ref().and_then(|name| doubled_origin(name.wire(), origin, &self.span(word)));
            self.diagnostics.extend(fault);
        }
        let (mname, rname) = (names.0?, names.1?);
        let rdata = soa_rdata(&mname, &rname, [serial?, refresh?, retry?, expire?, minimum?]);
        let ttl_s = head.ttl_s.map(|(ttl_s, _)| ttl_s);
        self.last_ttl_s = ttl_s.or(self.last_ttl_s);
        // RFC 1035 section 3.3.13: where no TTL is written, it is the minimum of the SOA.
        let ttl_s = ttl_s.or(self.default_ttl_s).or(minimum)?;
        self.zone.as_mut()?.set_soa(ttl_s, place(at), &rdata);
        Some(())
    }

    fn short_soa(&mut self, at: Word) -> Option<()> {
        let help = "write `SOA ns1 hostmaster.example.com. ( SERIAL REFRESH RETRY EXPIRE MINIMUM )`";
        self.fault("bad-soa", at, "an SOA record has two names and five numbers", help);
        None
    }

    //--- Words

    fn word(&self, word: Word) -> &'a str {
        &self.text[word.range()]
    }

    fn name(&mut self, word: Word) -> Option<Name> {
        let mut wire = Vec::new();
        self.name_into(word, &mut wire).then(|| Name::from_wire(&wire))?
    }

    /// Appends the name in wire form, unless it is faulty.
    fn name_into(&mut self, word: Word, wire: &mut Vec<u8>) -> bool {
        let text = self.word(word);
        let root = Name::root();
        let origin = match &self.origin {
            Some(origin) => origin,
            None if text.ends_with('.') => &root,
            None => return self.origin_or_report(word).is_some(),
        };
        let Err(error) = Name::parse_into(text, origin, wire) else { return true };
        let message = format!("`{text}` is no domain name: {error}");
        self.fault("bad-domain-name", word, message, "write labels with dots between them; a name with a dot at its end is complete");
        false
    }

    /// Takes what relative names end in; to be put back.
    fn origin_or_report(&mut self, word: Word) -> Option<Name> {
        let origin = self.origin.take();
        if origin.is_none() {
            let help = "write `$ORIGIN example.com.` at the top, or call the file `example.com.zone`";
            self.fault("missing-origin", word, "nothing says what relative names are relative to", help);
        }
        origin
    }

    fn mailbox(&mut self, word: Word) -> Option<Name> {
        let text = self.word(word);
        let Some((user, host)) = text.split_once('@').filter(|(user, _)| !user.is_empty()) else { return self.name(word) };
        let help = format!("write it as a name: `{}.{}.`", user.replace('.', "\\."), host.trim_end_matches('.'));
        self.fault("bad-mailbox", word, format!("`{text}` is not how DNS writes a mailbox"), help);
        None
    }

    fn serial(&mut self, word: Word) -> Option<u32> {
        let text = self.word(word);
        let serial = text.parse().ok();
        if serial.is_none() {
            self.fault("bad-serial", word, format!("`{text}` is no serial"), "write a number from 0 to 4294967295");
        }
        serial
    }

    fn ttl(&mut self, word: Word) -> Option<u32> {
        let text = self.word(word);
        let Some(seconds) = parse_ttl(text) else {
            self.fault(
                "bad-ttl",
                word,
                format!("`{text}` is no time"),
                "write seconds, or numbers with units: `300`, `5m`, `1h30m`, `7d`, `2w`",
            );
            return None;
        };
        self.bounded_ttl(word, seconds)
    }

    fn bounded_ttl(&mut self, word: Word, seconds: u64) -> Option<u32> {
        let bounded = u32::try_from(seconds).ok().filter(|_| seconds <= TTL_MAX_S);
        if bounded.is_none() {
            self.fault("bad-ttl", word, format!("`{}` is too long", self.word(word)), "the longest that DNS can say is 2147483647 seconds");
        }
        bounded
    }

    /// The TTL of a record: its own, that of `$TTL`, the last one written (RFC 1035 section 5.1), the SOA's minimum.
    fn ttl_of(&mut self, head: &Head) -> Option<u32> {
        if let Some((ttl_s, _)) = head.ttl_s {
            self.last_ttl_s = Some(ttl_s);
            return Some(ttl_s);
        }
        self.default_ttl_s.or(self.last_ttl_s).or_else(|| self.soa_ttl_s())
    }

    fn soa_ttl_s(&self) -> Option<u32> {
        // Without an SOA record the file is faulty, whatever the TTL.
        Some(self.zone.as_ref()?.soa().map_or(0, |soa| soa.ttl_s))
    }

    //--- Faults

    fn span(&self, word: Word) -> Span {
        Span::new(self.source, word.range())
    }

    fn zone_span(&self, place: Place) -> Span {
        Span::new(self.source, place.range())
    }

    fn fault(&mut self, code: &'static str, word: Word, message: impl Into<String>, help: impl Into<String>) {
        self.report(code, word.outer(), message, help);
    }

    fn report(&mut self, code: &'static str, range: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(code, &Span::new(self.source, range), message).help(help));
    }

    fn unreadable(&mut self, error: ScanError, range: Range<usize>) {
        match error {
            ScanError::UnclosedQuote => {
                self.report("unclosed-quote", range, "this quote is not closed", "close it on the same line; a quote inside is `\\\"`");
            }
            ScanError::UnclosedParenthesis => {
                self.report("unclosed-parenthesis", range, "this parenthesis is not closed", "write `)` behind the record's last word");
            }
            ScanError::StrayParenthesis => {
                self.report("stray-parenthesis", range, "this parenthesis closes nothing", "remove it, or write `(` before it");
            }
        }
    }
}

fn place(word: Word) -> Place {
    Place::from(word.outer())
}

/// The words on one line, with their quotes.
fn unfold<'l>(words: &[Word], text: &str, line: &'l mut String) -> &'l str {
    line.clear();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&text[word.outer()]);
    }
    line
}

fn data_help(error: &RdataError, rtype: Rtype) -> String {
    // Elsewhere the type is a key.
    if let RdataError::WrongFamily(other) = error { format!("write `{other}` instead of `{rtype}`") } else { error.help(rtype) }
}

/// Seconds, from a number or from numbers with units: `300`, `1h30m`. `None` when it is neither.
fn parse_ttl(text: &str) -> Option<u64> {
    let mut sum: u64 = 0;
    let mut number: Option<u64> = None;
    for byte in text.bytes() {
        if byte.is_ascii_digit() {
            number = Some(number.unwrap_or(0).saturating_mul(10).saturating_add(u64::from(byte - b'0')));
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        sum = sum.saturating_add(number.take()?.saturating_mul(unit));
    }
    match number {
        Some(seconds) => Some(sum.saturating_add(seconds)),
        None => (!text.is_empty()).then_some(sum),
    }
}

/// The strings of a TXT record, a word each, with their escapes read.
fn strings<'t>(words: impl Iterator<Item = &'t str>, out: &mut Vec<u8>) -> Result<(), RdataError> {
    for word in words {
        let length_at = out.len();
        out.push(0);
        let mut bytes = word.bytes();
        while let Some(byte) = bytes.next() {
            out.push(if byte == b'\\' { crate::dns::unescape(&mut bytes)? } else { byte });
        }
        out[length_at] = u8::try_from(out.len() - length_at - 1).map_err(|_| RdataError::StringTooLong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    fn read_text(name: &str, text: &str) -> (Option<ZoneSource>, Diagnostics) {
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let mut diagnostics = Diagnostics::new();
        (read(&source, &mut diagnostics), diagnostics)
    }

    /// Every record as `owner ttl type` and its octets in hex.
    fn records(text: &str) -> Vec<String> {
        let (zone, diagnostics) = read_text("zones/example.zone", text);
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        let zone = zone.expect("a zone");
        let mut lines = Vec::new();
        for owner in zone.owners() {
            for record in owner.records() {
                let octets = record.rdata.iter().fold(String::new(), |hex, octet| hex + &format!("{octet:02x}"));
                lines.push(format!("{} {} {} {octets}", owner.name(), record.ttl_s, record.rtype));
            }
        }
        lines
    }

    #[test]
    fn relative_names_end_in_the_files_name_until_a_directive_says_otherwise() {
        let text = "@ 9 SOA . . 1 2 3 4 5\na NS b\n$ORIGIN sub\n@ NS .\n\tNS c\n$ORIGIN example.\nd NS .\n";
        let expected = [
            "example. 9 SOA 00000000000100000002000000030000000400000005",
            "a.example. 9 NS 0162076578616d706c6500",
            "sub.example. 9 NS 00",
            "sub.example. 9 NS 016303737562076578616d706c6500",
            "d.example. 9 NS 00",
        ];
        assert_eq!(records(text), expected);
    }

    #[test]
    fn a_ttl_is_the_records_own_then_the_directives_then_the_last_one_written_then_the_minimum() {
        let ttls = |text: &str| -> Vec<String> {
            let lines = records(text);
            lines.iter().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect()
        };
        assert_eq!(ttls("@ SOA . . 1 2 3 4 5\na NS .\nb 7 NS .\nc NS .\n"), ["5", "5", "7", "7"]);
        assert_eq!(
            ttls("$TTL 1h\n@ SOA . . 1 2 3 4 5\nb IN 7 NS .\nc NS .\n$TTL 1w2d3h4m5s\nd 0 IN NS .\ne NS .\n"),
            ["3600", "7", "3600", "0", "788645"]
        );
        assert_eq!(ttls("@ 8 SOA . . 1 2 3 4 5\na NS .\n"), ["8", "8"]);
    }

    #[test]
    fn the_longest_ttl_has_31_bits() {
        assert!(!read_text("example.zone", "@ 2147483647 SOA . . 1 2 3 4 5\n").1.has_errors());
        assert!(read_text("example.zone", "@ 2147483648 SOA . . 1 2 3 4 5\n").1.has_errors());
        assert!(read_text("example.zone", "@ 99999999999999999999w SOA . . 1 2 3 4 5\n").1.has_errors());
    }

    #[test]
    fn strings_are_words_or_quoted_with_escapes_and_at_most_255_octets() {
        let text = |data: &str| records(&format!("@ SOA . . 1 2 3 4 5\na TXT {data}\n")).pop().expect("a record");
        assert_eq!(text(r#"a "" "b c""#), "a.example. 5 TXT 01610003622063");
        assert_eq!(text(r#""\"\;\065" \\x"#), "a.example. 5 TXT 03223b41025c78");
        assert_eq!(text(r"\# 2 0141"), "a.example. 5 TXT 0141");
        assert!(text(&"x".repeat(255)).ends_with("78"));
        assert!(read_text("example.zone", &format!("@ SOA . . 1 2 3 4 5\na TXT {}\n", "x".repeat(256))).1.has_errors());
    }

    #[test]
    fn every_extension_of_a_master_file_is_recognised_and_no_other() {
        assert!(is_master_file("zones/a.zone") && is_master_file("b.db"));
        assert!(!is_master_file("a.yaml") && !is_master_file("a.zone.yaml") && !is_master_file("zone"));
    }

    /// Pieces that master files are made of, and some that they are not.
    const PIECES: [&str; 40] = [
        "\n",
        "\n",
        " ",
        "\t",
        "(",
        ")",
        "\"",
        ";",
        "\\",
        "\\0",
        "\\065",
        ".",
        "@",
        "*",
        "*.",
        "$ORIGIN ",
        "$TTL ",
        "$INCLUDE ",
        "IN ",
        "CH ",
        "300 ",
        "1h",
        "A ",
        "AAAA ",
        "NS ",
        "MX 10 ",
        "CNAME ",
        "SOA ",
        "TXT ",
        "SRV 1 2 3 ",
        "DS 1 13 2 ",
        "TYPE65280 ",
        "\\# 4 ",
        "0a",
        "STEER ",
        "example.",
        "www",
        "192.0.2.1",
        "é",
        "@ SOA . . 1 2 3 4 5\n",
    ];

    /// How one record may be laid out without meaning anything else.
    fn lay_out(style: u8, owner: &str, same_owner: bool, ttl: u32, addr: [u8; 4]) -> String {
        let owner = match style & 3 {
            _ if same_owner && style & 4 != 0 => " ".to_owned(),
            0 => owner.to_uppercase(),
            1 => format!("{owner}.example."),
            2 => format!("\\{:03}{}", owner.as_bytes()[0], &owner[1..]),
            _ => owner.to_owned(),
        };
        let head = match style >> 3 & 3 {
            0 => format!("{ttl} IN"),
            1 => format!("in {ttl}"),
            2 => format!("{ttl}s"),
            _ => format!("IN\t{}m{}", ttl / 60, ttl % 60),
        };
        let [a, b, c, d] = addr;
        let data = match style >> 5 & 3 {
            0 => format!("A {a}.{b}.{c}.{d}"),
            1 => format!("( A ; why\n  {a}.{b}.{c}.{d} )"),
            2 => format!("a \\# 4 {a:02x}{b:02X} {c:02x}{d:02x}"),
            _ => format!("TYPE1 {a}.{b}.{c}.{d} ; the end"),
        };
        format!("{owner} {head} {data}\n")
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_can_be_laid_out(
            pieces in prop::collection::vec(prop_oneof![prop::sample::select(&PIECES[..]).prop_map(str::to_owned), any::<String>()], 0..60)
        ) {
            let text = pieces.concat();
            let (zone, _) = read_text("zones/example.zone", &text);
            let zones = crate::zone::Zones::build(zone.into_iter().collect());
            prop_assert!(zones.iter().count() <= 1);
        }

        #[test]
        fn the_layout_of_a_record_means_nothing(
            rows in prop::collection::vec((any::<u8>(), "[a-z]{1,3}", 0_u32..100_000, any::<[u8; 4]>()), 1..20)
        ) {
            let (mut plain, mut fancy) = ("@ SOA . . 1 2 3 4 5\n".to_owned(), "@ SOA ( . .\n1 2 3\n4 5 )\n".to_owned());
            let mut before = String::new();
            for (style, owner, ttl, [a, b, c, d]) in rows {
                writeln!(plain, "{owner} {ttl} IN A {a}.{b}.{c}.{d}").expect("writing to a string succeeds");
                fancy.push_str(&lay_out(style, &owner, owner == before, ttl, [a, b, c, d]));
                before = owner;
            }
            prop_assert_eq!(records(&plain), records(&fancy));
        }
    }
}
