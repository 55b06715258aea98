//! What happened to members and pools, in words: one line per change of a verdict or a grade.

use super::words::outlook;
use crate::clock::Moment;
use crate::health::{DoubtChange, Observation, Status};
use crate::human::{count, span};
use crate::ids::{PoolId, TargetId};
use crate::judge::{Event, Override, Selector};
use crate::policy::Grade;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Something that answers may show.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// The verdict on a member's address changed.
    Member(MemberChange),
    /// A member's address became slow against its siblings, or stopped to be.
    Pace(PaceChange),
    /// The grade of a pool changed.
    Pool(PoolChange),
    /// The verdict on a canary changed: this node sees better or worse whether it sees.
    Canary(CanaryChange),
    /// This node began or stopped to doubt its own sight.
    Sight(DoubtChange),
    /// What operators ordered came about, or to its end.
    Override(OverrideChange),
    /// Probes stopped to come back, or came back again.
    Probes {
        /// Whether they do now.
        come_in: bool,
    },
}

/// What changed a verdict or a grade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// What probes saw; or what operators, rules and time made of it.
    Probes,
    /// Another config, which asks or grades in another way.
    Config,
}

/// The verdict on one address of a member changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberChange {
    /// Where it is in the snapshot: its pool, and its index there.
    pub place: (PoolId, usize),
    /// Its pool.
    pub pool: Arc<str>,
    /// Its name.
    pub member: Arc<str>,
    /// The address in question.
    pub addr: IpAddr,
    /// What was believed before.
    pub was: Status,
    /// What is believed now.
    pub now: Status,
    /// For how long the former was believed.
    pub lasted: Duration,
    /// What tipped the scales; none when no probe did.
    pub cause: Option<Cause>,
    /// Whether it was probes that did, or a config by which what they had seen already counts.
    pub origin: Origin,
    /// Targets whose verdicts changed since this was last told with any member, whether that changed a member's or not.
    pub turned: Vec<TargetId>,
    /// How often it fell of late, and for how long after the last time it therefore stays down at least, if so.
    pub held_down: Option<(usize, Duration)>,
}

/// A member's address became slow against its siblings, or stopped to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaceChange {
    /// Where it is in the snapshot: its pool, and its index there.
    pub place: (PoolId, usize),
    /// Its pool.
    pub pool: Arc<str>,
    /// Its name.
    pub member: Arc<str>,
    /// The address in question.
    pub addr: IpAddr,
    /// Whether it is slow now.
    pub slow: bool,
    /// How long connecting to it takes, where that is known.
    pub latency: Option<Duration>,
}

/// The probes that changed a verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// What was probed.
    pub target: Arc<str>,
    /// What the last probe saw, in words.
    pub seen: String,
    /// How many probes in a row agreed; at least 1.
    pub in_a_row: u32,
    /// What they made of the target.
    pub status: Status,
    /// When the first of them began; none when none was made since the start.
    pub began: Option<Moment>,
}

/// The grade of a pool changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolChange {
    /// Its name.
    pub pool: Arc<str>,
    /// Before.
    pub was: Grade,
    /// Now.
    pub now: Grade,
    /// Members that may be answered, in either family.
    pub usable: usize,
    /// Members in all.
    pub members: usize,
    /// What changed it.
    pub origin: Origin,
}

/// The verdict on a canary changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CanaryChange {
    /// The identity of its target.
    pub target: Arc<str>,
    /// What was believed before.
    pub was: Status,
    /// What is believed now.
    pub now: Status,
    /// For how long the former was believed.
    pub lasted: Duration,
    /// What tipped the scales; none when no probe did.
    pub cause: Option<Cause>,
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OverrideChange {
    /// It is in force for so many members from now on.
    Set(Override, usize),
    /// An operator ended it.
    Cleared(Override),
    /// An operator let so many addresses back.
    Released(Selector, usize),
    /// Something came about by the passing of time, at this second of 1970.
    Passed(Event, u64),
}

impl Change {
    /// Whether it only says that a member was well when it was first looked at.
    pub fn is_first_pass(&self) -> bool {
        match self {
            Change::Member(change) => change.was == Status::Unknown && change.now == Status::Up,
            Change::Canary(change) => change.was == Status::Unknown && change.now == Status::Up,
            Change::Pace(_) | Change::Pool(_) | Change::Sight(_) | Change::Override(_) | Change::Probes { .. } => false,
        }
    }

