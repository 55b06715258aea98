//! A backend that can be killed, hung, made slow, deaf or ill, made to answer something else or to reset, and revived. It speaks HTTP,
//! in the clear or over TLS, gRPC, or DNS.

use super::probed::{self, Reply};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RData;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A backend. Ends with the value.
pub struct Backend {
    addr: SocketAddr,
    speech: Speech,
    temper: Arc<Temper>,
    /// None after it was killed, and of one that speaks DNS: that looks up by itself.
    socket: Option<TcpListener>,
    /// None after it was killed.
    thread: Option<JoinHandle<()>>,
    /// Connections that nobody serves, and that leave no room for others.
    idlers: Vec<Socket>,
}

/// What a backend speaks.
#[derive(Clone)]
pub enum Speech {
    Http,
    Https(Arc<ServerConfig>),
    /// The health service, in the clear.
    Grpc,
    /// Over UDP: [`probed::answered`].
    Dns,
}

/// What a backend does when it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Answers that it is not.
    Ill,
    /// Answers soundly, but not what it should.
    Astray,
    /// Every third answer is that of the ill; so many were not since.
    Lossy(u8),
    /// Answers well after this time.
    Slow(Duration),
    Hung,
    Abrupt,
    /// Talks without end.
    Endless,
    Deaf,
    Dead,
}

/// What a backend shares with those who serve its connections.
struct Temper {
    mood: Mutex<Mood>,
    changed: Condvar,
    /// Whether a probe is kept in this mood: held, or talked at for a while.
    keeps: AtomicBool,
    /// Whether it takes no connection any more, since it is deaf.
    deaf: AtomicBool,
}

/// How long a slow backend takes. Longer than any probe of the tests waits.
pub const SLOW: Duration = Duration::from_millis(1_500);

impl Backend {
    /// `count` backends that speak HTTP in the clear, on loopback addresses of their own, all with one port that was free. `net` keeps
    /// tests apart: their addresses are 127.`net`.0.1 and on.
    pub fn some(net: u8, count: u8) -> Vec<Backend> {
        Backend::speaking(&Speech::Http, net, count)
    }

    /// The same for any speech.
    pub fn speaking(speech: &Speech, net: u8, count: u8) -> Vec<Backend> {
        let attempt = || -> std::io::Result<Vec<Backend>> {
            let mut backends: Vec<Backend> = Vec::new();
            for index in 1..=count {
                let port = backends.first().map_or(0, |first| first.addr.port());
                backends.push(Backend::at((Ipv4Addr::new(127, net, 0, index), port).into(), speech.clone())?);
            }
            Ok(backends)
        };
        let found = (0..50).find_map(|_| attempt().ok());
        found.expect("some port of fifty is free on a few loopback addresses")
    }

    /// A backend at this address.
    pub fn at(addr: SocketAddr, speech: Speech) -> std::io::Result<Backend> {
        let temper = Arc::new(Temper {
            mood: Mutex::new(Mood::Well),
            changed: Condvar::new(),
            keeps: AtomicBool::new(false),
            deaf: AtomicBool::new(false),
        });
        let mut backend = Backend { addr, speech, temper, socket: None, thread: None, idlers: Vec::new() };
        backend.run()?;
        Ok(backend)
    }

