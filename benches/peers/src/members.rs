//! The places that answers lead to: a web server on every address of [`PLACES`], which says 200 to whatever it is asked.
//!
//! Servers with health checks find these alive, and what no web server listens on dead.

use crate::world::PLACES;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// A prober that connects and says nothing holds one place's server no longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// Listens on one port of all places, for as long as the process lives; the port.
pub fn start() -> io::Result<u16> {
    let first = TcpListener::bind(SocketAddrV4::new(PLACES[0], 0))?;
    let port = first.local_addr()?.port();
    let others: io::Result<Vec<_>> = PLACES[1..].iter().map(|place| TcpListener::bind(SocketAddrV4::new(*place, port))).collect();
    for listener in others?.into_iter().chain([first]) {
        thread::spawn(move || listener.incoming().flatten().for_each(answer));
    }
    Ok(port)
}

fn answer(mut stream: TcpStream) {
    // A prober that has left is no concern of ours.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    if stream.read(&mut [0; 2048]).is_ok_and(|count| count > 0) {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}
