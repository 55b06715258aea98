//! The commands: the only code that prints to the terminal.
//!
//! One file per command. What a command shows goes to standard output, what goes wrong to standard error. Exit codes: 0 it is
//! done, 1 it is not, 2 the flags make no sense (of `probe`: it could not be found out).
#![allow(clippy::disallowed_methods, reason = "this is the shell")]

mod check;
mod demo;
mod explain;
mod history;
mod overrides;
mod probe;
mod reload;
mod serve;
mod status;
mod table;
mod when;

use crate::diagnostic::Diagnostics;
use crate::explain::{Case, SOME_CLIENT};
use crate::io::clock::wall_unix_ms;
use crate::io::log;
use crate::snapshot::AdminAddr;
use clap::{Parser, Subcommand};
use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An authoritative DNS server that steers clients to live regional load balancers.
#[derive(Parser, Debug)]
#[command(name = "steersman", version, max_term_width = 100)]
struct Flags {
    #[command(subcommand)]
    command: Command,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Logging")]
    log_format: log::Format,
    /// Which log lines are kept: a level (error, warn, info, debug, trace), or a list such as
    /// `info,steersman::io::prober=debug` [default: info; in the demo warn].
    #[arg(long, global = true, value_name = "FILTER", help_heading = "Logging")]
    log: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve the zones, probe the members, steer the clients.
    ///
    /// SIGHUP reloads the config; SIGTERM and SIGINT answer what was read, then stop.
    Serve {
        #[command(flatten)]
        config: ConfigFlag,
    },
    /// Read the config and say what is wrong with it, or what would be served and probed.
    Check {
        #[command(flatten)]
        config: ConfigFlag,
    },
    /// Tell why a client gets the answer it gets, by the code that gives it.
    ///
    /// Asks a running server; with --offline it needs only the config, believes every member to be up but those that
    /// --down names, and so answers "what if". With --at it goes back in time, by the journal.
    Explain {
        /// The name asked for.
        name: String,
        /// The type asked for.
        #[arg(default_value = "A")]
        qtype: String,
        /// Where the query comes from: the address of the resolver [default: 192.0.2.53, which is nowhere].
        #[arg(long, value_name = "ADDR")]
        client: Option<String>,
        /// The client's prefix as the resolver announces it (EDNS client subnet).
        #[arg(long, value_name = "PREFIX")]
        subnet: Option<String>,
        /// The chance of this query: another seed, another draw.
        #[arg(long, default_value_t)]
        seed: u64,
        /// Ask no server: answer from the config alone.
        #[arg(long)]
        offline: bool,
        /// A member that is down, with --offline; may be given several times.
        #[arg(long, value_name = "MEMBER", requires = "offline", conflicts_with = "at")]
        down: Vec<String>,
        /// As it was then: a time such as 2026-11-20T03:12:07Z, or how long ago, such as 2h.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        at: Option<String>,
        /// The directory of the journal, with --offline and --at [default: the `state_dir` of the config].
        #[arg(long, value_name = "DIR", requires = "offline", requires = "at")]
        state_dir: Option<PathBuf>,
        #[command(flatten)]
        admin: AdminFlags,
    },
    /// Make one probe of a member now, and show each step: is it the member, or the check?
    ///
    /// Needs no server: it reads the config and probes from this host, by the code of the server. Exit code 0: all passed;
    /// 1: one failed; 2: one could not be made.
    Probe {
        /// The monitor.
        monitor: String,
        /// The member: its name, or POOL/MEMBER.
        member: String,
        #[command(flatten)]
        config: ConfigFlag,
    },
    /// Show what a running server believes: every pool and member, with verdict, age and last probe.
    Status {
        #[command(flatten)]
        admin: AdminFlags,
        /// Print the JSON of `/v1/status` instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show what happened: changes of verdicts and grades, configs, overrides, doubts, starts and stops, a line each.
    ///
    /// Asks a running server; where none runs, or with --state-dir, it reads the files of the journal.
    History {
        /// Whom: a pool, a member, POOL/MEMBER, `pool:NAME` or `member:NAME`; `*` and `?` stand for any letters [default: everything].
        about: Option<String>,
        /// Not before: a time such as 2026-11-20T03:12:07Z, or how long ago, such as 2h.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        since: Option<String>,
        /// Not after.
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        until: Option<String>,
        /// Print JSON, a line each.
        #[arg(long)]
        json: bool,
        /// The directory of the journal: asks no server.
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
        #[command(flatten)]
        admin: AdminFlags,
    },
    /// Put a state in the place of verdicts: of members, pools or sites, with owner, reason and expiry.
    Override {
        #[command(subcommand)]
        action: overrides::Action,
        #[command(flatten)]
        admin: AdminFlags,
    },
    /// Make a running server load its config anew: all of it, or nothing when it has an error.
    Reload {
        #[command(flatten)]
        admin: AdminFlags,
        /// Even when a zone, or more than half of the members, would go.
        #[arg(long)]
        force: bool,
    },
    /// Try it: three toy load balancers, a zone that steers to them, and a server, all on this machine.
    Demo {
        /// Where DNS queries are answered, over UDP and TCP.
        #[arg(long, value_name = "ADDR", default_value_t = demo::LISTEN)]
        listen: SocketAddr,
        /// Where the admin interface listens.
        #[arg(long, value_name = "ADDR", default_value_t = demo::ADMIN)]
        admin: SocketAddr,
        /// The port of the toy load balancers, on 127.0.10.1, 127.0.10.2 and 127.0.10.3.
        #[arg(long, value_name = "PORT", default_value_t = demo::BACKEND_PORT)]
        backend_port: u16,
    },
}

#[derive(clap::Args, Debug)]
struct ConfigFlag {
    /// The main config file [default: /etc/steersman/steersman.yaml, else ./steersman.yaml].
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
struct AdminFlags {
    /// The admin interface: an address such as 127.0.0.1:8053, or unix:PATH [default: what the config says].
    #[arg(long, value_name = "ADDR", value_parser = admin_addr, global = true)]
    admin: Option<AdminAddr>,
    #[command(flatten)]
    config: ConfigFlag,
}

/// Where a package puts the config.
const INSTALLED: &str = "/etc/steersman/steersman.yaml";
/// Where the config is in a checkout.
const LOCAL: &str = "steersman.yaml";

/// Runs the command that the program's arguments name.
pub fn run() -> ExitCode {
    let flags = Flags::parse();
    // The demo tells its own story.
    let usual = if matches!(flags.command, Command::Demo { .. }) { "warn" } else { "info" };
    let filter = flags.log.as_deref().unwrap_or(usual);
    if let Err(log::BadFilter(why)) = log::start(flags.log_format, filter) {
        return fail(&format!("--log {filter}: {why}"));
    }
    let code = obey(flags.command);
    log::finish(LOG_PATIENCE);
    if UNSAID.load(Ordering::Relaxed) { fail("not all of it could be written to standard output") } else { code }
}

/// The last lines of a log that nobody reads are not waited for.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

fn obey(command: Command) -> ExitCode {
    match command {
        Command::Serve { config } => serve::run(&config.path()),
        Command::Check { config } => check::run(&config.path()),
        Command::Explain { name, qtype, client, subnet, seed, offline, down, at, state_dir, admin } => {
            let asker = client.as_deref().unwrap_or(SOME_CLIENT);
            let (case, at) = match (Case::parse(&name, &qtype, asker, subnet.as_deref(), seed), moment(at.as_deref())) {
                (Ok(case), Ok(at)) => (case, at),
                (Err(why), _) | (_, Err(why)) => return fail(&why),
            };
            if client.is_none() {
                say(&format!("(no --client was named: {SOME_CLIENT} is nobody's address, and nowhere)\n"));
            }
            match (offline, at) {
                (true, None) => explain::offline(&admin.config.path(), &case, &down),
                (true, Some(at)) => explain::offline_past(&admin.config.path(), state_dir, &case, at),
                (false, at) => with_admin(&admin, |addr| explain::live(addr, &case, at)),
            }
        }
        Command::History { about, since, until, json, state_dir, admin } => match (moment(since.as_deref()), moment(until.as_deref())) {
            (Ok(since_unix_ms), Ok(until_unix_ms)) => {
                let question = history::Question { about, since_unix_ms, until_unix_ms, json };
                sources(&admin, state_dir).map_or_else(|why| fail(&why), |sources| history::run(&question, &sources))
            }
            (Err(why), _) | (_, Err(why)) => fail(&why),
        },
        Command::Probe { monitor, member, config } => probe::run(&config.path(), &monitor, &member),
        Command::Status { admin, json } => with_admin(&admin, |addr| status::run(addr, json)),
        Command::Override { action, admin } => with_admin(&admin, |addr| overrides::run(addr, &action)),
        Command::Reload { admin, force } => with_admin(&admin, |addr| reload::run(addr, force)),
        Command::Demo { listen, admin, backend_port } => demo::run(listen, admin, backend_port),
    }
}

impl ConfigFlag {
    fn path(&self) -> PathBuf {
        let installed = || Path::new(INSTALLED).exists().then(|| INSTALLED.into());
        self.config.clone().or_else(installed).unwrap_or_else(|| LOCAL.into())
    }
}

fn admin_addr(text: &str) -> Result<AdminAddr, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(AdminAddr::Unix(path.into()));
    }
    text.parse().map(AdminAddr::Tcp).map_err(|_| "write an address with a port, such as 127.0.0.1:8053, or unix:PATH".to_owned())
}

