//! Where measurements are made: with which program of ours, on which cores, in which directory; and what a report says of it.

use crate::contender::Peer;
use crate::system;
use clap::Args;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// What all comparisons are told.
#[derive(Args, Clone, Debug)]
pub struct Stand {
    /// The steersman program: built with the `dist` profile, or numbers mean little.
    #[arg(long = "binary", value_parser = program)]
    pub steersman: PathBuf,
    /// The core of the generator, the observer and the members.
    #[arg(long, default_value = "0")]
    pub client_core: usize,
    /// The servers' core.
    #[arg(long, default_value = "1")]
    pub server_core: usize,
    /// Keep the servers' configs and logs.
    #[arg(long)]
    pub keep: bool,
}

/// Servers start in directories of their own, so that a path must not depend on ours.
#[allow(clippy::unnecessary_wraps, reason = "a parser of arguments returns a result")]
fn program(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    Ok(path.canonicalize().unwrap_or(path))
}

impl Stand {
    /// Moves to the generator's core; the directory of the servers.
    pub fn enter(&self) -> io::Result<Scratch> {
        system::pin(0, self.client_core)?;
        Scratch::new(self.keep)
    }

    /// Machine, date, versions: without them no number means anything.
    pub fn circumstances(&self, peers: &[Peer]) -> String {
        circumstances(peers, &self.steersman)
    }
}

/// The directory of all servers' configs and logs; removed with all that is in it, also when the report cannot be written.
pub struct Scratch {
    /// Absolute.
    pub path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// An empty directory of this process; with `keep` it stays.
    fn new(keep: bool) -> io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("steersman-peers-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Scratch { path: path.canonicalize()?, keep })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.keep {
            eprintln!("kept: {}", self.path.display());
        } else {
            // What cannot be removed stays in the directory for temporary files.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

//--- Circumstances

fn circumstances(peers: &[Peer], steersman: &Path) -> String {
    let cores = thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        processor.lines().find_map(|line| line.strip_prefix(name)?.split_once(':')).map_or("unknown", |(_, value)| value.trim())
    };
    let all_cores = processor.lines().filter(|line| line.starts_with("processor")).count().max(cores);
    let versions: Vec<_> = peers.iter().map(|peer| version(*peer, steersman)).collect();
    format!(
        "Date: {}. Machine: {} (family {}, model {}), {all_cores} cores; Linux {}. Load average at the start: {}.\n\nVersions: {}.\n",
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        field("model name"),
        field("cpu family"),
        field("model\t"),
        said("uname", &["-r"]),
        fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("unknown"),
        versions.join(", ")
    )
}

fn version(peer: Peer, steersman: &Path) -> String {
    let (program, argument) = peer.version();
    match peer {
        Peer::Steersman => said(&steersman.to_string_lossy(), &[argument]),
        Peer::Gdnsd | Peer::Knot | Peer::Nsd | Peer::Powerdns | Peer::Bind => {
            let said = said(program, &[argument]);
            // Some say their version without their name, some in a sentence.
            let number =
                said.split([' ', '/', ',']).find(|word| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.'));
            number.map_or(said.clone(), |number| format!("{} {number}", peer.word()))
        }
    }
}

/// The first line that a program says.
fn said(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else { return format!("{program}: unknown") };
    let all = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&all).lines().next().unwrap_or("unknown").trim().to_owned()
}
