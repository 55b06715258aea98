//! What somebody probably meant: the nearest of the words that exist.

/// The word of `known` that is closest to `word`; `None` when none is close enough to be a slip of the hand.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in three letters: `prot` for `port`, but not `cat` for `dog`.
    let limit = word.chars().count().max(3) / 3;
    known
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|&(distance, _)| distance <= limit)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// What other programs call things, and our word for it: whoever moves here writes theirs first.
const FOREIGN: [(&str, &str); 24] = [
    ("addr", "a"),
    ("address", "a"),
    ("addrs", "members"),
    ("check", "monitor"),
    ("ip", "a"),
    ("ipv4", "a"),
    ("ipv6", "aaaa"),
    // gdnsd
    ("down_thresh", "fall"),
    ("dync", "steer"),
    ("dyna", "steer"),
    ("geoip", "geo"),
    ("http_status", "http"),
    ("metafo", "failover"),
    ("multifo", "round_robin"),
    ("ok_codes", "expect"),
    ("service_types", "monitors"),
    ("tcp_connect", "tcp"),
    ("up_thresh", "rise"),
    ("url_path", "path"),
    ("vhost", "host"),
    ("resources", "pools"),
    ("plugins", "policies"),
    ("datacenters", "sites"),
    ("simplefo", "failover"),
];

/// Our word for what other programs call `word`, where it is one of `known`.
fn translated<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (_, ours) = FOREIGN.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(word))?;
    known.iter().copied().find(|known| known == ours)
}

/// `did you mean …?`, or all that exist, or that none exists.
pub fn did_you_mean<'a>(word: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match translated(word, &known).or_else(|| nearest(word, known.iter().copied())) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => format!("no {what} is defined"),
        // A longer list would bury the message.
        None if known.len() > LIST_MAX => format!("{} and {} more exist", known[..LIST_MAX].join(", "), known.len() - LIST_MAX),
        None => format!("these exist: {}", known.join(", ")),
    }
}

/// Words in a list of all that exist: what fits on two lines of a terminal.
const LIST_MAX: usize = 20;

/// How many letters must be put in, taken out, changed, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_is_understood_and_another_word_is_not() {
        let known = ["interval", "timeout", "port", "path"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("Timeout", known), Some("timeout"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn words_of_other_programs_are_translated_where_ours_would_fit() {
        assert_eq!(did_you_mean("up_thresh", "key", ["port", "rise"]), "did you mean `rise`?");
        assert_eq!(did_you_mean("DYNA", "record type", ["A", "steer"]), "did you mean `steer`?");
        assert_eq!(did_you_mean("up_thresh", "key", ["port"]), "these exist: port");
    }

    #[test]
    fn every_translation_leads_to_a_word_that_exists() {
        let keys: Vec<&str> = crate::config::SCHEMAS.iter().flat_map(|schema| schema.keys).copied().collect();
        let words = ["steer", "geo", "failover", "round_robin", "http", "tcp"];
        for (theirs, ours) in FOREIGN {
            assert!(keys.contains(&ours) || words.contains(&ours), "{theirs} -> {ours}");
            assert!(!keys.contains(&theirs), "`{theirs}` is a word of ours");
        }
    }

    #[test]
    fn swapped_neighbours_are_one_slip() {
        assert_eq!(distance("prot", "port"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn without_a_near_word_all_words_are_listed_unless_they_are_many() {
        assert_eq!(did_you_mean("zzz", "pool", ["aa", "bb"]), "these exist: aa, bb");
        assert_eq!(did_you_mean("zzz", "pool", []), "no pool is defined");
        let many: Vec<String> = (0..21).map(|n| format!("pool-{n}")).collect();
        assert!(did_you_mean("zzz", "pool", many.iter().map(String::as_str)).ends_with("and 1 more exist"));
    }
}
