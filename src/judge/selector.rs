//! Which members an operator means: `member:fra-*`, `pool:web`, `site:fra`, `web/fra-1`, or just `fra-1`.

use std::fmt;
use std::str::FromStr;

/// A choice of members by name. `*` stands for any letters, `?` for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// Members of this name, in whatever pool.
    Member(String),
    /// All members of the pools of this name.
    Pool(String),
    /// All members that stand in the sites of this name.
    Site(String),
    /// Members of this name in pools of that name.
    Both {
        /// The pools.
        pool: String,
        /// The members.
        member: String,
    },
}

impl Selector {
    /// Whether a member is meant.
    pub fn selects(&self, pool: &str, member: &str, site: Option<&str>) -> bool {
        match self {
            Selector::Member(glob) => matches(glob, member),
            Selector::Pool(glob) => matches(glob, pool),
            Selector::Site(glob) => site.is_some_and(|site| matches(glob, site)),
            Selector::Both { pool: pools, member: members } => matches(pools, pool) && matches(members, member),
        }
    }
}

impl FromStr for Selector {
    type Err = NotASelector;

    fn from_str(text: &str) -> Result<Selector, NotASelector> {
        let glob = |text: &str| is_glob(text).then(|| text.to_owned()).ok_or(NotASelector);
        match text.split_once(':') {
            Some(("member", name)) => return glob(name).map(Selector::Member),
            Some(("pool", name)) => return glob(name).map(Selector::Pool),
            Some(("site", name)) => return glob(name).map(Selector::Site),
            Some(_) => return Err(NotASelector),
            None => {}
        }
        match text.split_once('/') {
            Some((pool, member)) => Ok(Selector::Both { pool: glob(pool)?, member: glob(member)? }),
            None => glob(text).map(Selector::Member),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Member(glob) => write!(f, "member:{glob}"),
            Selector::Pool(glob) => write!(f, "pool:{glob}"),
            Selector::Site(glob) => write!(f, "site:{glob}"),
            Selector::Both { pool, member } => write!(f, "{pool}/{member}"),
        }
    }
}

/// A text that selects nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotASelector;

impl fmt::Display for NotASelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write `member:NAME`, `pool:NAME`, `site:NAME` or `POOL/MEMBER`; `*` and `?` stand for any letters")
    }
}

/// Whether names of a config could match it.
fn is_glob(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.*?".contains(&byte))
}

/// Whether `name` matches `glob`, in time linear in both for every star.
fn matches(glob: &str, name: &str) -> bool {
    let (glob, name) = (glob.as_bytes(), name.as_bytes());
    let (mut at, mut star, mut resume) = (0, None, 0);
    let mut position = 0;
    while position < name.len() {
        match glob.get(at) {
            Some(b'*') => {
                (star, resume) = (Some(at), position);
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[position] => {
                at += 1;
                position += 1;
            }
            Some(_) | None => {
                // The last star takes one letter more.
                let Some(star) = star else { return false };
                resume += 1;
                (at, position) = (star + 1, resume);
            }
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_matches_whole_names() {
        for (glob, name, expected) in [
            ("fra-1", "fra-1", true),
            ("fra-1", "fra-10", false),
            ("fra-*", "fra-10", true),
            ("fra-?", "fra-10", false),
            ("*", "", true),
            ("*-1*0", "fra-1-100", true),
            ("*a*b", "aab", true),
            ("*a*b", "aaba", false),
            ("?", "", false),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
    }

    #[test]
    fn a_selector_means_members_by_name_pool_or_site() {
        let selects = |text: &str| text.parse::<Selector>().expect("a selector").selects("web", "fra-1", Some("fra"));
        for text in ["fra-1", "member:fra-*", "pool:web", "pool:w*", "site:fra", "web/fra-1", "*/*"] {
            assert!(selects(text), "{text}");
        }
        for text in ["fra", "pool:fra", "site:nyc", "api/fra-1", "web/nyc-*"] {
            assert!(!selects(text), "{text}");
        }
        assert!(!Selector::Site("*".into()).selects("web", "fra-1", None));
    }

    #[test]
    fn a_selector_reads_back_as_it_is_shown_and_nonsense_is_none() {
        for text in ["member:fra-*", "pool:web", "site:fra", "web/fra-?"] {
            assert_eq!(text.parse::<Selector>().expect("a selector").to_string(), text);
        }
        for text in ["", "pools:web", "pool:", "web/", "a b", "pool:web/fra"] {
            assert_eq!(text.parse::<Selector>(), Err(NotASelector), "{text}");
        }
    }
}
