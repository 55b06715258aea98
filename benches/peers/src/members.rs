//! The places that answers lead to: a web server on every address of [`PLACES`], which says 200 to whatever it is asked.
//!
//! Servers with health checks find these alive, and what no web server listens on dead. A [`Patient`] is one more such place,
//! which can be made ill.

use crate::world::PLACES;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, true)));
    }
    Ok(port)
}

/// A place whose health can be changed.
pub struct Patient {
    is_well: Arc<AtomicBool>,
}

impl Patient {
    /// A well one, for as long as the process lives.
    pub fn admit(address: SocketAddrV4) -> io::Result<Patient> {
        let listener = TcpListener::bind(address)?;
        let is_well = Arc::new(AtomicBool::new(true));
        let patient = Patient { is_well: Arc::clone(&is_well) };
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| answer(stream, is_well.load(Ordering::Relaxed))));
        Ok(patient)
    }

    /// From now on well (200) or ill (503).
    pub fn set(&self, is_well: bool) {
        self.is_well.store(is_well, Ordering::Relaxed);
    }
}

fn answer(mut stream: TcpStream, is_well: bool) {
    // A prober that has left is no concern of ours.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    if stream.read(&mut [0; 2048]).is_ok_and(|count| count > 0) {
        let status = if is_well { "200 OK" } else { "503 Service Unavailable" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}
