//! What is true out there: which machines live, and what a probe of each of them meets.
//!
//! Faults come and go; the truth about a check follows from those that cover it. Nobody under test is told.

use super::chance::Chance;
use std::time::Duration;
use steersman::clock::Moment;
use steersman::health::{Doubt, FailReason, Observation};

/// Where a check leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// The machine; none for a canary.
    pub host: Option<u16>,
    pub site: Option<usize>,
    /// The port, 0 for an agent.
    pub port: u16,
    pub is_v6: bool,
    pub way: Way,
}

/// How the node learns of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// A packet goes there.
    Sent,
    /// The machine's agent reports, or is missed after so long.
    Agent { expires: Duration },
    /// A program of the node's own goes there.
    Program,
}

/// What is wrong with a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Refuses,
    Errors,
    /// Not a word comes back.
    Hangs,
    /// Takes connections and never answers.
    Stalls,
    Unreachable,
    Slow(Duration),
    /// So many percent of the packets.
    Loses(u64),
    /// Well and refusing in turns, each for so long.
    Flaps(Duration),
}

/// Whom a fault hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Host(u16),
    Service(u16, u16),
    Site(usize),
    Canaries,
}

/// What is wrong with the node's own network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// All packets vanish.
    Silent,
    /// The system says at once that there is no way.
    NoRoute,
    /// The same, for IPv6 only.
    NoRouteV6,
}

/// The truth about one check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    Well,
    /// Dead, and it says so.
    DeadLoud,
    /// Dead without a word.
    DeadMute,
    /// Neither fish nor fowl.
    Shaky,
}

/// All faults there are.
#[derive(Default)]
pub struct Machines {
    faults: Vec<(u64, Scope, Fate)>,
    cuts: Vec<(u64, Cut)>,
    /// Since when no report of an agent has come in, and until when.
    unheard: Option<(Moment, Moment)>,
}

impl Spot {
    /// Whether a packet has to go there.
    pub fn is_sent(&self) -> bool {
        self.way == Way::Sent
    }
}

impl Machines {
    pub fn break_down(&mut self, id: u64, scope: Scope, fate: Fate) {
        self.faults.push((id, scope, fate));
    }

    pub fn cut(&mut self, id: u64, cut: Cut) {
        self.cuts.push((id, cut));
    }

    /// Ends one fault or cut.
    pub fn mend(&mut self, id: u64) {
        self.faults.retain(|(other, ..)| *other != id);
        self.cuts.retain(|(other, _)| *other != id);
    }

    /// What is wrong with the node's own network, if anything is.
    pub fn node(&self) -> Option<Cut> {
        self.cuts.last().map(|(_, cut)| *cut)
    }

    /// Whether nothing reaches the node, nor leaves it.
    pub fn is_cut_off(&self) -> bool {
        matches!(self.node(), Some(Cut::Silent | Cut::NoRoute))
    }

    /// From now on no report is heard.
    pub fn fall_deaf(&mut self, now: Moment) {
        let since = self.unheard.filter(|(_, until)| *until > now).map_or(now, |(since, _)| since);
        self.unheard = Some((since, Moment::from_nanos(u64::MAX)));
    }

    /// From `when` on reports are heard, if they were not.
    pub fn hear(&mut self, when: Moment) {
        if let Some((_, until)) = &mut self.unheard {
            *until = when.min(*until);
        }
    }

    /// The process began anew: it waits for reports from now on.
    pub fn begin_to_listen(&mut self, now: Moment) {
        if let Some((since, _)) = &mut self.unheard {
            *since = now;
        }
    }

    /// Whether every machine is well.
    pub fn are_well(&self) -> bool {
        self.faults.is_empty()
    }

    /// What is wrong with whom a check leads to: the last fault that covers it.
    fn fate(&self, spot: Spot) -> Option<Fate> {
        let covers = |scope: Scope| match scope {
            Scope::Host(host) => spot.host == Some(host),
            Scope::Service(host, port) => spot.host == Some(host) && spot.port == port,
            Scope::Site(site) => spot.site == Some(site),
            Scope::Canaries => spot.host.is_none(),
        };
        self.faults.iter().rev().find(|(_, scope, _)| covers(*scope)).map(|(.., fate)| *fate)
    }

    /// The truth about a check whose probes time out after `timeout`.
    pub fn truth(&self, spot: Spot, timeout: Duration) -> Truth {
        match self.fate(spot) {
            None => Truth::Well,
            Some(Fate::Slow(_)) if !spot.is_sent() => Truth::Well,
            Some(Fate::Slow(latency)) if latency < timeout.mul_f64(0.9) => Truth::Well,
            Some(Fate::Slow(latency)) if latency < timeout => Truth::Shaky,
            Some(Fate::Loses(_) | Fate::Flaps(_)) => Truth::Shaky,
            // An agent that is not there, or not well, is reported as such.
            Some(_) if !spot.is_sent() => Truth::DeadLoud,
            Some(Fate::Refuses | Fate::Errors | Fate::Stalls) => Truth::DeadLoud,
            Some(Fate::Hangs | Fate::Unreachable | Fate::Slow(_)) => Truth::DeadMute,
        }
    }

