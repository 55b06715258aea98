//! `steersman probe`: makes the probes of a monitor on a member now, without a server, and shows each step.
//!
//! By the code of the server's own prober, from the same config: what is seen here is what a server on this host would see.

use super::table::columns;
use super::{block_on, complain, say};
use crate::check::Check;
use crate::health::{Ledger, Observation, Status, TargetVerdict, Verdict};
use crate::human::span;
use crate::ids::TargetId;
use crate::io::fingerprint::Fingerprint;
use crate::io::prober::{Examination, Prober, Step};
use crate::io::{clock, files};
use crate::policy::{Member, Pool};
use crate::prefix::Family;
use crate::snapshot::{Snapshot, Target};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// What came of all probes: the worst of them, or what a calculation makes of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Outcome {
    Passed = 0,
    /// This node could not look, or there is nothing to look at.
    Unseen = 2,
    Failed = 1,
}

impl Outcome {
    const fn of(observation: &Observation) -> Outcome {
        match observation {
            Observation::Pass { .. } => Outcome::Passed,
            Observation::Fail(_) => Outcome::Failed,
            Observation::Inconclusive(_) => Outcome::Unseen,
        }
    }

    /// What believing it would mean.
    const fn status(self) -> Status {
        match self {
            Outcome::Passed => Status::Up,
            Outcome::Unseen => Status::Unknown,
            Outcome::Failed => Status::Down,
        }
    }

    const fn of_status(status: Status) -> Outcome {
        match status {
            Status::Up => Outcome::Passed,
            Status::Unknown => Outcome::Unseen,
            Status::Down => Outcome::Failed,
        }
    }