/// Finds the admin interface: by flag, else in the config.
fn with_admin(flags: &AdminFlags, command: impl FnOnce(&AdminAddr) -> ExitCode) -> ExitCode {
    if let Some(addr) = &flags.admin {
        return command(addr);
    }
    let path = flags.config.path();
    let mut diagnostics = Diagnostics::new();
    let section = crate::io::files::server_section(&path, &mut diagnostics);
    match section.map(|section| crate::io::files::admin_addr(&section, &path)) {
        Some(Some(addr)) => command(&addr),
        Some(None) => fail(&format!("{} has no `admin` section; name the interface with --admin", path.display())),
        None => {
            eprintln!("{}\n", diagnostics.render(std::io::stderr().is_terminal()));
            fail(&format!("cannot learn from {} where the admin interface is; name it with --admin", path.display()))
        }
    }
}

/// A point in time, in milliseconds since 1970, where one was named.
fn moment(text: Option<&str>) -> Result<Option<u64>, String> {
    text.map(|text| when::parse(text, wall_unix_ms())).transpose()
}

/// Where the past is kept: as the flags say, else as the config does.
fn sources(flags: &AdminFlags, state_dir: Option<PathBuf>) -> Result<history::Sources, String> {
    if state_dir.is_some() {
        return Ok(history::Sources { admin: None, directory: state_dir });
    }
    let path = flags.config.path();
    let mut diagnostics = Diagnostics::new();
    let section = crate::io::files::server_section(&path, &mut diagnostics);
    let admin = flags.admin.clone().or_else(|| crate::io::files::admin_addr(section.as_ref()?, &path));
    let directory = section.as_ref().and_then(|section| crate::io::files::state_dir(section, &path));
    if section.is_none() && admin.is_none() {
        let lines = diagnostics.lines().join("\n");
        return Err(format!("{lines}\nname the admin interface with --admin, or the directory of the journal with --state-dir"));
    }
    Ok(history::Sources { admin, directory })
}

