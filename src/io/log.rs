//! Log lines: where they go and which are kept.
//!
//! The core never logs: it returns events, and the shell writes the line. Lines go to standard error, as text or as one
//! JSON object a line, by a thread of their own: a reader who stops reading holds up nobody. Lines wait for it, many but not
//! without end; those beyond are lost, and counted.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How a line looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The library below DNS over TLS logs every answer at `info`, and warns of every client that hangs up.
const QUIET: &str = "hickory_server=error,hickory_proto=error,hickory_net=error";

/// Why a filter is no filter.
#[derive(Debug)]
pub struct BadFilter(pub String);

/// Starts logging for the whole program. `filter` is a level, or a list such as `info,steersman::io::prober=debug`.
///
/// # Errors
/// When the filter cannot be read; holds what is wrong with it.
pub fn start(format: Format, filter: &str) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|error| BadFilter(error.to_string()))?;
    let lines = LINES.get_or_init(|| Lines::to(io::stderr(), WAITING_MAX));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| lines.clone()).with_target(false);
    // The library would tell standard error that standard error takes no lines, and panic when that fails too: a full
    // disk or a dead reader of the log must not end a nameserver.
    let builder = builder.log_internal_errors(false);
    // A second start in one process (a test) keeps the first; there is nothing better to do.
    let _ = match format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Lines that were lost since the start: whoever reads the log is too slow, or reads no more.
pub fn lost() -> u64 {
    LINES.get().map_or(0, |lines| lines.lost.load(Ordering::Relaxed))
}

/// Waits until all lines so far are written, but not longer than `patience`. To be called before anything else is said there, and at
/// the end.
pub fn finish(patience: Duration) {
    if let Some(lines) = LINES.get() {
        lines.finish(patience);
    }
}

/// The lines of this program.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Lines that may wait: a region of ten thousand members that dies at once fits, and some MB of memory hold them.
const WAITING_MAX: usize = 16_384;

/// Lines on their way out. A line is what is written at once.
#[derive(Clone, Debug)]
struct Lines {
    inbox: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    Sync(Sender<()>),
}

impl Lines {
    /// Lines for `out`, of which so many may wait. Where there is no thread to be had, all of them are lost.
    fn to(out: impl Write + Send + 'static, waiting_max: usize) -> Lines {
        let (inbox, messages) = mpsc::sync_channel(waiting_max);
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || write_out(out, &messages));
        Lines { inbox, lost: Arc::default() }
    }

    fn finish(&self, patience: Duration) {
        let (done, waiting) = mpsc::channel();
        if self.inbox.try_send(Message::Sync(done)).is_ok() {
            // A reader who reads no more must not hold up the end.
            let _ = waiting.recv_timeout(patience);
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.inbox.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_out(mut out: impl Write, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            // A full disk or a dead reader takes no line, and there is nobody to tell.
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Sync(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn a_reader_who_stops_reading_holds_up_nobody_and_costs_only_what_does_not_fit() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let (mut lines, all) = (Lines::to(writer, 100), 10_000);
        // A pipe holds 64 KiB: about 3,300 of these.
        for number in 0..all {
            lines.write_all(format!("line {number:>13}\n").as_bytes()).expect("it is taken or counted");
            // So that the pipe is filled before the queue is.
            if number % 50 == 0 {
                lines.finish(Duration::from_millis(10));
            }
        }
        lines.finish(Duration::from_millis(10));
        let lost = lines.lost.load(Ordering::Relaxed);
        assert!((1..all).contains(&lost), "{lost}");
        let kept: Vec<String> =
            BufReader::new(reader).lines().take(usize::try_from(all - lost).expect("few")).map_while(Result::ok).collect();
        assert!(kept.len() >= 100 && kept.iter().all(|line| line.len() == 18 && line.starts_with("line ")), "{}", kept.len());
        assert_eq!(kept[0], format!("line {:>13}", 0));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = start(Format::Text, "steersman=loudest").expect_err("there is no such level");
        assert!(!error.0.is_empty());
    }
}
