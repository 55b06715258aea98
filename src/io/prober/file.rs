//! The file check: a feed that somebody else writes.
//!
//! A file that is missing, old, or silent about the member says nothing about it: whoever should have written it is ill, and
//! the verdicts stand as they were. One reading serves all members for a moment; where it hangs, one thread hangs, and everybody else
//! learns soon that nothing can be read.

use super::fault::Fault;
use crate::check::FileCheck;
use crate::check::feed::Feed;
use crate::health::Doubt;
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// The feeds, as they were last read.
#[derive(Debug, Default)]
pub struct Feeds {
    shelves: Mutex<HashMap<Arc<Path>, Shelf>>,
}

/// Where the last reading of one file lies. Locked by whoever reads it, on the thread that reads.
type Shelf = Arc<tokio::sync::Mutex<Option<Reading>>>;

#[derive(Debug)]
struct Reading {
    at: Instant,
    /// None when it could not be read.
    written: Option<Arc<Written>>,
}

/// A feed, and when it was written.
#[derive(Debug)]
struct Written {
    feed: Feed,
    at: SystemTime,
}

/// A thousand members of one feed are looked up in one reading.
const FRESH: Duration = Duration::from_millis(250);

/// A file of a few megabytes on a disk that works is read within it. Members of a feed that hangs do not fill the places of other probes for longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ten thousand members with a reason each.
const OCTETS_MAX: u64 = 4 * 1024 * 1024;

impl Feeds {
    /// Looks for the word on a member.
    ///
    /// # Errors
    /// It is down; or nothing recent is said of it.
    pub async fn look(&self, check: &FileCheck) -> Result<(), Fault> {
        let written = tokio::time::timeout(PATIENCE, self.written(&check.path)).await.ok().flatten().ok_or(Doubt::Unreadable)?;
        // A clock that went back makes nothing old.
        let age = written.at.elapsed().unwrap_or_default();
        if check.expires.is_some_and(|expires| age > expires) {
            return Err(Doubt::NoReport.into());
        }
        Ok(written.feed.word(&check.subject).ok_or(Doubt::NoReport)?.judge()?)
    }

    /// Forgets all files but these.
    pub fn retain(&self, is_kept: impl Fn(&Path) -> bool) {
        self.lock().retain(|path, _| is_kept(path));
    }

    async fn written(&self, path: &Arc<Path>) -> Option<Arc<Written>> {
        let shelf = Arc::clone(self.lock().entry(Arc::clone(path)).or_default());
        let mut shelf = shelf.lock_owned().await;
        if let Some(reading) = shelf.as_ref().filter(|reading| reading.at.elapsed() < FRESH) {
            return reading.written.clone();
        }
        let path = Arc::clone(path);
        // A file system that hangs holds up a thread that nobody needs, and no second one: the thread itself holds the shelf.
        let reading = tokio::task::spawn_blocking(move || {
            let written = read(&path).ok().map(Arc::new);
            *shelf = Some(Reading { at: Instant::now(), written: written.clone() });
            written
        });
        reading.await.ok().flatten()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<Path>, Shelf>> {
        self.shelves.lock().expect("nothing panics while it holds this lock")
    }
}

/// Reads a whole feed. Half of one would be silent about the other members.
fn read(path: &Path) -> io::Result<Written> {
    // A pipe that nobody writes to is opened at once like this, and seen to be none.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > OCTETS_MAX {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut octets = Vec::new();
    // It may grow meanwhile.
    file.take(OCTETS_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > OCTETS_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(Written { feed: Feed::read(&String::from_utf8_lossy(&octets)), at: about.modified()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Subject;

    fn check(path: &Path) -> FileCheck {
        FileCheck { path: path.into(), subject: Subject { pool: "web".into(), member: "fra-1".into() }, expires: None }
    }

    #[tokio::test]
    async fn members_of_a_feed_that_hangs_learn_soon_that_nothing_can_be_read_and_no_second_thread_tries() {
        let (feeds, check) = (Feeds::default(), check(Path::new("/run/feed")));
        let shelf = Arc::clone(feeds.lock().entry(Arc::clone(&check.path)).or_default());
        // A thread that reads holds it.
        let reading = shelf.lock_owned().await;
        for _ in 0..2 {
            let look = tokio::time::timeout(PATIENCE * 4, feeds.look(&check)).await;
            assert_eq!(look.expect("in time"), Err(Doubt::Unreadable.into()));
        }
        drop(reading);
    }

    #[tokio::test]
    async fn a_feed_is_read_once_for_all_that_ask_within_a_moment() {
        let directory = crate::io::testing::scratch_directory();
        let path = directory.write("feed", "fra-1 up\n");
        let (feeds, check) = (Feeds::default(), check(&path));
        let (first, second) = tokio::join!(feeds.written(&check.path), feeds.written(&check.path));
        assert!(Arc::ptr_eq(&first.expect("readable"), &second.expect("readable")));
    }

    #[test]
    fn a_feed_is_a_file_of_which_all_can_be_read() {
        let directory = crate::io::testing::scratch_directory();
        let size = usize::try_from(OCTETS_MAX).expect("a few megabytes");
        assert!(read(&directory.write("full", &"#".repeat(size))).is_ok());
        assert!(read(&directory.write("over", &"#".repeat(size + 1))).is_err());
        assert!(read(directory.path()).is_err());
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("coreutils").success());
        assert!(read(&pipe).is_err(), "nobody writes to it, and it is no file");
    }
}
