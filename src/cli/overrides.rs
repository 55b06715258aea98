//! `steersman override`: what an operator puts in the place of verdicts.

use super::table::columns;
use super::{escape, fail, say};
use crate::io::admin_client::{self, Response};
use crate::io::clock::wall_unix_s;
use crate::io::order::{OrderReport, OverrideStatus};
use crate::snapshot::AdminAddr;
use clap::{Subcommand, ValueEnum};
use std::process::ExitCode;

/// What to do with overrides.
#[derive(Subcommand, Debug)]
pub enum Action {
    /// Put a state in the place of verdicts.
    Set {
        /// What is to hold: up (answered whatever probes say), down (never answered), or drain (first with the shortest TTL, then
        /// never).
        state: State,
        /// Whom: `member:NAME`, `pool:NAME`, `site:NAME` or `POOL/MEMBER`; `*` and `?` stand for any letters.
        selector: String,
        /// Why; status, log and explain show it.
        #[arg(long)]
        reason: String,
        /// Who asks [default: the user that runs this].
        #[arg(long)]
        owner: Option<String>,
        /// For how long, such as 2h [default: until it is cleared].
        #[arg(long = "for", value_name = "DURATION")]
        lasts: Option<String>,
        /// Even when a protection of the config forbids it.
        #[arg(long)]
        break_glass: bool,
    },
    /// Show all overrides, and what comes next.
    List {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// End the override for exactly this selector.
    Clear {
        /// As `list` shows it.
        selector: String,
    },
    /// Let back members that were down and wait for it (`failback`).
    Release {
        /// Whom.
        selector: String,
    },
}

/// What may be put in the place of verdicts.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// Answered, whatever probes say.
    Up,
    /// Never answered, at once.
    Down,
    /// Never answered, once all caches have forgotten longer TTLs.
    Drain,
}

/// Asks the server at `addr`.
pub fn run(addr: &AdminAddr, action: &Action) -> ExitCode {
    let (method, path) = match action {
        Action::List { json } => return list(addr, *json),
        Action::Set { state, selector, reason, owner, lasts, break_glass } => {
            let state = match state {
                State::Up => "up",
                State::Down => "down",
                State::Drain => "drain",
            };
            let owner = owner.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "unknown".to_owned());
            let lasts = lasts.as_ref().map(|lasts| format!("&for={}", escape(lasts))).unwrap_or_default();
            let (selector, owner, reason) = (escape(selector), escape(&owner), escape(reason));
            let query = format!("selector={selector}&state={state}&owner={owner}&reason={reason}{lasts}&break_glass={break_glass}");
            ("POST", format!("/v1/overrides?{query}"))
        }
        Action::Clear { selector } => ("DELETE", format!("/v1/overrides?selector={}", escape(selector))),
        Action::Release { selector } => ("POST", format!("/v1/release?selector={}", escape(selector))),
    };
    match admin_client::request(addr, method, &path) {
        Ok(response) => show(&response),
        Err(why) => unreachable(addr, &why),
    }
}

fn unreachable(addr: &AdminAddr, why: &admin_client::Silence) -> ExitCode {
    fail(&format!("the admin interface at {}: {why}; is the server running?", super::status::name(addr)))
}

fn show(response: &Response) -> ExitCode {
    match serde_json::from_str::<OrderReport>(&response.body) {
        Ok(report) if report.obeyed => {
            say(&format!("{}\n", report.message));
            ExitCode::SUCCESS
        }
        Ok(report) => fail(&report.message),
        Err(_) => fail(&format!("the server answered {}: {}", response.code, response.body.trim())),
    }
}

fn list(addr: &AdminAddr, json: bool) -> ExitCode {
    match admin_client::request(addr, "GET", "/v1/overrides") {
        Ok(Response { code: 200, body }) if json => {
            say(&(body + "\n"));
            ExitCode::SUCCESS
        }
        Ok(Response { code: 200, body }) => match serde_json::from_str::<Vec<OverrideStatus>>(&body) {
            Ok(overrides) => {
                say(&table(&overrides, wall_unix_s()));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&format!("what listens at {} is no steersman, or a much newer one: {error}", super::status::name(addr))),
        },
        Ok(Response { code, body }) => fail(&format!("the server answered {code}: {}", body.trim())),
        Err(why) => unreachable(addr, &why),
    }
}

const HEAD: [&str; 5] = ["SELECTOR", "STATE", "OWNER", "OUTLOOK", "REASON"];

fn table(overrides: &[OverrideStatus], now_unix_s: u64) -> String {
    if overrides.is_empty() {
        return "there are no overrides\n".to_owned();
    }
    let row = |one: &OverrideStatus| {
        let state = if one.break_glass { format!("{} (glass broken)", one.state) } else { one.state.clone() };
        vec![one.selector.clone(), state, one.owner.clone(), one.outlook(now_unix_s).unwrap_or_default(), one.reason.clone()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(HEAD.map(String::from).to_vec()).chain(overrides.iter().map(row)).collect();
    columns(&rows)
}
