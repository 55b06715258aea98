//! Domain names in wire form.

use std::fmt;

/// An absolute domain name in uncompressed wire form: labels with their lengths, ended by the root's zero octet.
/// Case is kept as written; comparisons that must ignore it go through [`Name::lowercase`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<[u8]>);

/// Why a text is not a domain name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// Nothing between two dots, or at the start.
    EmptyLabel,
    /// A label of more than 63 octets (RFC 1035 section 2.3.4).
    LabelTooLong,
    /// More than 255 octets in all (RFC 1035 section 2.3.4).
    NameTooLong,
    /// A backslash that begins no `\DDD` or `\X` (RFC 1035 section 5.1).
    BadEscape,
    /// A character beyond ASCII; internationalised names are written in their `xn--` form.
    NotAscii,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::EmptyLabel => "a label is empty: two dots in a row, or a dot at the start",
            NameError::LabelTooLong => "a label is longer than 63 octets",
            NameError::NameTooLong => "the name is longer than 255 octets",
            NameError::BadEscape => "a backslash must be followed by three digits (\\DDD, up to 255) or one character",
            NameError::NotAscii => "only ASCII is allowed; write internationalised names in their xn-- form",
        })
    }
}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Parses master file text (RFC 1035 section 5.1). A name without a dot at its end is relative to `origin`; `@` is
    /// `origin` itself.
    ///
    /// # Errors
    /// When a label or the whole is malformed.
    pub fn parse(text: &str, origin: &Name) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 1 + origin.0.len());
        Name::parse_into(text, origin, &mut wire)?;
        Ok(Name(wire.into()))
    }

    /// As [`Name::parse`], but appends the wire form to `wire`: for those who read a million names.
    ///
    /// # Errors
    /// When a label or the whole is malformed; what was appended by then means nothing.
    pub fn parse_into(text: &str, origin: &Name, wire: &mut Vec<u8>) -> Result<(), NameError> {
        match text {
            "@" => wire.extend_from_slice(&origin.0),
            "." => wire.push(0),
            _ => return parse_labels(text, origin, wire),
        }
        Ok(())
    }

    /// The name of uncompressed wire bytes; `None` unless they are exactly one well-formed name.
    pub fn from_wire(wire: &[u8]) -> Option<Name> {
        let mut at = 0;
        while let Some(&len) = wire.get(at) {
            match len {
                0 if at + 1 == wire.len() && wire.len() <= 255 => return Some(Name(wire.into())),
                1..=63 => at += 1 + usize::from(len),
                _ => return None,
            }
        }
        None
    }

    /// The wire form, the root's zero octet included: 1 to 255 octets.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The same name with A to Z folded: names are equal when these are (RFC 4343).
    #[must_use]
    pub fn lowercase(&self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// The labels from left to right, without the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (&len, tail) = rest.split_first()?;
            if len == 0 {
                return None;
            }
            let (label, tail) = tail.split_at(usize::from(len));
            rest = tail;
            Some(label)
        })
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let len = usize::from(self.0[0]);
        (len > 0).then(|| Name(self.0[1 + len..].into()))
    }

    /// Whether this name is `ancestor` or below it; case is ignored.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        let Some(above) = self.0.len().checked_sub(ancestor.0.len()) else { return false };
        let mut start = 0;
        while start < above {
            start += 1 + usize::from(self.0[start]);
        }
        // Only at the start of a label: `badexample.` ends like `example.` and is not below it.
        start == above && self.0[above..].eq_ignore_ascii_case(&ancestor.0)
    }
}

/// The name in wire form, then the one above it, and so on to the root.
pub fn suffixes(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(wire);
    std::iter::from_fn(move || {
        let name = rest.filter(|name| !name.is_empty())?;
        rest = match name[0] {
            0 => None,
            len => name.get(1 + usize::from(len)..),
        };
        Some(name)
    })
}

/// The length of the uncompressed name at the front of `bytes`, its root included; `None` when there is none.
pub fn name_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 if at < 255 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            _ => return None,
        }
    }
}