    fn run(&mut self) -> std::io::Result<()> {
        let (speech, temper) = (self.speech.clone(), Arc::clone(&self.temper));
        if matches!(speech, Speech::Dns) {
            let socket = UdpSocket::bind(self.addr)?;
            self.addr = socket.local_addr()?;
            socket.set_read_timeout(Some(LOOKS_UP_EVERY))?;
            self.thread = Some(std::thread::spawn(move || answer_datagrams(&socket, &temper)));
        } else {
            let listener = TcpListener::bind(self.addr)?;
            self.addr = listener.local_addr()?;
            self.socket = Some(listener.try_clone()?);
            self.thread = Some(std::thread::spawn(move || accept(&listener, &speech, &temper)));
        }
        Ok(())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its address, as an answer shows it.
    pub fn ip(&self) -> String {
        self.addr.ip().to_string()
    }

    /// Says that it is not well, from now on: HTTP 500, `NOT_SERVING`, SERVFAIL.
    pub fn fall_ill(&self) {
        self.temper.turn(Mood::Ill);
    }

    /// Answers soundly, but not what it should, from now on: HTTP 404, that it does not know the service, another address.
    pub fn go_astray(&self) {
        self.temper.turn(Mood::Astray);
    }

    /// Says with every third answer that it is not well, from now on.
    pub fn lose_every_third(&self) {
        self.temper.turn(Mood::Lossy(0));
    }

    /// Takes what is asked and says nothing from now on.
    pub fn hang(&self) {
        self.temper.turn(Mood::Hung);
    }

    /// Takes longer to answer than any prober waits, from now on.
    pub fn slow_down(&self) {
        self.answer_after(SLOW);
    }

    /// Takes so long to answer from now on.
    pub fn answer_after(&self, delay: Duration) {
        self.temper.turn(Mood::Slow(delay));
    }

    /// Resets every connection once the request has come, from now on.
    pub fn reset(&self) {
        self.temper.turn(Mood::Abrupt);
    }

    /// Sends interim responses (RFC 9110 section 15.2) as fast as it can from now on, and never a final one. Only of HTTP.
    pub fn talk_without_end(&self) {
        self.temper.turn(Mood::Endless);
    }

    /// Whether it has kept a probe since it hangs, or has talked at one for a while.
    pub fn keeps_a_probe(&self) -> bool {
        self.temper.keeps.load(Ordering::SeqCst)
    }

    /// Neither takes connections nor refuses them from now on, as if packets to it were lost.
    pub fn fall_deaf(&mut self) {
        self.temper.turn(Mood::Deaf);
        let socket = self.socket.as_ref().expect("it lives, and speaks over TCP");
        // The kernel accepts as many as wait here for the program to take them, and then answers no more.
        socket2::SockRef::from(socket).listen(1).expect("it listens already");
        let idler = || Socket::new(Domain::for_address(self.addr), Type::STREAM, None).expect("a socket");
        // At once, so that no probe takes one of these places.
        self.idlers.extend((0..4).map(|_| idler()).inspect(|idler| {
            idler.set_nonblocking(true).expect("every socket can");
            let _ = idler.connect(&self.addr.into());
        }));
        let taken = || self.temper.deaf.load(Ordering::SeqCst).then_some(());
        super::wait_for("the last connection that is taken", taken, String::new);
        let more = || Some(idler()).filter(|idler| idler.connect_timeout(&self.addr.into(), NOBODY_THERE).is_ok());
        let more: Vec<Socket> = std::iter::from_fn(more).collect();
        self.idlers.extend(more);
    }

    /// All of them at the same moment.
    pub fn fall_deaf_together(backends: &mut [Backend]) {
        std::thread::scope(|scope| {
            for backend in backends {
                scope.spawn(|| backend.fall_deaf());
            }
        });
    }

    /// Closes the socket: connections are refused.
    pub fn kill(&mut self) {
        self.temper.turn(Mood::Dead);
        if let Some(socket) = self.socket.take() {
            // Wakes the thread from `accept`, in whatever network it is.
            socket2::SockRef::from(&socket).shutdown(Shutdown::Both).expect("it listens");
        }
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the backend's thread does not panic");
        }
    }

