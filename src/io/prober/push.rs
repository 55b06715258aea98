//! The push check: what the members' own agents reported to the admin interface.
//!
//! Reports enter by [`Reports::handle_report`] whenever they come; a probe of the target looks at the last one. An agent that
//! falls silent takes its member down, since whatever keeps it from reporting will keep clients away as well; before its first report since this program
//! started, it gets as much time as between two.

use super::fault::Fault;
use crate::check::PushCheck;
use crate::check::feed::{Word, reason};
use crate::health::{Doubt, FailReason};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// The last report on every target that is pushed.
#[derive(Debug, Default)]
pub struct Reports {
    /// By the identity of the target.
    last: Mutex<HashMap<Arc<str>, Last>>,
}

#[derive(Debug)]
struct Last {
    /// When the report came; before there was one, when it was first missed.
    at: Instant,
    word: Option<Word>,
}

impl Reports {
    /// Takes a report on the target with this identity. Whoever calls has made sure that there is one: strangers cannot make
    /// this grow.
    pub fn handle_report(&self, identity: &Arc<str>, up: bool, why: &str) {
        let last = Last { at: Instant::now(), word: Some(Word { up, why: reason(why) }) };
        self.lock().insert(Arc::clone(identity), last);
    }

    /// Looks at the last report.
    ///
    /// # Errors
    /// It says that the member is down; it is too old; or there is none yet.
    pub fn look(&self, identity: &Arc<str>, check: &PushCheck) -> Result<(), Fault> {
        let mut known = self.lock();
        let last = known.entry(Arc::clone(identity)).or_insert_with(|| Last { at: Instant::now(), word: None });
        let silent_for = last.at.elapsed();
        match &last.word {
            _ if silent_for >= check.expires => Err(FailReason::Silent(check.expires).into()),
            Some(word) => Ok(word.judge()?),
            None => Err(Doubt::NoReport.into()),
        }
    }

    /// Forgets all targets but these.
    pub fn retain(&self, identities: &HashSet<Arc<str>>) {
        self.lock().retain(|identity, _| identities.contains(identity));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Last>> {
        self.last.lock().expect("nothing panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Subject;
    use std::time::Duration;

    fn check(expires: Duration) -> PushCheck {
        PushCheck { monitor: "agent".into(), subject: Subject { pool: "web".into(), member: "fra-1".into() }, expires, token: None }
    }

    #[test]
    fn the_last_report_counts_until_it_expires() {
        let (reports, identity) = (Reports::default(), Arc::from("push web/fra-1 agent"));
        let hour = check(Duration::from_hours(1));
        assert_eq!(reports.look(&identity, &hour), Err(Doubt::NoReport.into()));
        reports.handle_report(&identity, false, "disk\nfull");
        assert_eq!(reports.look(&identity, &hour), Err(FailReason::Reported("disk full".into()).into()));
        reports.handle_report(&identity, true, "");
        assert_eq!(reports.look(&identity, &hour), Ok(()));
        let over = check(Duration::ZERO);
        assert_eq!(reports.look(&identity, &over), Err(FailReason::Silent(Duration::ZERO).into()));
    }

    #[test]
    fn an_agent_that_was_never_heard_is_missed_after_the_same_time() {
        let (reports, identity) = (Reports::default(), Arc::from("push web/fra-1 agent"));
        assert_eq!(reports.look(&identity, &check(Duration::from_hours(1))), Err(Doubt::NoReport.into()));
        assert_eq!(reports.look(&identity, &check(Duration::ZERO)), Err(FailReason::Silent(Duration::ZERO).into()));
    }

    #[test]
    fn what_is_no_target_any_more_is_forgotten() {
        let (reports, identity): (_, Arc<str>) = (Reports::default(), Arc::from("push web/fra-1 agent"));
        reports.handle_report(&identity, true, "");
        reports.retain(&HashSet::from([Arc::clone(&identity)]));
        assert_eq!(reports.look(&identity, &check(Duration::from_hours(1))), Ok(()));
        reports.retain(&HashSet::new());
        assert_eq!(reports.look(&identity, &check(Duration::from_hours(1))), Err(Doubt::NoReport.into()));
    }
}