fn parse_labels(text: &str, origin: &Name, wire: &mut Vec<u8>) -> Result<(), NameError> {
    let start = wire.len();
    let mut label_at = start;
    wire.push(0);
    let mut bytes = text.bytes();
    let mut ended = false;
    while let Some(byte) = bytes.next() {
        ended = false;
        match byte {
            b'.' => {
                end_label(wire, label_at)?;
                label_at = wire.len();
                wire.push(0);
                ended = true;
            }
            b'\\' => wire.push(unescape(&mut bytes)?),
            0x80.. => return Err(NameError::NotAscii),
            _ => wire.push(byte),
        }
    }
    if !ended {
        end_label(wire, label_at)?;
        wire.extend_from_slice(&origin.0);
    }
    if wire.len() - start > 255 { Err(NameError::NameTooLong) } else { Ok(()) }
}

/// Writes the length of the label that began at `label_at` and ends here.
fn end_label(wire: &mut [u8], label_at: usize) -> Result<(), NameError> {
    let len = u8::try_from(wire.len() - label_at - 1).ok().filter(|&len| len <= 63).ok_or(NameError::LabelTooLong)?;
    if len == 0 {
        return Err(NameError::EmptyLabel);
    }
    wire[label_at] = len;
    Ok(())
}

/// The octet that an escape of master file text stands for (RFC 1035 section 5.1); `bytes` is what follows its backslash.
///
/// # Errors
/// [`NameError::BadEscape`] when it is neither three digits up to 255 nor one character.
pub fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or(NameError::BadEscape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::BadEscape)
}

impl fmt::Display for Name {
    /// Master file text, absolute: `www.example.com.`; the root is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", char::from(byte))?,
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text, &Name::root()).expect("a name")
    }

    #[test]
    fn a_relative_name_gets_the_origin_and_an_absolute_one_does_not() {
        let origin = name("example.com.");
        assert_eq!(Name::parse("www", &origin).expect("a name").to_string(), "www.example.com.");
        assert_eq!(Name::parse("www.", &origin).expect("a name").to_string(), "www.");
        assert_eq!(Name::parse("@", &origin).expect("a name"), origin);
        assert_eq!(Name::parse(".", &origin).expect("a name"), Name::root());
    }

    #[test]
    fn labels_of_63_octets_and_names_of_255_are_the_longest() {
        let root = Name::root();
        assert!(Name::parse(&"a".repeat(63), &root).is_ok());
        assert_eq!(Name::parse(&"a".repeat(64), &root), Err(NameError::LabelTooLong));
        let label = "a".repeat(61);
        let longest = format!("{label}.{label}.{label}.{}a.a.", "a".repeat(64 - 2));
        assert_eq!(name(&longest).wire().len(), 61 * 3 + 3 + 64 + 2 + 1);
        let full = format!("{}.{}.{}.{}", "a".repeat(63), "a".repeat(63), "a".repeat(63), "a".repeat(61));
        assert_eq!(name(&full).wire().len(), 255);
        assert_eq!(Name::parse(&format!("{full}a"), &root), Err(NameError::NameTooLong));
    }

    #[test]
    fn escapes_are_read_and_written_back() {
        assert_eq!(name(r"a\.b.c.").to_string(), r"a\.b.c.");
        assert_eq!(name(r"\000\255.c.").to_string(), r"\000\255.c.");
        assert_eq!(Name::parse(r"\256.", &Name::root()), Err(NameError::BadEscape));
        assert_eq!(Name::parse(r"\25", &Name::root()), Err(NameError::BadEscape));
        assert_eq!(Name::parse("a..b", &Name::root()), Err(NameError::EmptyLabel));
        assert_eq!(Name::parse("bücher.de.", &Name::root()), Err(NameError::NotAscii));
    }

    #[test]
    fn a_name_is_within_its_ancestors_at_label_boundaries_only() {
        assert!(name("a.Example.com.").is_within(&name("example.COM.")));
        assert!(name("example.com.").is_within(&name("example.com.")));
        assert!(!name("badexample.com.").is_within(&name("example.com.")));
        assert!(name("com.").is_within(&Name::root()));
    }
}
