//! Talks to the admin interface of a running server: what `steersman status` and `steersman reload` use.
//!
//! One request, one connection, HTTP/1.0: the server closes when it is done, and a unix socket works like TCP.

use super::admin::GUARD;
use crate::snapshot::AdminAddr;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The HTTP status.
    pub code: u16,
    /// The body.
    pub body: String,
}

/// Why there is no response.
#[derive(Debug)]
pub enum Silence {
    /// Nobody listens there, or it cannot be reached.
    Unreachable(io::Error),
    /// The connection broke, or took too long.
    Broken(io::Error),
    /// What came is no HTTP.
    NotHttp,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Silence::Broken(error) => write!(f, "the connection broke: {error}"),
            Silence::NotHttp => write!(f, "something listens there, but it does not speak HTTP"),
        }
    }
}

/// The admin interface is near; a connection that takes longer is none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the server takes to give up on a reload.
const READ_TIMEOUT: Duration = Duration::from_secs(150);

/// Sends `method path` and reads the whole response.
///
/// # Errors
/// When there is no complete response.
pub fn request(addr: &AdminAddr, method: &str, path: &str) -> Result<Response, Silence> {
    match addr {
        AdminAddr::Tcp(addr) => {
            let stream = TcpStream::connect_timeout(addr, CONNECT_TIMEOUT).map_err(Silence::Unreachable)?;
            stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(Silence::Broken)?;
            exchange(stream, method, path)
        }
        AdminAddr::Unix(socket) => {
            let stream = UnixStream::connect(socket).map_err(Silence::Unreachable)?;
            stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(Silence::Broken)?;
            exchange(stream, method, path)
        }
    }
}

fn exchange(mut stream: impl Read + Write, method: &str, path: &str) -> Result<Response, Silence> {
    let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{GUARD}: 1\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(Silence::Broken)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(Silence::Broken)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or(Silence::NotHttp)
}

fn parse(text: &str) -> Option<Response> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut status_line = head.lines().next()?.split(' ');
    status_line.next().filter(|version| version.starts_with("HTTP/"))?;
    Some(Response { code: status_line.next()?.parse().ok()?, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_its_status_and_its_body() {
        let response = parse("HTTP/1.0 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nstarting\n");
        assert_eq!(response, Some(Response { code: 503, body: "starting\n".into() }));
        assert_eq!(parse("SSH-2.0-OpenSSH_9.6\r\n\r\n"), None);
        assert_eq!(parse("HTTP/1.1 200"), None);
    }
}