    fn worse(self, other: Outcome) -> Outcome {
        let rank = |outcome| match outcome {
            Outcome::Passed => 0,
            Outcome::Unseen => 1,
            Outcome::Failed => 2,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    fn code(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// Probes; 0 when all passed, 1 when one failed, 2 when one could not be made. Of a calculated monitor: when it is up, down, or unknown.
pub fn run(path: &Path, monitor: &str, member: &str) -> ExitCode {
    let (snapshot, diagnostics) = files::load_and_compile(path, &Fingerprint::default());
    let Some(snapshot) = snapshot else {
        eprintln!("{}\n", diagnostics.render(std::io::stderr().is_terminal()));
        return unseen(&format!("{} has errors", path.display()));
    };
    let wanted = match find(&snapshot, monitor, member) {
        Ok(wanted) => wanted,
        Err(why) => return unseen(&why),
    };
    let (mut outcome, mut ledger) = (Outcome::Passed, Ledger::new(snapshot.targets.len()));
    let probed = block_on(async {
        let prober = Prober::new();
        for (index, one) in wanted.iter().enumerate() {
            let (came, story) = look(&prober, one).await;
            ledger.handle_verdict(&TargetVerdict {
                target: one.id,
                verdict: Verdict { status: came.status(), ..Verdict::UNKNOWN },
                was: None,
            });
            outcome = outcome.worse(came);
            let gap = if index > 0 { "\n" } else { "" };
            say(&format!("{gap}{story}"));
        }
        Ok(())
    });
    match probed {
        Ok(()) => calculate(monitor, wanted[0].member, &ledger).unwrap_or(outcome).code(),
        Err(why) => unseen(&why),
    }
}

/// One probe, and how it went.
async fn look(prober: &Prober, wanted: &Wanted<'_>) -> (Outcome, String) {
    if matches!(wanted.target.check, Check::Push(_)) {
        let story = format!("{}\n  reports of agents are heard by the server only: see `steersman status`\n", wanted.target.identity);
        return (Outcome::Unseen, story);
    }
    let examination = prober.examine(wanted.target, wanted.target.rules.timeout).await;
    (Outcome::of(&examination.observation), story(wanted, &examination))
}

/// What a calculated monitor makes of it, by the code that the server calculates with; none when it is not calculated.
fn calculate(monitor: &str, member: &Member, ledger: &Ledger) -> Option<Outcome> {
    let mut worst = None;
    for family in Family::BOTH {
        for (name, condition) in member.calculated[family.index()].iter().filter(|(name, _)| **name == *monitor) {
            let status = ledger.judge(condition, &[]).status;
            say(&format!("\n{name} ({family}): {status}\n"));
            let outcome = Outcome::of_status(status);
            worst = Some(worst.map_or(outcome, |worst: Outcome| worst.worse(outcome)));
        }
    }
    worst
}

fn unseen(why: &str) -> ExitCode {
    complain(&format!("steersman: {why}\n"));
    Outcome::Unseen.code()
}

/// A target, and on whose behalf it is probed.
struct Wanted<'a> {
    pool: &'a Pool,
    member: &'a Member,
    family: Family,
    id: TargetId,
    target: &'a Target,
}

/// The targets that a monitor has on a member, which is named alone or as `POOL/MEMBER`.
fn find<'a>(snapshot: &'a Snapshot, monitor: &str, name: &str) -> Result<Vec<Wanted<'a>>, String> {
    let (pool_name, member_name) = name.split_once('/').map_or((None, name), |(pool, member)| (Some(pool), member));
    let pools = snapshot.graph.pools.rows().iter().filter(|pool| pool_name.is_none_or(|name| *pool.name == *name));
    let found: Vec<(&Pool, &Member)> = pools
        .flat_map(|pool| pool.members.iter().filter(|member| *member.name == *member_name).map(move |member| (pool, member)))
        .collect();
    let (pool, member) = match found.as_slice() {
        [] => return Err(format!("no pool has a member named `{name}`")),
        [one] => *one,
        several => {
            let pools: Vec<String> = several.iter().map(|(pool, _)| format!("`{}/{member_name}`", pool.name)).collect();
            return Err(format!("several pools have a member named `{name}`; say which: {}", pools.join(", ")));
        }
    };
    if member.disabled {
        return Err(format!("the member `{name}` is disabled, so that it is not probed"));
    }
    let mut wanted: Vec<Wanted<'a>> = Vec::new();
    for family in Family::BOTH {
        let targets = member.checks[family.index()].iter().map(|&id| (id, &snapshot.targets[id]));
        for (id, target) in targets.filter(|(_, target)| target.asked_by.iter().any(|name| **name == *monitor)) {
            // With `family_health: joint` each family has the targets of both.
            if wanted.iter().all(|other| other.target.identity != target.identity) {
                wanted.push(Wanted { pool, member, family, id, target });
            }
        }
    }
    if wanted.is_empty() {
        return Err(format!("the monitor `{monitor}` is not on the member `{name}` of pool `{}`", pool.name));
    }
    Ok(wanted)
}

/// What happened, step by step.
fn story(wanted: &Wanted<'_>, examination: &Examination) -> String {
    let Wanted { pool, member, target, .. } = wanted;
    let mut rows = vec![row("member", &format!("{} of pool {}", member.name, pool.name), "")];
    if target.check.is_sent() {
        rows.push(row("address", &address(wanted), ""));
    }
    let mut last = std::time::Duration::ZERO;
    for Step { phase, after, note } in examination.trail.steps() {
        rows.push(row(phase.word(), &format!("{} (+{})", span(after), span(after.saturating_sub(last))), &note));
        last = after;
    }
    if let Some(certificate) = examination.trail.certificate() {
        rows.push(row("certificate", &expiry(certificate.left(now()), certificate.expires_soon(target.expiry_warning, now())), ""));
    }
    let more = examination.trail.missed().filter(|_| matches!(examination.observation, Observation::Inconclusive(_)));
    let verdict = format!("  verdict: {}{}\n", examination.observation, more.map_or_else(String::new, |what| format!(" ({what})")));
    format!("{}\n{}{verdict}", target.identity, columns(&rows))
}

fn row(name: &str, value: &str, note: &str) -> Vec<String> {
    vec![format!("  {name}"), value.to_owned(), note.to_owned()]
}

/// Where the probe goes, and what of it is not as answered.
fn address(wanted: &Wanted<'_>) -> String {
    let Wanted { member, family, target, .. } = wanted;
    let (probed, answered) = (target.addr, member.addresses[family.index()]);
    let shown = if probed.port() == 0 { probed.ip().to_string() } else { probed.to_string() };
    let instead = answered.filter(|answered| *answered != probed.ip()).map(|answered| format!(", for {answered}"));
    let source = target.source.map(|source| format!(", from {source}"));
    format!("{shown}{}{}", instead.unwrap_or_default(), source.unwrap_or_default())
}

fn expiry(left: std::time::Duration, soon: bool) -> String {
    match (left.is_zero(), soon) {
        (true, _) => "expired".to_owned(),
        (false, true) => format!("expires in {}: soon", span(left)),
        (false, false) => format!("expires in {}", span(left)),
    }
}

fn now() -> i64 {
    i64::try_from(clock::wall_unix_s()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_outweighs_what_could_not_be_seen_and_that_outweighs_a_pass() {
        use Outcome::{Failed, Passed, Unseen};
        for (one, other, worst) in [(Passed, Unseen, Unseen), (Unseen, Failed, Failed), (Failed, Unseen, Failed), (Passed, Passed, Passed)]
        {
            assert_eq!(one.worse(other), worst);
        }
    }
}
