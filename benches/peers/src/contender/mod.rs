//! A server in a comparison: its config written, its process started on one core and ended again.
//!
//! One file for each server says the [`World`] in that server's language. All get one worker, UDP and TCP on a free port of
//! 127.0.0.1, a directory of their own, and otherwise their own defaults.

mod bind;
mod gdnsd;
mod knot;
mod nsd;
mod powerdns;
pub mod steersman;

use crate::meter;
use crate::system;
use crate::world::{Workload, World};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// A program that can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Our own.
    Steersman,
    /// gdnsd, with its geoip, weighted and metafo plugins.
    Gdnsd,
    /// Knot DNS, plain and with mod-geoip: two processes.
    Knot,
    /// NSD.
    Nsd,
    /// PowerDNS with the bind backend and LUA records that share their state.
    Powerdns,
    /// BIND.
    Bind,
}

impl Peer {
    /// All there are.
    pub const ALL: [Peer; 6] = [Peer::Steersman, Peer::Gdnsd, Peer::Knot, Peer::Nsd, Peer::Powerdns, Peer::Bind];

    /// As it is written on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Peer::Steersman => "steersman",
            Peer::Gdnsd => "gdnsd",
            Peer::Knot => "knot",
            Peer::Nsd => "nsd",
            Peer::Powerdns => "powerdns",
            Peer::Bind => "bind",
        }
    }

    /// The program and the argument that makes it say its version.
    pub const fn version(self) -> (&'static str, &'static str) {
        match self {
            Peer::Steersman => ("steersman", "--version"),
            Peer::Gdnsd => ("gdnsd", "version"),
            Peer::Knot => ("knotd", "-V"),
            Peer::Nsd => ("nsd", "-v"),
            Peer::Powerdns => ("pdns_server", "--version"),
            Peer::Bind => ("named", "-v"),
        }
    }

    /// Writes its config below the site's directory; the processes to start.
    pub fn prepare(self, site: &Site) -> io::Result<Vec<Setup>> {
        match self {
            Peer::Steersman => steersman::prepare(site),
            Peer::Gdnsd => gdnsd::prepare(site),
            Peer::Knot => knot::prepare(site),
            Peer::Nsd => nsd::prepare(site),
            Peer::Powerdns => powerdns::prepare(site),
            Peer::Bind => bind::prepare(site),
        }
    }

    /// Writes its config for a single zone of plain names; an error for those that are never asked that.
    pub fn prepare_plain(self, zone: &PlainZone) -> io::Result<Setup> {
        match self {
            Peer::Steersman => steersman::prepare_plain(zone),
            Peer::Gdnsd => gdnsd::prepare_plain(zone),
            Peer::Knot => knot::prepare_plain(zone),
            Peer::Nsd => nsd::prepare_plain(zone),
            Peer::Powerdns | Peer::Bind => Err(io::Error::other(format!("{} is not set up for one large zone", self.word()))),
        }
    }
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Peer, String> {
        Peer::ALL.into_iter().find(|peer| peer.word() == text).ok_or_else(|| format!("`{text}` is no peer"))
    }
}

/// What a server is to be set up for.
pub struct Site<'a> {
    /// What to serve.
    pub world: &'a World,
    /// An absolute path. Each server makes a directory of its own in it.
    pub directory: &'a Path,
    /// The port on which the places answer HTTP.
    pub members_port: u16,
    /// Our own program.
    pub steersman: &'a Path,
}

impl Site<'_> {
    /// A server's directory, and the address it shall listen on.
    fn home(&self, name: &str) -> io::Result<(PathBuf, SocketAddrV4)> {
        home(self.directory, name)
    }
}

/// A server's directory, and an address of its own.
pub fn home(directory: &Path, name: &str) -> io::Result<(PathBuf, SocketAddrV4)> {
    let home = directory.join(name);
    fs::create_dir_all(&home)?;
    Ok((home, SocketAddrV4::new(Ipv4Addr::LOCALHOST, system::free_port()?)))
}

/// One zone of plain names that any server can serve.
pub struct PlainZone<'a> {
    /// Its name, without a dot at the end.
    pub origin: &'a str,
    /// Its master file, an absolute path.
    pub file: &'a Path,
    /// An absolute path. Each server makes a directory of its own in it.
    pub directory: &'a Path,
    /// Our own program.
    pub steersman: &'a Path,
}

/// A process ready to start.
pub struct Setup {
    /// As the tables call it.
    pub name: &'static str,
    /// Its directory.
    pub home: PathBuf,
    /// Where it will listen.
    pub address: SocketAddrV4,
    /// The program with its arguments.
    pub command: Command,
    /// What it can do.
    pub workloads: Vec<Workload>,
}

/// What servers without steering can do.
const PLAIN: [Workload; 2] = [Workload::Static, Workload::Negative];

impl Setup {
    /// The ceiling probe: this very program.
    pub fn reflector(site: &Site) -> io::Result<Setup> {
        let (home, address) = site.home("reflector")?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["reflect", "--listen", &address.to_string()]);
        Ok(Setup { name: "reflector", home, address, command, workloads: Workload::ALL.to_vec() })
    }

    /// Starts it on one core; what it says goes to `log` in its directory.
    pub fn start(mut self, core: usize) -> io::Result<Contender> {
        let log = File::create(self.home.join("log"))?;
        self.command.current_dir(&self.home).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        system::confine(&mut self.command, core);
        let child = self
            .command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.command.get_program().display())))?;
        Ok(Contender { name: self.name, address: self.address, workloads: self.workloads, home: self.home, core, child })
    }
}

/// A server that runs. Ended, with all its descendants, when dropped.
pub struct Contender {
    /// As the tables call it.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// What it is measured at; those it answers wrong are taken out.
    pub workloads: Vec<Workload>,
    /// Its directory.
    pub home: PathBuf,
    core: usize,
    child: Child,
}

impl Contender {
    /// Whether its first process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The id of its first process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its processes, each with every thread moved to its core once more: some servers choose cores by themselves.
    pub fn processes(&self) -> Vec<u32> {
        let family = meter::family(self.child.id());
        for thread in family.iter().flat_map(|process| meter::threads(*process)) {
            // A thread that has just ended needs no core.
            let _ = system::pin(thread, self.core);
        }
        family
    }
}

impl Contender {
    /// Ends it with all its descendants; one that has ended stays so.
    pub fn end(&mut self) {
        if !self.is_alive() {
            return;
        }
        let family = meter::family(self.child.id());
        system::signal(self.child.id(), libc::SIGTERM);
        let until = Instant::now() + FAREWELL;
        while self.is_alive() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        if self.is_alive() {
            for process in family {
                system::signal(process, libc::SIGKILL);
            }
            let _ = self.child.wait();
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        self.end();
    }
}