    /// What a probe that begins now will see, and after how long.
    pub fn probe(&self, spot: Spot, timeout: Duration, now: Moment, chance: &mut Chance) -> (Duration, Observation) {
        let trip = Duration::from_micros(500 + u64::from(spot.host.unwrap_or(9)) * 1_700 % 40_000 + chance.between(0, 900));
        let out_of_time = timeout + Duration::from_millis(chance.between(0, 20));
        let timed_out = (out_of_time, Observation::Fail(FailReason::Timeout));
        match spot.way {
            Way::Sent => {}
            Way::Agent { expires } => return (Duration::from_micros(50), self.report(spot, expires, now)),
            // It gives up before its time, or does not.
            Way::Program if self.is_cut_off() && chance.percent(70) => {
                return (timeout / 2, Observation::Fail(FailReason::Reported("no answer".into())));
            }
            Way::Program if self.is_cut_off() => return (out_of_time, Observation::Fail(FailReason::Unfinished)),
            Way::Program => return (Duration::from_micros(50), self.word(spot, now)),
        }
        match self.node() {
            Some(Cut::Silent) => return timed_out,
            Some(Cut::NoRoute) => return (Duration::ZERO, Observation::Inconclusive(Doubt::NoRoute)),
            Some(Cut::NoRouteV6) if spot.is_v6 => return (Duration::ZERO, Observation::Inconclusive(Doubt::NoRoute)),
            Some(Cut::NoRouteV6) | None => {}
        }
        let passed = |latency: Duration| (latency * 2, Observation::Pass { connect: latency, total: latency * 2 });
        let refused = (trip, Observation::Fail(FailReason::Refused));
        match self.fate(spot) {
            Some(Fate::Refuses) => refused,
            Some(Fate::Errors) => (trip * 2, Observation::Fail(FailReason::Status(503))),
            Some(Fate::Stalls) => (out_of_time, Observation::Fail(FailReason::Stalled("nothing was answered".into()))),
            Some(Fate::Unreachable) => (trip, Observation::Fail(FailReason::Unreachable)),
            Some(Fate::Slow(latency)) if latency < timeout => (latency, Observation::Pass { connect: latency / 2, total: latency }),
            Some(Fate::Hangs | Fate::Slow(_)) => timed_out,
            Some(Fate::Loses(percent)) if chance.percent(percent) => timed_out,
            Some(Fate::Flaps(turn)) if is_odd_turn(now, turn) => refused,
            None | Some(Fate::Loses(_) | Fate::Flaps(_)) => passed(trip),
        }
    }

    /// What is known of an agent.
    fn report(&self, spot: Spot, expires: Duration, now: Moment) -> Observation {
        let unheard = self.unheard.filter(|(_, until)| now < *until).map_or(Duration::ZERO, |(since, _)| now.since(since));
        if unheard < expires { self.word(spot, now) } else { Observation::Fail(FailReason::Silent(expires)) }
    }

    /// What somebody says who can look at the machine.
    fn word(&self, spot: Spot, now: Moment) -> Observation {
        let down = match self.fate(spot) {
            None | Some(Fate::Slow(_) | Fate::Loses(_)) => false,
            Some(Fate::Flaps(turn)) => is_odd_turn(now, turn),
            Some(Fate::Refuses | Fate::Errors | Fate::Hangs | Fate::Stalls | Fate::Unreachable) => true,
        };
        if down {
            Observation::Fail(FailReason::Reported("disk".into()))
        } else {
            Observation::Pass { connect: Duration::ZERO, total: Duration::from_micros(50) }
        }
    }
}

fn is_odd_turn(now: Moment, turn: Duration) -> bool {
    (now.since(Moment::START).as_nanos() / turn.as_nanos().max(1)) % 2 == 1
}

impl Fate {
    /// Something goes wrong; `tempo` is how fast this world lives.
    pub fn drawn(tempo: Duration, chance: &mut Chance) -> Fate {
        match chance.index(10) {
            0 | 1 => Fate::Refuses,
            2 => Fate::Errors,
            3 | 4 => Fate::Hangs,
            5 => Fate::Stalls,
            6 => Fate::Unreachable,
            7 => Fate::Slow(Duration::from_millis(chance.between(20, 6_000))),
            8 => Fate::Loses(chance.between(10, 90)),
            _ => Fate::Flaps(chance.around(tempo * 10)),
        }
    }
}
