//! What tests of the real binary stand on: backends that fall ill, a server in a process of its own, dig.
#![allow(dead_code, reason = "each test uses its part")]

pub mod backend;
pub mod network;
pub mod pace;
pub mod probed;
pub mod server;
pub mod watch;

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; tests that pass do not wait for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something. Panics with what `otherwise` says when it does not within [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>, otherwise: impl FnOnce() -> String) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}\n{}", otherwise());
        // Between two looks, not instead of one.
        std::thread::park_timeout(Duration::from_millis(25));
    }
}

/// What `dig +short` prints, line by line, in order. `question` is name, type and options.
pub fn dig(port: u16, question: &str) -> Vec<String> {
    let text = dig_long(port, &format!("+short {question}"));
    text.lines().filter(|line| !line.starts_with(';')).map(str::to_owned).collect()
}

/// What `dig` prints.
pub fn dig_long(port: u16, question: &str) -> String {
    let mut dig = Command::new("dig");
    dig.args(["@127.0.0.1", "-p", &port.to_string(), "+tries=1", "+timeout=5", "+nocookie"]).args(question.split(' '));
    let output = dig.output().expect("the tests need dig, from Debian's package bind9-dnsutils");
    text(&output.stdout)
}

/// Octets of a program, as text.
pub fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// What a program printed that must have succeeded.
pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}
