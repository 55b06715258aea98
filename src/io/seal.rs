//! A checksum at the end of a JSON object, as its last member: what was torn, zeroed or flipped on its way through a disk is noticed,
//! and whoever reads the text by other means still finds plain JSON.
//!
//! CRC-32C (RFC 3720 appendix B.4) over all octets before the seal. It finds every single flipped bit and every burst up to 32 bits;
//! it is no protection against anybody who writes on purpose.

/// `json`, an object with at least one member and nothing after its brace, with a seal.
pub fn seal(json: &str) -> String {
    let body = json.strip_suffix('}').unwrap_or(json);
    format!("{body}{HEAD}{:08x}{TAIL}", crc32c(body.as_bytes()))
}

/// Whether `text` is sealed and nothing of it has changed since. White space at its end says nothing.
pub fn is_intact(text: &str) -> bool {
    let parts = || {
        let text = text.trim_ascii_end().strip_suffix(TAIL)?;
        let (text, digits) = text.split_at_checked(text.len().checked_sub(DIGITS)?)?;
        Some((text.strip_suffix(HEAD)?, digits))
    };
    parts().is_some_and(|(body, digits)| format!("{:08x}", crc32c(body.as_bytes())) == digits)
}

const HEAD: &str = ",\"crc32c\":\"";
const TAIL: &str = "\"}";
const DIGITS: usize = 8;

/// The CRC with the polynomial of Castagnoli.
fn crc32c(octets: &[u8]) -> u32 {
    !octets.iter().fold(!0, |crc, octet| TABLE[usize::from(crc.to_le_bytes()[0] ^ octet)] ^ crc >> 8)
}

/// What each octet does to the checksum.
const TABLE: [u32; 256] = {
    /// The polynomial, its lowest bit first.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut octet: u32 = 0;
    while octet < 256 {
        let (mut crc, mut bit) = (octet, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[octet as usize] = crc;
        octet += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720 appendix B.4");
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn what_is_sealed_is_json_and_intact_until_anything_changes() {
        let sealed = seal(r#"{"a":1,"b":"}"}"#);
        let value: serde_json::Value = serde_json::from_str(&sealed).expect("JSON");
        assert_eq!((&value["a"], &value["b"]), (&1.into(), &"}".into()));
        assert!(is_intact(&sealed) && is_intact(&format!("{sealed}\n")));
        for end in 0..sealed.len() {
            assert!(!is_intact(&sealed[..end]), "{end}");
        }
        for at in 0..sealed.len() * 8 {
            let mut octets = sealed.clone().into_bytes();
            octets[at / 8] ^= 1 << (at % 8);
            assert!(!std::str::from_utf8(&octets).is_ok_and(is_intact), "{at}");
        }
        assert!(!is_intact("") && !is_intact("{}"));
    }
}
