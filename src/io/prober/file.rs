//! The file check: a feed that somebody else writes.
//!
//! A file that is missing, old, or silent about the member says nothing about it: whoever should have written it is ill, and
//! the verdicts stand as they were. One reading serves all members for a moment.

use super::fault::Fault;
use crate::check::FileCheck;
use crate::check::feed::find;
use crate::health::Doubt;
use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// The feeds, as they were last read.
#[derive(Debug, Default)]
pub struct Feeds {
    read: Mutex<HashMap<Arc<Path>, Reading>>,
}

#[derive(Clone, Debug)]
struct Reading {
    at: Instant,
    /// The text, and when it was written; none when it could not be read.
    feed: Option<(Arc<str>, SystemTime)>,
}

/// A thousand members of one feed are looked up in one reading.
const FRESH: Duration = Duration::from_millis(250);

/// Ten thousand members with a reason each.
const OCTETS_MAX: u64 = 4 * 1024 * 1024;

impl Feeds {
    /// Looks for the word on a member.
    ///
    /// # Errors
    /// It is down; or nothing recent is said of it.
    pub async fn look(&self, check: &FileCheck) -> Result<(), Fault> {
        let (text, written) = self.feed(&check.path).await.ok_or(Doubt::Unreadable)?;
        // A clock that went back makes nothing old.
        let age = written.elapsed().unwrap_or_default();
        if check.expires.is_some_and(|expires| age > expires) {
            return Err(Doubt::NoReport.into());
        }
        Ok(find(&text, &check.subject).ok_or(Doubt::NoReport)?.judge()?)
    }

    /// Forgets all feeds; those still wanted are read anew.
    pub fn clear(&self) {
        self.lock().clear();
    }

    async fn feed(&self, path: &Arc<Path>) -> Option<(Arc<str>, SystemTime)> {
        let known = self.lock().get(path).filter(|reading| reading.at.elapsed() < FRESH).cloned();
        if let Some(reading) = known {
            return reading.feed;
        }
        let named = Arc::clone(path);
        // A file system that hangs must hold up a thread that nobody needs.
        let feed = tokio::task::spawn_blocking(move || read(&named).ok()).await.ok().flatten();
        self.lock().insert(Arc::clone(path), Reading { at: Instant::now(), feed: feed.clone() });
        feed
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<Path>, Reading>> {
        self.read.lock().expect("nothing panics while it holds this lock")
    }
}

fn read(path: &Path) -> io::Result<(Arc<str>, SystemTime)> {
    let file = std::fs::File::open(path)?;
    let written = file.metadata()?.modified()?;
    let mut octets = Vec::new();
    file.take(OCTETS_MAX).read_to_end(&mut octets)?;
    Ok((String::from_utf8_lossy(&octets).into(), written))
}
