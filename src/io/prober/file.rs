//! The file check: a feed that somebody else writes.
//!
//! A file that is missing, old, or silent about the member says nothing about it: whoever should have written it is ill, and
//! the verdicts stand as they were. One reading serves all members for a moment; where it hangs, one thread hangs, and everybody else
//! learns soon that nothing can be read.

use super::fault::Fault;
use super::trail::Trail;
use crate::check::feed::Feed;
use crate::check::{FileCheck, Subject};
use crate::health::Doubt;
use crate::human::span;
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
    /// What the log was told of feeds, and of members that they are silent about, as long as it is true.
    told: Mutex<HashMap<About, String>>,
}

/// A feed, or what it says of a member.
type About = (Arc<Path>, Option<Subject>);

/// Where the last reading of one file lies. Locked by whoever reads it, on the thread that reads.
type Shelf = Arc<tokio::sync::Mutex<Option<Reading>>>;

#[derive(Debug)]
struct Reading {
    at: Instant,
    written: Looked,
}

/// A feed, or why it could not be read.
type Looked = Result<Arc<Written>, Arc<str>>;

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
    pub async fn look(&self, check: &FileCheck, trail: &Trail) -> Result<(), Fault> {
        let found = tokio::time::timeout(PATIENCE, self.written(&check.path)).await.unwrap_or_else(|_| Err("it hangs".into()));
        let found = found.map_err(|why| (Doubt::Unreadable, why.to_string())).and_then(|written| {
            // A clock that went back makes nothing old.
            let age = written.at.elapsed().unwrap_or_default();
            match check.expires.filter(|expires| age > *expires) {
                Some(expires) => Err((Doubt::NoReport, format!("not written for more than {}", span(expires)))),
                None => Ok(written),
            }
        });
        let written = self.heard(check, None, found, trail)?;
        let silent = || (Doubt::NoReport, format!("no word on {}/{}", check.subject.pool, check.subject.member));
        let word = written.feed.word(&check.subject).ok_or_else(silent);
        Ok(self.heard(check, Some(&check.subject), word, trail)?.judge()?)
    }

    /// Tells the trail what is missing, and the log when that is news.
    fn heard<T>(&self, check: &FileCheck, subject: Option<&Subject>, found: Result<T, (Doubt, String)>, trail: &Trail) -> Result<T, Doubt> {
        let about = (Arc::clone(&check.path), subject.cloned());
        let mut told = self.told.lock().expect("nothing panics while it holds this lock");
        let (doubt, why) = match found {
            Ok(found) => {
                if told.remove(&about).is_some() {
                    tracing::info!("the feed {} speaks again", check.path.display());
                }
                return Ok(found);
            }
            Err(missing) => missing,
        };
        trail.miss(format!("{}: {why}", check.path.display()).into());
        if told.get(&about) != Some(&why) {
            tracing::warn!("the feed {} says nothing, and verdicts stand as they were: {why}", check.path.display());
            told.insert(about, why);
        }
        Err(doubt)
    }

    /// Forgets all files but these.
    pub fn retain(&self, is_kept: impl Fn(&Path) -> bool) {
        self.lock().retain(|path, _| is_kept(path));
        self.told.lock().expect("nothing panics while it holds this lock").retain(|(path, _), _| is_kept(path));
    }

    async fn written(&self, path: &Arc<Path>) -> Looked {
        let shelf = Arc::clone(self.lock().entry(Arc::clone(path)).or_default());
        let mut shelf = shelf.lock_owned().await;
        if let Some(reading) = shelf.as_ref().filter(|reading| reading.at.elapsed() < FRESH) {
            return reading.written.clone();
        }
        let path = Arc::clone(path);
        // A file system that hangs holds up a thread that nobody needs, and no second one: the thread itself holds the shelf.
        let reading = tokio::task::spawn_blocking(move || {
            let written = read(&path).map(Arc::new).map_err(|error| error.to_string().into());
            *shelf = Some(Reading { at: Instant::now(), written: written.clone() });
            written
        });
        reading.await.unwrap_or_else(|_| Err("its reader failed".into()))
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
    if !about.is_file() {
        return Err(io::Error::other("it is no regular file"));
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
            let trail = Trail::start();
            let look = tokio::time::timeout(PATIENCE * 4, feeds.look(&check, &trail)).await;
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

    #[tokio::test]
    async fn the_log_is_told_once_why_a_feed_says_nothing_and_once_that_it_speaks_again() {
        let directory = crate::io::testing::scratch_directory();
        let (feeds, check) = (Feeds::default(), check(&directory.path().join("feed")));
        let look = async || {
            let trail = Trail::start();
            let seen = feeds.look(&check, &trail).await;
            feeds.lock().clear();
            (
                seen,
                trail.missed().unwrap_or_default().into_string(),
                feeds.told.lock().expect("whole").values().cloned().collect::<Vec<_>>(),
            )
        };
        for _ in 0..2 {
            let (seen, missed, told) = look().await;
            assert_eq!(seen, Err(Doubt::Unreadable.into()));
            assert!(missed.ends_with("feed: No such file or directory (os error 2)") && told.len() == 1, "{missed}, {told:?}");
        }
        directory.write("feed", "fra-2 up\n");
        let (seen, _, told) = look().await;
        assert_eq!((seen, told), (Err(Doubt::NoReport.into()), vec!["no word on web/fra-1".to_owned()]));
        directory.write("feed", "fra-1 up\n");
        let (seen, _, told) = look().await;
        assert!(seen.is_ok() && told.is_empty(), "{seen:?}, {told:?}");
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
