//! The exec check: a program of the operator's, run without a shell.
//!
//! It runs in a process group of its own, which is killed at the end of the probe or of its time; what leaves the group (`setsid`) is the
//! program's own business. So many run at once and no more: a program costs what it costs.

use super::fault::Fault;
use super::trail::{Phase, Trail};
use super::turns::Turns;
use crate::check::ExecCheck;
use crate::check::feed::reason;
use crate::health::{Doubt, FailReason};
use crate::snapshot::Target;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// Runs programs.
#[derive(Debug)]
pub struct Programs {
    turns: Turns,
}

/// What is read of a program's output: a few lines. More is read and thrown away, so that the program is not held up.
const OUTPUT_MAX: usize = 4096;

/// The exit code of monitoring plugins that could not tell.
const UNDECIDED: i32 = 3;

/// What a shell says of a command that it may not run, and of one that it does not find.
const UNUSABLE: [i32; 2] = [126, 127];

impl Default for Programs {
    fn default() -> Programs {
        Programs { turns: Turns::new(usize::from(ExecCheck::AT_ONCE)) }
    }
}

impl Programs {
    /// Runs a program to its end. It learns by its environment what to look at: STEERSMAN_ADDRESS, STEERSMAN_PORT (0: none
    /// was written), STEERSMAN_TIMEOUT_MS.
    ///
    /// # Errors
    /// It failed, could not tell, or could not be run.
    pub async fn look(&self, target: &Target, check: &ExecCheck, timeout: Duration, trail: &Trail) -> Result<(), Fault> {
        // A program that has waited until too little time is left would be judged by that.
        let turn = tokio::time::timeout(timeout / 2, self.turns.take(&target.identity));
        let _turn = turn.await.map_err(|_| Doubt::Crowded)?;
        let mut command = command(target.addr, check, timeout.saturating_sub(trail.elapsed()));
        let mut group = Group::start(&mut command).map_err(unusable)?;
        trail.mark(Phase::Started, "");
        let said = group.read_output().await.map_err(unusable)?;
        let status = group.child.wait().await.map_err(unusable)?;
        trail.mark(Phase::Read, status.to_string());
        judge(status, &said)
    }

    /// Forgets all targets but these.
    pub fn retain(&self, is_kept: impl Fn(&Arc<str>) -> bool) {
        self.turns.retain(is_kept);
    }
}

fn unusable(error: io::Error) -> Fault {
    match Fault::local(error) {
        out_of_means @ Fault::OfThisNode(Doubt::NoResources) => out_of_means,
        Fault::OfThisNode(_) | Fault::OfTarget(_) => Doubt::NoProgram.into(),
    }
}

fn command(addr: SocketAddr, check: &ExecCheck, timeout: Duration) -> Command {
    let filled = |word: &str| word.replace("{address}", &addr.ip().to_string()).replace("{port}", &addr.port().to_string());
    // The program itself is what was allowed, word for word.
    let mut command = Command::new(&*check.command[0]);
    command.args(check.command[1..].iter().map(|word| filled(word)));
    // What this server was started with is none of the program's business; where to find other programs is.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).env("STEERSMAN_ADDRESS", addr.ip().to_string());
    command.env("STEERSMAN_PORT", addr.port().to_string()).env("STEERSMAN_TIMEOUT_MS", timeout.as_millis().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/").process_group(0);
    command
}

fn judge(status: ExitStatus, said: &[u8]) -> Result<(), Fault> {
    let said = String::from_utf8_lossy(said);
    let line = reason(said.lines().next().unwrap_or_default());
    match status.code() {
        Some(0) => Ok(()),
        Some(UNDECIDED) => Err(Doubt::Undecided.into()),
        Some(code) if UNUSABLE.contains(&code) => Err(Doubt::NoProgram.into()),
        Some(code) if line.is_empty() => Err(reported(format!("exit code {code}"))),
        Some(code) => Err(reported(format!("{line} (exit code {code})"))),
        // By a signal: it crashed, or this machine ran out of memory and chose it.
        None => Err(Doubt::NoProgram.into()),
    }
}

fn reported(why: String) -> Fault {
    FailReason::Reported(why.into()).into()
}

/// A program and what it started, as long as that stays in the group.
struct Group {
    child: Child,
    /// The number of its process group, which is its own.
    leader: Option<Pid>,
}

impl Group {
    fn start(command: &mut Command) -> io::Result<Group> {
        let child = command.spawn()?;
        let leader = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Group { child, leader })
    }

    /// What it prints, cut to [`OUTPUT_MAX`], until it closes its output or ends. A child that it leaves behind may hold the
    /// pipe open for ever, or fill it without end: what is in it when the program ends is enough.
    async fn read_output(&mut self) -> io::Result<Vec<u8>> {
        let Some(mut output) = self.child.stdout.take() else { return Ok(Vec::new()) };
        let (mut said, mut piece) = (Vec::new(), vec![0; OUTPUT_MAX]);
        loop {
            tokio::select! {
                read = output.read(&mut piece) => match read? {
                    0 => return Ok(said),
                    len => keep(&mut said, &piece[..len]),
                },
                _ = self.child.wait() => break,
            }
        }
        for _ in 0..PIPE_PIECES {
            // Takes what is there, and does not wait for more.
            let Ok(read) = tokio::time::timeout(Duration::ZERO, output.read(&mut piece)).await else { break };
            match read? {
                0 => break,
                len => keep(&mut said, &piece[..len]),
            }
        }
        Ok(said)
    }
}

fn keep(said: &mut Vec<u8>, piece: &[u8]) {
    said.extend_from_slice(&piece[..piece.len().min(OUTPUT_MAX - said.len())]);
}

/// A pipe of 64 KiB, emptied [`OUTPUT_MAX`] octets at a time.
const PIPE_PIECES: usize = 64 * 1024 / OUTPUT_MAX;

impl Drop for Group {
    fn drop(&mut self) {
        // The number stays taken as long as one of the group lives. Where none does, the program was waited for a moment ago,
        // and the system gives a number out anew only after all others.
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
