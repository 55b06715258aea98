//! Codes of two letters: continents and countries.

use std::fmt;

/// An upper-case ISO code of two letters: a country (ISO 3166-1) or a continent (AF AN AS EU NA OC SA).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Code(pub [u8; 2]);

impl Code {
    /// The continents as the databases write them: Africa, Antarctica, Asia, Europe, North America, Oceania, South America.
    pub const CONTINENTS: [Code; 7] = [Code(*b"AF"), Code(*b"AN"), Code(*b"AS"), Code(*b"EU"), Code(*b"NA"), Code(*b"OC"), Code(*b"SA")];

    /// Exactly two ASCII letters of either case; nothing else is a code.
    pub fn parse(text: &str) -> Option<Code> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_alphabetic).then(|| Code(letters.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Whether it names a continent.
    pub fn is_continent(self) -> bool {
        Code::CONTINENTS.contains(&self)
    }

    /// Whether it names a country: assigned in ISO 3166-1, or `XK`, which the databases use for Kosovo.
    pub fn is_country(self) -> bool {
        COUNTRIES.as_bytes().chunks(3).any(|entry| entry.starts_with(&self.0))
    }

    /// The country that was probably meant by a code that is none: `UK` is GB, `EL` is GR.
    pub fn meant_country(self) -> Option<Code> {
        MISTAKEN.iter().find(|(written, _)| *written == self).map(|(_, meant)| *meant)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

/// What people write for a country, and its code: a name in common use, the European Union's own style, a language.
const MISTAKEN: [(Code, Code); 3] = [(Code(*b"UK"), Code(*b"GB")), (Code(*b"EL"), Code(*b"GR")), (Code(*b"EN"), Code(*b"GB"))];

/// ISO 3166-1 alpha-2, officially assigned, and XK.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT \
    BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM \
    FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO \
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT \
    MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA \
    SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US \
    UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_two_letters_of_either_case_and_nothing_else() {
        assert_eq!(Code::parse("de"), Some(Code(*b"DE")));
        assert_eq!(Code::parse("De").map(|code| code.to_string()), Some("DE".to_owned()));
        for text in ["", "D", "DEU", "D1", "D ", "ü", "--"] {
            assert_eq!(Code::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_country_is_one_of_the_249_assigned_codes_or_kosovo() {
        let known = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'Z').map(move |b| Code([a, b]))).filter(|code| code.is_country());
        assert_eq!(known.count(), 249 + 1);
        for (text, expected) in [("DE", true), ("AD", true), ("ZW", true), ("XK", true), ("UK", false), ("EU", false), ("ZZ", false)] {
            assert_eq!(Code::parse(text).is_some_and(Code::is_country), expected, "{text}");
        }
    }

    #[test]
    fn a_mistaken_code_names_the_country_that_was_meant() {
        assert_eq!(Code(*b"UK").meant_country(), Some(Code(*b"GB")));
        assert_eq!(Code(*b"DE").meant_country(), None);
        for (written, meant) in MISTAKEN {
            assert!(!written.is_country() && meant.is_country(), "{written} {meant}");
        }
    }
}