    /// Is well again, whatever was before.
    pub fn revive(&mut self) {
        self.temper.turn(Mood::Well);
        self.idlers.clear();
        match &self.socket {
            Some(socket) => socket2::SockRef::from(socket).listen(BACKLOG).expect("it listens already"),
            None if self.thread.is_none() => self.run().expect("nobody else took the address"),
            None => {}
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One that speaks DNS sees so soon that it was killed.
const LOOKS_UP_EVERY: Duration = Duration::from_millis(20);

/// Loopback answers far sooner, if it does at all.
const NOBODY_THERE: Duration = Duration::from_millis(100);

/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;

impl Temper {
    fn mood(&self) -> Mood {
        *self.mood.lock().expect("nobody panics with it")
    }

    fn turn(&self, mood: Mood) {
        let mut now = self.mood.lock().expect("nobody panics with it");
        *now = mood;
        self.keeps.store(false, Ordering::SeqCst);
        self.deaf.store(false, Ordering::SeqCst);
        drop(now);
        self.changed.notify_all();
    }

    /// The mood for one answer. Is late with it where the mood is that.
    fn mood_for_an_answer(&self) -> Mood {
        let mut mood = self.mood.lock().expect("nobody panics with it");
        match *mood {
            Mood::Lossy(well) => {
                *mood = Mood::Lossy((well + 1) % 3);
                if well < 2 { Mood::Well } else { Mood::Ill }
            }
            Mood::Slow(delay) => {
                drop(mood);
                // To be slow is all that it is here for.
                std::thread::park_timeout(delay);
                Mood::Well
            }
            steady @ (Mood::Well | Mood::Ill | Mood::Astray | Mood::Hung | Mood::Abrupt | Mood::Endless | Mood::Deaf | Mood::Dead) => {
                steady
            }
        }
    }

    fn wait_while_deaf(&self) {
        let mood = self.mood.lock().expect("nobody panics with it");
        self.deaf.store(*mood == Mood::Deaf, Ordering::SeqCst);
        drop(self.changed.wait_while(mood, |mood| *mood == Mood::Deaf).expect("nobody panics with it"));
    }
}

//--- Connections

fn accept(listener: &TcpListener, speech: &Speech, temper: &Arc<Temper>) {
    for stream in listener.incoming() {
        temper.wait_while_deaf();
        if temper.mood() == Mood::Dead {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (speech, temper) = (speech.clone(), Arc::clone(temper));
        std::thread::spawn(move || meet(stream, speech, &temper));
    }
}

/// Serves one connection, once something has come over it.
fn meet(stream: TcpStream, speech: Speech, temper: &Arc<Temper>) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    if stream.peek(&mut [0]).is_err() {
        return;
    }
    match temper.mood() {
        Mood::Hung => return hold(stream, &temper.keeps),
        // What is closed with a linger of zero is reset.
        Mood::Abrupt => return drop(socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        Mood::Well | Mood::Ill | Mood::Astray | Mood::Lossy(_) | Mood::Slow(_) | Mood::Endless | Mood::Deaf | Mood::Dead => {}
    }
    match speech {
        Speech::Http => answer_http(stream, temper),
        Speech::Https(config) => {
            let session = ServerConnection::new(config).expect("the config is sound");
            answer_http(StreamOwned::new(session, stream), temper);
        }
        Speech::Grpc => answer_grpc(stream, temper),
        Speech::Dns => unreachable!("it speaks over UDP"),
    }
}

/// Holds a connection until the other side gives up.
fn hold(mut stream: impl Read, keeps: &AtomicBool) {
    keeps.store(true, Ordering::SeqCst);
    while stream.read(&mut [0; 1024]).is_ok_and(|length| length > 0) {}
}

fn answer_http(mut stream: impl Read + Write, temper: &Temper) {
    let Ok(_) = stream.read(&mut [0; 1024]) else { return };
    let status = match temper.mood_for_an_answer() {
        Mood::Well | Mood::Lossy(_) | Mood::Slow(_) => "200 OK",
        Mood::Ill => "500 Internal Server Error",
        Mood::Astray => "404 Not Found",
        Mood::Endless => return talk(stream, &temper.keeps),
        Mood::Hung | Mood::Abrupt | Mood::Deaf | Mood::Dead => return hold(stream, &temper.keeps),
    };
    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

fn talk(mut stream: impl Write, keeps: &AtomicBool) {
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    for said in 0.. {
        if stream.write_all(hints.as_bytes()).is_err() {
            return;
        }
        // Far more than buffers on the way hold: somebody listens.
        keeps.fetch_or(said > 300, Ordering::SeqCst);
    }
}

fn answer_grpc(stream: TcpStream, temper: &Arc<Temper>) {
    let temper = Arc::clone(temper);
    let reply = move |_: &_| match temper.mood_for_an_answer() {
        Mood::Well | Mood::Lossy(_) | Mood::Slow(_) => Reply::health(SERVING),
        Mood::Ill => Reply::health(NOT_SERVING),
        Mood::Astray => Reply::grpc_status("5"),
        // It turned after the connection was taken: whatever it says is not that it serves.
        Mood::Hung | Mood::Abrupt | Mood::Endless | Mood::Deaf | Mood::Dead => Reply::health(UNKNOWN),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("descriptors are left");
    runtime.block_on(async {
        stream.set_nonblocking(true).expect("it is a socket");
        let stream = tokio::net::TcpStream::from_std(stream).expect("the runtime knows sockets");
        probed::serve_h2_connection(stream, reply).await;
    });
}

/// States of the health service.
const UNKNOWN: u8 = 0;
const SERVING: u8 = 1;
const NOT_SERVING: u8 = 2;

//--- Datagrams

fn answer_datagrams(socket: &UdpSocket, temper: &Arc<Temper>) {
    let mut query = [0; 1500];
    while temper.mood() != Mood::Dead {
        let Ok((length, from)) = socket.recv_from(&mut query) else { continue };
        let (query, temper) = (query[..length].to_vec(), Arc::clone(temper));
        let socket = socket.try_clone().expect("descriptors are left");
        std::thread::spawn(move || answer_datagram(&socket, &query, from, &temper));
    }
}

fn answer_datagram(socket: &UdpSocket, query: &[u8], from: SocketAddr, temper: &Temper) {
    let answer = match temper.mood_for_an_answer() {
        Mood::Well | Mood::Lossy(_) | Mood::Slow(_) => probed::answered(query, |_| {}),
        Mood::Ill => probed::answered(query, |message| {
            message.metadata.response_code = ResponseCode::ServFail;
            message.answers.clear();
        }),
        Mood::Astray => probed::answered(query, |message| message.answers[0].data = RData::A(Ipv4Addr::new(192, 0, 2, 9).into())),
        Mood::Hung | Mood::Abrupt | Mood::Endless | Mood::Deaf | Mood::Dead => return,
    };
    // Whoever asked may have gone.
    let _ = socket.send_to(&answer, from);
}