    /// Whether somebody should look at it: something got worse.
    pub fn is_bad(&self) -> bool {
        match self {
            Change::Member(change) => change.now == Status::Down,
            Change::Pace(change) => change.slow,
            Change::Pool(change) => change.now < change.was,
            Change::Canary(change) => change.now == Status::Down,
            Change::Sight(change) => matches!(change, DoubtChange::Begun(_)),
            Change::Override(change) => matches!(change, OverrideChange::Passed(Event::AboutToExpire(..) | Event::Expired(_), _)),
            Change::Probes { come_in } => !come_in,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Member(change) => change.fmt(f),
            Change::Pace(change) => change.fmt(f),
            Change::Pool(change) => change.fmt(f),
            Change::Canary(change) => change.fmt(f),
            Change::Sight(DoubtChange::Begun(evidence)) => {
                write!(f, "this node does not trust its own sight, and holds its verdicts: {evidence}")
            }
            Change::Sight(DoubtChange::Ended(lasted)) => write!(f, "this node sees again; it held its verdicts for {}", span(*lasted)),
            Change::Override(change) => change.fmt(f),
            Change::Probes { come_in: false } => f.write_str("no probe comes back any more: verdicts stand still"),
            Change::Probes { come_in: true } => f.write_str("probes come back again"),
        }
    }
}

impl fmt::Display for OverrideChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OverrideChange::Set(one, members) => {
                let glass = if one.break_glass { ", breaking the glass" } else { "" };
                let outlook = outlook(one, one.set_unix_s);
                write!(f, "{one} ({}{glass}; {outlook})", count(*members, "member"))
            }
            OverrideChange::Cleared(one) => write!(f, "{one}: cleared"),
            OverrideChange::Released(selector, addresses) => write!(f, "{selector} released: {}", count(*addresses, "address")),
            OverrideChange::Passed(event, now_unix_s) => match event {
                Event::AboutToExpire(one, left_s) => write!(f, "{one}: about to expire, in {}", span(Duration::from_secs(*left_s))),
                Event::Expired(one) => write!(f, "{one}: expired"),
                Event::Removed(one) => write!(f, "{one}: {}", outlook(one, *now_unix_s)),
                Event::Gone(one) => write!(f, "{one}: the last cached answer has expired"),
            },
        }
    }
}

impl fmt::Display for MemberChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} ({}) of pool {} is {}{}", self.member, self.addr, self.pool, self.now, self.origin.words())?;
        let history = history(self.was, self.lasted);
        match &self.cause {
            Some(cause) => write!(f, ": {} ({}, {}; {history})", cause.seen, cause.target, in_a_row(cause.status, cause.in_a_row)),
            None => write!(f, " ({history})"),
        }?;
        match self.held_down {
            Some((falls, left)) => write!(f, "; it fell {falls} times of late, and stays down for {} at least", span(left)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PaceChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.slow { "is slow" } else { "is slow no more" };
        write!(f, "member {} ({}) of pool {} {how} against its siblings", self.member, self.addr, self.pool)?;
        self.latency.map_or(Ok(()), |latency| write!(f, ": it connects in {}", span(latency)))
    }
}

impl fmt::Display for PoolChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PoolChange { pool, was, now, usable, members, origin } = self;
        write!(f, "pool {pool} is {now}{} (was {was}): {usable} of {members} members usable", origin.words())
    }
}

impl fmt::Display for CanaryChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "canary {} is {}", self.target, self.now)?;
        let history = history(self.was, self.lasted);
        match &self.cause {
            Some(cause) => write!(f, ": {} ({}; {history})", cause.seen, in_a_row(cause.status, cause.in_a_row)),
            None => write!(f, " ({history})"),
        }
    }
}

fn history(was: Status, lasted: Duration) -> String {
    match was {
        Status::Unknown => "first verdict".to_owned(),
        Status::Up | Status::Down => format!("was {was} for {}", span(lasted)),
    }
}

impl Origin {
    const fn words(self) -> &'static str {
        match self {
            Origin::Probes => "",
            Origin::Config => " by the new config",
        }
    }
}

fn in_a_row(status: Status, count: u32) -> String {
    let noun = match status {
        Status::Up => "pass",
        Status::Down => "failure",
        Status::Unknown => "probe",
    };
    match (count, status) {
        (0 | 1, _) => format!("1 {noun}"),
        (_, Status::Up) => format!("{count} passes in a row"),
        (_, Status::Down | Status::Unknown) => format!("{count} {noun}s in a row"),
    }
}

