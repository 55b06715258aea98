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
        if text == "@" {
            return Ok(origin.clone());
        }
        let mut wire = Vec::with_capacity(text.len() + 2);
        if text == "." {
            return Ok(Name::root());
        }
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let mut ended = false;
        while let Some(byte) = bytes.next() {
            ended = false;
            match byte {
                b'.' => {
                    push_label(&mut wire, &mut label)?;
                    ended = true;
                }
                b'\\' => label.push(unescape(&mut bytes)?),
                0x80.. => return Err(NameError::NotAscii),
                _ => label.push(byte),
            }
        }
        if ended {
            wire.push(0);
        } else {
            push_label(&mut wire, &mut label)?;
            wire.extend_from_slice(&origin.0);
        }
        if wire.len() > 255 { Err(NameError::NameTooLong) } else { Ok(Name(wire.into())) }
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

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), NameError> {
    let len = u8::try_from(label.len()).ok().filter(|&len| len <= 63).ok_or(NameError::LabelTooLong)?;
    if len == 0 {
        return Err(NameError::EmptyLabel);
    }
    wire.push(len);
    wire.append(label);
    Ok(())
}

fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
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
