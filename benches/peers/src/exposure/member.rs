//! A member: a web server in a process of its own, so that it can really be killed, stopped and made slow.
//!
//! [`serve`] is that process (`peers member`). It answers 200 to everything, on several ports: each server under test probes one of its
//! own, so that it is known whose probe a connection is. Each connection is a line on standard output. Standard input says
//! how long an answer takes; when it ends, so does the process. [`Member`] is the other end.

use crate::system::{self, Network};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A prober that connects and says nothing is let go after this.
const PATIENCE: Duration = Duration::from_secs(5);

//--- The process

/// Serves until standard input ends.
pub fn serve(address: Ipv4Addr, ports: &[u16]) -> io::Result<()> {
    let delay = Arc::new(AtomicU64::new(0));
    for (index, port) in ports.iter().enumerate() {
        let listener = TcpListener::bind(SocketAddrV4::new(address, *port))?;
        let delay = Arc::clone(&delay);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                println!("probe {index}");
                let delay = Arc::clone(&delay);
                thread::spawn(move || answer(stream, &delay));
            }
        });
    }
    println!("ready");
    for line in io::stdin().lines() {
        delay.store(line?.trim().parse().unwrap_or(0), Ordering::SeqCst);
    }
    Ok(())
}

fn answer(mut stream: TcpStream, delay_ms: &AtomicU64) {
    // A prober that has left is no concern of ours.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    if stream.read(&mut [0; 2048]).is_ok_and(|count| count > 0) {
        // Being slow is what this member was told.
        thread::sleep(Duration::from_millis(delay_ms.load(Ordering::SeqCst)));
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}

//--- The other end

/// A member that runs, or ran. Ended when dropped.
pub struct Member {
    /// What answers show.
    pub address: Ipv4Addr,
    network: Option<Arc<Network>>,
    ports: Vec<u16>,
    /// By port: when the last connection came.
    probed: Arc<Mutex<Vec<Option<Instant>>>>,
    process: Child,
    /// None after it was killed.
    orders: Option<ChildStdin>,
}

impl Member {
    /// Starts a member, in a network of its own if there is one, and waits until it listens on all ports.
    pub fn start(address: Ipv4Addr, ports: &[u16], network: Option<Arc<Network>>) -> io::Result<Member> {
        let probed = Arc::new(Mutex::new(vec![None; ports.len()]));
        let (process, orders) = spawn(address, ports, network.as_deref(), &probed)?;
        Ok(Member { address, network, ports: ports.to_vec(), probed, process, orders: Some(orders) })
    }

    /// When the last connection to the port number `index` came.
    pub fn last_probe(&self, index: usize) -> Option<Instant> {
        self.probed.lock().unwrap_or_else(PoisonError::into_inner)[index]
    }

    /// Makes answers take as long as this.
    pub fn answer_after(&mut self, delay: Duration) -> io::Result<()> {
        let orders = self.orders.as_mut().ok_or_else(|| io::Error::other("the member was killed"))?;
        writeln!(orders, "{}", delay.as_millis())
    }

    /// Stops it in its tracks: the kernel still accepts connections, nobody answers.
    pub fn stop(&self) {
        system::signal(self.process.id(), libc::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        system::signal(self.process.id(), libc::SIGCONT);
    }

    /// Kills it: connections are refused.
    pub fn kill(&mut self) {
        self.orders = None;
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it anew after it was killed.
    pub fn revive(&mut self) -> io::Result<()> {
        let (process, orders) = spawn(self.address, &self.ports, self.network.as_deref(), &self.probed)?;
        (self.process, self.orders) = (process, Some(orders));
        Ok(())
    }

    /// The network it is in.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_deref()
    }

    /// Its ports.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(
    address: Ipv4Addr,
    ports: &[u16],
    network: Option<&Network>,
    probed: &Arc<Mutex<Vec<Option<Instant>>>>,
) -> io::Result<(Child, ChildStdin)> {
    let mut command = Command::new(std::env::current_exe()?);
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    command.args(["member", "--address", &address.to_string(), "--ports", &ports.join(",")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    if let Some(network) = network {
        network.contain(&mut command);
    }
    let mut process = command.spawn()?;
    let orders = process.stdin.take().ok_or_else(|| io::Error::other("no pipe to the member"))?;
    let mut lines = BufReader::new(process.stdout.take().ok_or_else(|| io::Error::other("no pipe from the member"))?).lines();
    match lines.next() {
        Some(Ok(line)) if line == "ready" => {}
        _ => return Err(io::Error::other(format!("the member at {address} did not start"))),
    }
    let probed = Arc::clone(probed);
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let now = Instant::now();
            if let Some(index) = line.strip_prefix("probe ").and_then(|index| index.parse::<usize>().ok()) {
                probed.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(now);
            }
        }
    });
    Ok((process, orders))
}