/// What a probe saw: `pass in 12ms`, or what was wrong.
pub fn result_words(seen: &Observation) -> String {
    match seen {
        Observation::Pass { total, .. } => format!("pass in {}", span(*total)),
        Observation::Fail(reason) => reason.to_string(),
        Observation::Inconclusive(doubt) => format!("inconclusive: {doubt}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Id;

    fn down() -> MemberChange {
        MemberChange {
            place: (PoolId::new(0), 0),
            pool: "web-fra".into(),
            member: "fra-1".into(),
            addr: IpAddr::from([192, 0, 2, 1]),
            was: Status::Up,
            now: Status::Down,
            lasted: Duration::from_mins(133),
            cause: Some(Cause {
                target: "https 192.0.2.1:443 GET /healthz".into(),
                seen: "HTTP 500".into(),
                in_a_row: 3,
                status: Status::Down,
                began: None,
            }),
            origin: Origin::Probes,
            turned: Vec::new(),
            held_down: None,
        }
    }

    #[test]
    fn a_member_going_down_says_why_how_sure_and_how_long_it_was_up() {
        assert_eq!(
            down().to_string(),
            "member fra-1 (192.0.2.1) of pool web-fra is down: HTTP 500 \
             (https 192.0.2.1:443 GET /healthz, 3 failures in a row; was up for 2h13m)"
        );
        assert!(Change::Member(down()).is_bad());
        let again = MemberChange { held_down: Some((3, Duration::from_secs(20))), ..down() };
        assert!(again.to_string().ends_with("was up for 2h13m); it fell 3 times of late, and stays down for 20s at least"), "{again}");
    }

    #[test]
    fn a_first_verdict_claims_no_history() {
        let change = MemberChange { was: Status::Unknown, cause: None, ..down() };
        assert_eq!(change.to_string(), "member fra-1 (192.0.2.1) of pool web-fra is down (first verdict)");
    }

    #[test]
    fn a_canary_that_falls_says_why_and_how_long_it_was_up() {
        let MemberChange { was, now, lasted, cause, .. } = down();
        let change = Change::Canary(CanaryChange { target: "tcp 203.0.113.1:443".into(), was, now, lasted, cause });
        assert_eq!(change.to_string(), "canary tcp 203.0.113.1:443 is down: HTTP 500 (3 failures in a row; was up for 2h13m)");
        assert!(change.is_bad() && !change.is_first_pass());
    }

    #[test]
    fn a_node_that_doubts_itself_says_why_and_for_how_long() {
        let begun = Change::Sight(DoubtChange::Begun(crate::health::Evidence::Places { silent: 3, seen: 0 }));
        assert!(begun.is_bad() && begun.to_string().ends_with("holds its verdicts: all targets of all 3 places are silent"), "{begun}");
        let ended = Change::Sight(DoubtChange::Ended(Duration::from_secs(61)));
        assert!(!ended.is_bad());
        assert_eq!(ended.to_string(), "this node sees again; it held its verdicts for 1m1s");
    }

    #[test]
    fn a_member_that_is_slow_says_how_slow() {
        let slow = PaceChange {
            place: (PoolId::new(0), 0),
            pool: "web".into(),
            member: "fra-1".into(),
            addr: IpAddr::from([192, 0, 2, 1]),
            slow: true,
            latency: Some(Duration::from_millis(120)),
        };
        assert_eq!(slow.to_string(), "member fra-1 (192.0.2.1) of pool web is slow against its siblings: it connects in 120ms");
        let quick = PaceChange { slow: false, latency: None, ..slow.clone() };
        assert_eq!(quick.to_string(), "member fra-1 (192.0.2.1) of pool web is slow no more against its siblings");
        assert!(Change::Pace(slow).is_bad() && !Change::Pace(quick).is_bad());
    }

    #[test]
    fn a_pool_says_what_is_left_of_it() {
        let change =
            PoolChange { pool: "web".into(), was: Grade::Healthy, now: Grade::Degraded, usable: 1, members: 3, origin: Origin::Probes };
        assert_eq!(change.to_string(), "pool web is degraded (was healthy): 1 of 3 members usable");
        assert!(Change::Pool(change.clone()).is_bad());
        let better = PoolChange { was: Grade::Empty, origin: Origin::Config, ..change };
        assert_eq!(better.to_string(), "pool web is degraded by the new config (was empty): 1 of 3 members usable");
        assert!(!Change::Pool(better).is_bad());
    }
}
