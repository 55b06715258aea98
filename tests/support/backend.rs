//! An HTTP backend, with TLS or without, that can be killed, hung, made slow, made to answer 500 or to reset, and revived.

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A backend. Ends with the value.
pub struct Backend {
    addr: SocketAddr,
    mood: Arc<AtomicU8>,
    /// Whether a probe has been talked at for a while.
    talked: Arc<AtomicBool>,
    /// None: in the clear.
    tls: Option<Arc<ServerConfig>>,
    /// None after it was killed.
    socket: Option<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

/// How long a slow backend takes. Longer than any probe of the tests waits.
pub const SLOW: Duration = Duration::from_millis(1_500);

const WELL: u8 = 0;
const ILL: u8 = 1;
const HUNG: u8 = 2;
const DEAD: u8 = 3;
const ENDLESS: u8 = 4;
/// Every third answer is a 500; `LOSSY` and the two above it count.
const LOSSY: u8 = 5;
const TARDY: u8 = 8;
const ABRUPT: u8 = 9;

impl Backend {
    /// `count` backends on loopback addresses of their own, all with one port that was free. `net` keeps tests apart: their
    /// addresses are 127.`net`.0.1 and on.
    pub fn some(net: u8, count: u8) -> Vec<Backend> {
        Backend::some_with(net, count, None)
    }

    /// The same, with TLS where a config is given.
    pub fn some_with(net: u8, count: u8, tls: Option<&Arc<ServerConfig>>) -> Vec<Backend> {
        let addr = |index: u8| IpAddr::V4(Ipv4Addr::new(127, net, 0, index + 1));
        let attempt = || -> std::io::Result<Vec<Backend>> {
            let first = TcpListener::bind((addr(0), 0))?;
            let port = first.local_addr()?.port();
            let rest = (1..count).map(|index| TcpListener::bind((addr(index), port)));
            let listeners: Vec<TcpListener> = std::iter::once(Ok(first)).chain(rest).collect::<Result<_, _>>()?;
            Ok(listeners.into_iter().map(|listener| Backend::on(listener, tls.cloned())).collect())
        };
        let found = (0..50).find_map(|_| attempt().ok());
        found.expect("some port of fifty is free on a few loopback addresses")
    }

    /// A backend on a socket that is bound already.
    pub fn on(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Backend {
        let addr = listener.local_addr().expect("bound");
        let mut backend = Backend { addr, mood: Arc::new(AtomicU8::new(WELL)), talked: Arc::default(), tls, socket: None, thread: None };
        backend.run(listener);
        backend
    }

    fn run(&mut self, listener: TcpListener) {
        let (mood, talked, tls) = (Arc::clone(&self.mood), Arc::clone(&self.talked), self.tls.clone());
        self.socket = Some(listener.try_clone().expect("a descriptor is left"));
        self.thread = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                if mood.load(Ordering::SeqCst) == DEAD {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (mood, talked, tls) = (Arc::clone(&mood), Arc::clone(&talked), tls.clone());
                std::thread::spawn(move || meet(stream, tls, &mood, &talked));
            }
        }));
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address, as an answer shows it.
    pub fn ip(&self) -> String {
        self.addr.ip().to_string()
    }

    /// Answers 500 from now on.
    pub fn fall_ill(&self) {
        self.mood.store(ILL, Ordering::SeqCst);
    }

    /// Answers every third request with 500 from now on.
    pub fn lose_every_third(&self) {
        self.mood.store(LOSSY, Ordering::SeqCst);
    }

    /// Takes connections and says nothing from now on.
    pub fn hang(&self) {
        self.mood.store(HUNG, Ordering::SeqCst);
    }

    /// Takes longer to answer than any prober waits, from now on.
    pub fn slow_down(&self) {
        self.mood.store(TARDY, Ordering::SeqCst);
    }

    /// Resets every connection once the request has come, from now on.
    pub fn reset(&self) {
        self.mood.store(ABRUPT, Ordering::SeqCst);
    }

    /// Sends interim responses (RFC 9110 section 15.2) as fast as it can from now on, and never a final one.
    pub fn talk_without_end(&self) {
        self.mood.store(ENDLESS, Ordering::SeqCst);
    }

    /// Whether a probe has listened to such talk for a while.
    pub fn has_talked(&self) -> bool {
        self.talked.load(Ordering::SeqCst)
    }

    /// Closes the socket: connections are refused.
    pub fn kill(&mut self) {
        self.mood.store(DEAD, Ordering::SeqCst);
        if let Some(socket) = self.socket.take() {
            // Wakes the thread from `accept`, in whatever network it is.
            socket2::SockRef::from(&socket).shutdown(Shutdown::Both).expect("it listens");
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the backend's thread does not panic");
        }
    }

    /// Answers 200 again, whatever was before.
    pub fn revive(&mut self) {
        self.mood.store(WELL, Ordering::SeqCst);
        if self.thread.is_none() {
            self.run(TcpListener::bind(self.addr).expect("nobody else took the address"));
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

fn meet(stream: TcpStream, tls: Option<Arc<ServerConfig>>, mood: &AtomicU8, talked: &AtomicBool) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    if mood.load(Ordering::SeqCst) == ABRUPT {
        // What is closed with a linger of zero is reset.
        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    }
    match tls {
        None => answer(stream, mood, talked),
        Some(config) => {
            let session = ServerConnection::new(config).expect("the config is sound");
            answer(StreamOwned::new(session, stream), mood, talked);
        }
    }
}

fn answer(mut stream: impl Read + Write, mood: &AtomicU8, talked: &AtomicBool) {
    let mut request = [0; 1024];
    let Ok(_) = stream.read(&mut request) else { return };
    let status = match mood.load(Ordering::SeqCst) {
        WELL => "200 OK",
        LOSSY | 6 => {
            mood.fetch_add(1, Ordering::SeqCst);
            "200 OK"
        }
        7 => {
            mood.store(LOSSY, Ordering::SeqCst);
            "500 Internal Server Error"
        }
        ILL => "500 Internal Server Error",
        TARDY => {
            // To be slow is all that it is here for.
            std::thread::park_timeout(SLOW);
            "200 OK"
        }
        ABRUPT => return,
        ENDLESS => {
            let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
            for said in 0.. {
                if stream.write_all(hints.as_bytes()).is_err() {
                    break;
                }
                // Far more than buffers on the way hold: somebody listens.
                talked.fetch_or(said > 300, Ordering::SeqCst);
            }
            return;
        }
        _ => {
            // Holds the connection until the other side gives up.
            let _ = stream.read(&mut request);
            return;
        }
    };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}
