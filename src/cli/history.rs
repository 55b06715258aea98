//! `steersman history`: what happened, a line each.

use super::{complain, escape, fail, say};
use crate::calendar;
use crate::human::count;
use crate::io::admin_client::{self, Response, Silence};
use crate::io::journal::{Entry, Filter, History};
use crate::judge::{NotASelector, Selector};
use crate::snapshot::AdminAddr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What is asked for.
#[derive(Debug, Default)]
pub struct Question {
    /// Whom it is about.
    pub about: Option<String>,
    /// Not before, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Not after.
    pub until_unix_ms: Option<u64>,
    /// Whether programs read it.
    pub json: bool,
}

/// Where the answer may be found.
#[derive(Debug)]
pub struct Sources {
    /// A running server, where one is known.
    pub admin: Option<AdminAddr>,
    /// The directory of a journal, for when no server runs.
    pub directory: Option<PathBuf>,
}

/// Asks the server, or else looks at the files.
pub fn run(question: &Question, sources: &Sources) -> ExitCode {
    let page = match &sources.admin {
        Some(addr) => match ask(addr, question) {
            Ok(page) => Ok(page),
            Err(Failure::Silent(why)) => match &sources.directory {
                Some(directory) => {
                    complain(&format!("steersman: no server at {} ({why}); reading {}\n", super::status::name(addr), directory.display()));
                    read(directory, question)
                }
                None => Err(format!(
                    "the admin interface at {}: {why}; is the server running? --state-dir reads its files",
                    super::status::name(addr)
                )),
            },
            Err(Failure::Refused(why)) => Err(why),
        },
        None => match &sources.directory {
            Some(directory) => read(directory, question),
            None => Err("the config has neither `admin` nor `state_dir`; name one with --admin or --state-dir".to_owned()),
        },
    };
    let shown = page.and_then(|page| {
        // What is missing is no line of JSON.
        if question.json { lines_of_json(&page).map(|lines| (lines, missing(&page))) } else { Ok((render(&page), String::new())) }
    });
    match shown {
        Ok((text, missing)) => {
            complain(&missing);
            say(&text);
            ExitCode::SUCCESS
        }
        Err(why) => fail(&why),
    }
}

/// Why a server did not answer.
enum Failure {
    Silent(Silence),
    Refused(String),
}

fn ask(addr: &AdminAddr, question: &Question) -> Result<History, Failure> {
    let Response { code, body } = admin_client::request(addr, "GET", &path(question)).map_err(|why| match why {
        why @ Silence::Unreachable(_) => Failure::Silent(why),
        why @ (Silence::Broken(_) | Silence::NotHttp) => Failure::Refused(why.to_string()),
    })?;
    if code != 200 {
        return Err(Failure::Refused(format!("the server answered {code}: {}", body.trim())));
    }
    serde_json::from_str(&body)
        .map_err(|error| Failure::Refused(format!("what listens there is no steersman, or a much newer one: {error}")))
}

fn path(question: &Question) -> String {
    let about = question.about.as_ref().map(|about| format!("selector={}", escape(about)));
    let since = question.since_unix_ms.map(|since| format!("since_unix_ms={since}"));
    let until = question.until_unix_ms.map(|until| format!("until_unix_ms={until}"));
    let parameters: Vec<String> = [about, since, until].into_iter().flatten().collect();
    format!("/v1/history?{}", parameters.join("&"))
}

fn read(directory: &Path, question: &Question) -> Result<History, String> {
    let about = question.about.as_deref().map(str::parse::<Selector>).transpose().map_err(|error: NotASelector| error.to_string())?;
    let filter = Filter { about, since_unix_ms: question.since_unix_ms, until_unix_ms: question.until_unix_ms };
    if !directory.is_dir() {
        return Err(format!("there is no directory {}", directory.display()));
    }
    History::read(directory, &filter)
}

fn lines_of_json(page: &History) -> Result<String, String> {
    let line = |entry: &Entry| serde_json::to_string(entry).map(|line| line + "\n").map_err(|error| error.to_string());
    page.entries.iter().map(line).collect()
}

fn render(page: &History) -> String {
    let mut text = String::new();
    for Entry { at_unix_ms, text: words, .. } in &page.entries {
        let _ = writeln!(text, "{}  {words}", calendar::show(at_unix_ms / 1_000));
    }
    if page.entries.is_empty() {
        text.push_str("nothing happened that is remembered\n");
    }
    text + &missing(page)
}

/// What is not shown, a line each.
fn missing(page: &History) -> String {
    let mut text = String::new();
    if page.left_out > 0 {
        let _ = writeln!(text, "({} before that; --until shows them)", count(page.left_out, "event"));
    }
    if page.damaged > 0 {
        let _ = writeln!(text, "({} of the journal cannot be read: torn by a crash, or changed since)", count(page.damaged, "line"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::journal::Event;
    use std::collections::VecDeque;

    #[test]
    fn an_event_is_a_line_with_its_time() {
        let entry = |at_unix_ms, text: &str| Entry { at_unix_ms, text: text.into(), event: Event::Other };
        let entries = VecDeque::from([entry(1_709_208_000_999, "pool web is empty"), entry(1_709_208_001_000, "pool web is healthy")]);
        let page = History { entries, left_out: 2, damaged: 1 };
        assert_eq!(
            render(&page),
            "2024-02-29 12:00:00Z  pool web is empty\n\
             2024-02-29 12:00:01Z  pool web is healthy\n\
             (2 events before that; --until shows them)\n\
             (1 line of the journal cannot be read: torn by a crash, or changed since)\n"
        );
        assert_eq!(
            missing(&page),
            "(2 events before that; --until shows them)\n(1 line of the journal cannot be read: torn by a crash, or changed since)\n"
        );
        assert_eq!(render(&History::default()), "nothing happened that is remembered\n");
    }

    #[test]
    fn a_question_survives_the_query_string() {
        let question = Question { about: Some("web/fra-*".into()), since_unix_ms: Some(5), until_unix_ms: None, json: false };
        assert_eq!(path(&question), "/v1/history?selector=web%2Ffra-%2A&since_unix_ms=5");
        assert_eq!(path(&Question::default()), "/v1/history?");
    }
}
