//! A claim to a directory that is written to: two servers in one would erase each other's orders, and nobody would notice.
//!
//! A lock on a file in it, which the kernel lets go of when the process ends, however it ends: nothing is left behind that keeps the next
//! start from it. Whoever has it writes down its process id, for whoever does not get it. Knows nothing of what else lies there.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::Path;

/// The file's name below the directory.
const NAME: &str = "lock";

/// The right to write to a directory, for as long as the value lives.
#[derive(Debug)]
pub struct Claim {
    /// Held open: the lock is the open file's.
    _file: File,
}

/// Why there is no claim.
#[derive(Debug)]
pub enum NoClaim {
    /// Somebody has it: the process with this id, where that can be read.
    Taken(Option<u32>),
    /// The directory cannot be written to, or its file system has no locks.
    Unusable(io::Error),
}

impl Claim {
    /// Claims `directory`, which is made when it is missing.
    ///
    /// # Errors
    /// When another process has it, or it cannot be had at all.
    pub fn lay(directory: &Path) -> Result<Claim, NoClaim> {
        std::fs::create_dir_all(directory).map_err(NoClaim::Unusable)?;
        let options = File::options().create(true).truncate(false).read(true).write(true).open(directory.join(NAME));
        let mut file = options.map_err(NoClaim::Unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(NoClaim::Taken(written(&mut file))),
            Err(TryLockError::Error(error)) => return Err(NoClaim::Unusable(error)),
        }
        // The lock is what counts; a disk too full for a number only leaves the next one without it.
        let _ = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        Ok(Claim { _file: file })
    }
}

fn written(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::scratch_directory;
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time_and_says_who() {
        let directory = scratch_directory();
        let path = directory.path().join("made/for/us");
        let first = Claim::lay(&path).expect("nobody is there");
        for _ in 0..2 {
            assert!(matches!(Claim::lay(&path), Err(NoClaim::Taken(Some(pid))) if pid == std::process::id()));
        }
        drop(first);
        Claim::lay(&path).expect("the first has gone, and its file does not matter");
    }

    #[test]
    fn what_is_no_directory_cannot_be_claimed() {
        let directory = scratch_directory();
        let file = directory.write("state", "precious");
        assert!(matches!(Claim::lay(&file), Err(NoClaim::Unusable(_))));
        assert_eq!(std::fs::read_to_string(file).expect("still there"), "precious");
    }
}
