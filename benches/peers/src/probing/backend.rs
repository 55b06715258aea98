//! All members in one place: every address of 127.64.0.0/10 behind one door for each kind of check, and two that hang.
//!
//! The doors are open on the loopback interface only. A thread waits at each and notes who came before anything else is done; what takes
//! longer happens on another one, so that a handshake does not make the next visitor seem late.

use super::book::{Kind, Visit};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Handle};
use tokio_rustls::TlsAcceptor;

/// The name of all members.
pub const HOST: &str = "www.example.com";
/// A visitor that says nothing is let go after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many may wait at a door.
const QUEUE: i32 = 4096;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Where the doors are.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Connections are accepted and closed.
    pub tcp: u16,
    /// HTTP is answered.
    pub http: u16,
    /// HTTPS is answered.
    pub https: u16,
    /// Connections are accepted, and nothing is ever said.
    pub mute: u16,
    /// Connections never come about.
    pub deaf: u16,
    /// The certificate of whoever signed that of the members, in PEM.
    pub authority: String,
}

/// The members, for as long as the process lives.
pub struct Backend {
    ports: Ports,
    visits: Arc<Mutex<Vec<Visit>>>,
    /// Fills the queue of the deaf door.
    _deaf: (Socket, TcpStream),
}

/// What happens behind a door.
#[derive(Clone)]
enum Room {
    Nothing,
    Answer,
    Secure(TlsAcceptor),
    Silence,
}

impl Backend {
    /// Opens all doors. The threads stay on the caller's core.
    pub fn start() -> io::Result<Backend> {
        let visits = Arc::new(Mutex::new(Vec::new()));
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
        let (acceptor, authority) = identity()?;
        let open = |kind: Option<Kind>, room: Room| -> io::Result<u16> {
            let (listener, port) = door(QUEUE)?;
            let (visits, handle) = (Arc::clone(&visits), handle.clone());
            let listener: TcpListener = listener.into();
            thread::spawn(move || listener.incoming().flatten().for_each(|stream| receive(stream, kind, &room, &visits, &handle)));
            Ok(port)
        };
        let (deaf, deaf_port) = door(0)?;
        // The queue of this door has room for one, and nobody takes it out: whoever comes later is not even refused.
        let first = TcpStream::connect(SocketAddrV4::new(Ipv4Addr::LOCALHOST, deaf_port))?;
        let ports = Ports {
            tcp: open(Some(Kind::Tcp), Room::Nothing)?,
            http: open(Some(Kind::Http), Room::Answer)?,
            https: open(Some(Kind::Https), Room::Secure(acceptor))?,
            mute: open(None, Room::Silence)?,
            deaf: deaf_port,
            authority,
        };
        Ok(Backend { ports, visits, _deaf: (deaf, first) })
    }

    /// Where the doors are.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Visits that were not taken yet.
    pub fn visits(&self) -> usize {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All visits since the last call.
    pub fn take(&self) -> Vec<Visit> {
        std::mem::take(&mut self.visits.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The address of a member; below 4,000,000.
pub fn address(target: usize) -> Ipv4Addr {
    let number = u32::try_from(target / 250 * 256 + target % 250 + 1).expect("members are few");
    Ipv4Addr::from((127 << 24 | 64 << 16) + number)
}

/// The member at an address.
fn target(address: IpAddr) -> Option<usize> {
    let IpAddr::V4(address) = address else { return None };
    let number = u32::from(address).checked_sub(127 << 24 | 64 << 16)? as usize;
    Some(number / 256 * 250 + (number % 256).checked_sub(1)?)
}

/// A listener on all addresses of the loopback interface, and its port.
fn door(queue: i32) -> io::Result<(Socket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind_device(Some(b"lo"))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    socket.listen(queue)?;
    let port = socket.local_addr()?.as_socket().map(|addr| addr.port());
    Ok((socket, port.ok_or_else(|| io::Error::other("a listener without a port"))?))
}

fn receive(stream: TcpStream, kind: Option<Kind>, room: &Room, visits: &Mutex<Vec<Visit>>, handle: &Handle) {
    let at = Instant::now();
    let target = stream.local_addr().ok().and_then(|local| target(local.ip()));
    if let Some((kind, target)) = kind.zip(target) {
        visits.lock().unwrap_or_else(PoisonError::into_inner).push(Visit { kind, target, at });
    }
    if matches!(room, Room::Nothing) || stream.set_nonblocking(true).is_err() {
        return;
    }
    let room = room.clone();
    handle.spawn(async move {
        // Whatever goes wrong here, the prober sees it.
        let _ = tokio::time::timeout(PATIENCE, serve(stream, room)).await;
    });
}

async fn serve(stream: TcpStream, room: Room) -> io::Result<()> {
    let mut stream = tokio::net::TcpStream::from_std(stream)?;
    match room {
        Room::Nothing => Ok(()),
        Room::Answer => answer(stream).await,
        Room::Secure(acceptor) => answer(acceptor.accept(stream).await?).await,
        Room::Silence => {
            // Ends when the visitor leaves.
            while stream.read(&mut [0; 512]).await? > 0 {}
            Ok(())
        }
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    if stream.read(&mut [0; 2048]).await? > 0 {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
    }
    Ok(())
}

/// A certificate for [`HOST`] signed by an authority of its own, both on P-256 as most are now; and that authority in PEM.
fn identity() -> io::Result<(TlsAcceptor, String)> {
    let failed = |error: rcgen::Error| io::Error::other(error.to_string());
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(failed)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().map_err(failed)?;
    let authority = params.self_signed(&key).map_err(failed)?.pem();
    let issuer = Issuer::new(params, key);
    let member_key = KeyPair::generate().map_err(failed)?;
    let member = CertificateParams::new(vec![HOST.to_owned()]).map_err(failed)?.signed_by(&member_key, &issuer).map_err(failed)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(member_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![member.der().clone()], key))
        .map_err(io::Error::other)?;
    Ok((TlsAcceptor::from(Arc::new(config)), authority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn every_member_has_an_address_of_its_own_that_leads_back_to_it() {
        for member in [0, 1, 249, 250, 251, 9_999, 15_000, 100_000] {
            let address = address(member);
            assert_eq!(target(address.into()), Some(member), "{address}");
            assert!(address.is_loopback() && !matches!(address.octets()[3], 0 | 255), "{address}");
        }
        assert_eq!(target(Ipv4Addr::LOCALHOST.into()), None);
    }

    #[test]
    fn a_visit_is_answered_and_written_down_and_hanging_members_hang() {
        let backend = Backend::start().unwrap();
        let at = |member, port| SocketAddr::from((address(member), port));
        let mut stream = TcpStream::connect(at(7, backend.ports().http)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        let visits = backend.take();
        assert_eq!((visits.len(), visits[0].kind, visits[0].target), (1, Kind::Http, 7));
        assert_eq!(backend.visits(), 0);
        let patience = Duration::from_millis(200);
        let deaf = TcpStream::connect_timeout(&at(8, backend.ports().deaf), patience);
        assert_eq!(deaf.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let mut mute = TcpStream::connect_timeout(&at(9, backend.ports().mute), patience).unwrap();
        mute.set_read_timeout(Some(patience)).unwrap();
        assert!(mute.read(&mut [0; 1]).is_err());
    }
}
