//! `steersman reload`: asks a running server to load its config anew, and shows what it says.

use super::{fail, say};
use crate::io::admin_client::{self, Response};
use crate::io::reload::{ReloadReport, ReloadResult};
use crate::snapshot::AdminAddr;
use std::process::ExitCode;

/// Asks the server at `addr`; the exit code is 0 only when the new config is in force.
pub fn run(addr: &AdminAddr, force: bool) -> ExitCode {
    let path = if force { "/v1/reload?force=true" } else { "/v1/reload" };
    match admin_client::request(addr, "POST", path) {
        Ok(response) => show(&response),
        Err(why) => fail(&format!("the admin interface at {}: {why}", super::status::name(addr))),
    }
}

fn show(response: &Response) -> ExitCode {
    let Ok(report) = serde_json::from_str::<ReloadReport>(&response.body) else {
        return fail(&format!("the server answered {}: {}", response.code, response.body.trim()));
    };
    if !report.report.is_empty() {
        eprintln!("{}\n", report.report);
    }
    match report.result {
        ReloadResult::Applied => {
            say(&format!("{}\n", report.message));
            ExitCode::SUCCESS
        }
        ReloadResult::Refused | ReloadResult::Failed => fail(&format!("reload {}: {}", report.result.word(), report.message)),
    }
}
