//! The real binary in a process of its own, with a config in a directory of its own.

use super::wait_for;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// The files of a config; gone with the value.
pub struct Config {
    directory: PathBuf,
}

impl Config {
    /// A config with one zone, `test.example`, the admin interface on a unix socket, and DNS on a port that the kernel picks.
    pub fn new(policies: &str, records: &str) -> Config {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("steersman-serve-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let config = Config { directory: std::env::temp_dir().join(name) };
        config.server("");
        config.policies(policies);
        config.records(records);
        config
    }

    /// Writes steersman.yaml with `more` at its end.
    pub fn server(&self, more: &str) {
        let socket = self.directory.join("admin.sock");
        let base = format!(
            "listen: \"127.0.0.1:0\"\nzones: zones/*.yaml\npolicies: policies/*.yaml\nadmin: {{listen: \"unix:{}\"}}\nworkers: 1\nprobes: {{allow: [default, 127.0.0.0/8]}}\n",
            socket.display()
        );
        self.write("steersman.yaml", &format!("{base}{more}"));
    }

    /// Writes the policies.
    pub fn policies(&self, text: &str) {
        self.write("policies/all.yaml", text);
    }

    /// Writes the records of test.example.
    pub fn records(&self, records: &str) {
        let head =
            "zone: test.example\nsoa: {mname: ns1, rname: hostmaster, minimum: 5s}\nrecords:\n  \"@\": {NS: ns1}\n  ns1: {A: 127.0.0.1}\n";
        self.write("zones/test.yaml", &format!("{head}{records}"));
    }

    /// Writes any file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        std::fs::create_dir_all(path.parent().expect("below the directory")).expect("writable");
        std::fs::write(path, text).expect("writable");
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Runs a command of the binary on this config to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = binary();
        command.args(arguments).current_dir(&self.directory);
        command.output().expect("the binary runs")
    }

    /// Speaks HTTP to the admin interface: `GET /readyz`.
    pub fn ask(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(self.directory.join("admin.sock")).expect("the admin interface listens");
        write!(stream, "{request} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut response = String::new();
        stream.read_to_string(&mut response).expect("it answers");
        response
    }

    /// What the server says of itself, as JSON.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&super::stdout(&self.command(&["status", "--json"]))).expect("JSON")
    }

    /// Starts to serve with a log that nobody reads.
    pub fn serve_unseen(&self, log: Stdio) -> Unseen {
        let mut command = binary();
        command.args(["serve", "--config", "steersman.yaml"]).current_dir(&self.directory);
        Unseen(command.stdin(Stdio::null()).stderr(log).spawn().expect("the binary runs"))
    }

    /// Waits until `steersman status` prints all of `parts`.
    pub fn wait_status(&self, parts: &[&str]) {
        let status = || String::from_utf8_lossy(&self.command(&["status"]).stdout).into_owned();
        let shown = || Some(status()).filter(|text| parts.iter().all(|part| text.contains(part)));
        wait_for(&format!("a status with {parts:?}"), shown, status);
    }

    /// Starts to serve.
    pub fn serve(&self) -> Server {
        let mut command = binary();
        command.args(["serve", "--config", "steersman.yaml"]).current_dir(&self.directory);
        Server::start(command, " on 127.0.0.1:")
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The binary under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_steersman"))
}

/// A running server whose log is not read. Killed with the value.
pub struct Unseen(Child);

impl Unseen {
    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(&self.0, name);
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running server. Killed with the value.
pub struct Server {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    port: u16,
}

impl Server {
    /// Starts `command` and waits until it prints a line with `mark` and a port right behind it.
    pub fn start(mut command: Command, mark: &str) -> Server {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let lines = Arc::default();
        collect(child.stdout.take().expect("piped"), &lines);
        collect(child.stderr.take().expect("piped"), &lines);
        let mut server = Server { child, lines, port: 0 };
        let port = |line: &String| {
            let rest = line.split_once(mark)?.1;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let lines = Arc::clone(&server.lines);
        let ready = || {
            let ended = server.child.try_wait().expect("our child");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", lines_of(&lines).join("\n"));
            lines_of(&lines).iter().find_map(port)
        };
        server.port = wait_for(&format!("a line with `{mark}`"), ready, || lines_of(&lines).join("\n"));
        server
    }

    /// The port of DNS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All that it printed so far.
    pub fn lines(&self) -> Vec<String> {
        lines_of(&self.lines)
    }

    /// Waits until `look` finds something; shows the log when it does not.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&Server) -> Option<T>) -> T {
        wait_for(what, || look(self), || format!("the server's log:\n{}", self.lines().join("\n")))
    }

    /// Waits for a line that holds all of `parts`.
    pub fn wait_line(&self, parts: &[&str]) -> String {
        let holds = |line: &String| parts.iter().all(|part| line.contains(part));
        self.wait(&format!("a line with {parts:?}"), |server| server.lines().into_iter().find(holds))
    }

    /// Waits until `dig +short` prints exactly these lines, in any order.
    pub fn wait_answer(&self, question: &str, want: &[String]) {
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let want = sorted(want.to_vec());
        let start = Instant::now();
        loop {
            let last = super::dig(self.port, question);
            if sorted(last.clone()) == want {
                return;
            }
            let log = || self.lines().join("\n");
            assert!(start.elapsed() < super::PATIENCE, "{question}: {last:?} instead of {want:?}; the server's log:\n{}", log());
        }
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end.
    pub fn wait_end(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        let lines = Arc::clone(&self.lines);
        let ended = || child.lock().expect("not poisoned").try_wait().expect("our child");
        wait_for("the end of the server", ended, || lines_of(&lines).join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.expect("kill is everywhere").success());
}

fn lines_of(lines: &Mutex<Vec<String>>) -> Vec<String> {
    lines.lock().expect("no reader panics").clone()
}

fn collect(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            lines.lock().expect("no reader panics").push(line);
        }
    });
}