/// Percent-encodes what a query string cannot hold (RFC 3986 section 2.3).
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => write!(escaped, "{}", char::from(byte)),
            _ => write!(escaped, "%{byte:02X}"),
        };
        escaped
    })
}

/// Says why a command did not do what it should.
fn fail(why: &str) -> ExitCode {
    complain(&format!("steersman: {why}\n"));
    ExitCode::FAILURE
}

/// Prints to standard error, if anybody can still read it.
fn complain(text: &str) {
    // Behind what the log said before it.
    log::finish(LOG_PATIENCE);
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether something could not be said to somebody who waits for it: a disk is full, say.
static UNSAID: AtomicBool = AtomicBool::new(false);

/// Prints to standard output. Whoever reads it may have left, as `head` does: then nobody misses the rest.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if said.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe) {
        UNSAID.store(true, Ordering::Relaxed);
    }
}

/// Runs a future on the runtime of the control plane. Two threads: the control task must not wait for a status page that is
/// being written. Probes have threads of their own.
fn block_on(future: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("control").enable_all();
    let runtime = builder.build().map_err(|error| format!("cannot start the runtime: {error}"))?;
    let result = runtime.block_on(future);
    // Whatever still blocks a thread, such as a config being compiled, must not hold up the end.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn the_admin_interface_is_an_address_or_a_path() {
        assert_eq!(admin_addr("127.0.0.1:8053"), Ok(AdminAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 8053)))));
        assert_eq!(admin_addr("unix:/run/s.sock"), Ok(AdminAddr::Unix("/run/s.sock".into())));
        assert!(admin_addr("localhost:8053").is_err());
    }
}
