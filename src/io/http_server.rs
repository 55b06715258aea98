//! Serves HTTP/1 on a listener: so many connections at once and no more, and none that takes its time to ask.
//!
//! Whoever dawdles would otherwise hold a descriptor of a process that probes and answers with the same ones. Knows nothing of what is asked.

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What clients may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many connections are served at once; others wait in the queue of the kernel.
    pub at_once: usize,
    /// A request must have begun and its head be complete after this.
    pub head: Duration,
}

/// Serves until the future is dropped.
pub async fn serve<L>(mut listener: L, router: Router, limits: Limits)
where
    L: Listener,
    L::Io: Unpin,
{
    let service = TowerToHyperService::new(router);
    let places = Arc::new(Semaphore::new(limits.at_once));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let (stream, _) = listener.accept().await;
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            // What becomes of the connection is the client's business.
            let _ = connection.await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Longer than anything takes here.
    const AMPLE: Duration = Duration::from_secs(30);

    async fn read_to_end(stream: &mut TcpStream) -> String {
        let mut octets = Vec::new();
        // A reset is an end as well.
        let _ = tokio::time::timeout(AMPLE, stream.read_to_end(&mut octets)).await.expect("the connection was closed");
        String::from_utf8_lossy(&octets).into_owned()
    }

    #[tokio::test]
    async fn whoever_takes_too_long_to_ask_is_left_and_makes_room_for_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let addr = listener.local_addr().expect("the listener is bound");
        let router = Router::new().route("/", get(|| async { "here you are" }));
        let limits = Limits { at_once: 2, head: Duration::from_millis(300) };
        tokio::spawn(serve(listener, router, limits));
        let mut slow = Vec::new();
        for beginning in ["", "GET / HTTP/1.1\r\nhost: x\r\nx-drip:"] {
            let mut stream = TcpStream::connect(addr).await.expect("it listens");
            stream.write_all(beginning.as_bytes()).await.expect("it is open");
            slow.push(stream);
        }
        // Both places are taken.
        let mut sound = TcpStream::connect(addr).await.expect("the queue has room");
        sound.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("it is open");
        assert!(read_to_end(&mut sound).await.ends_with("here you are"));
        for mut stream in slow {
            assert!(!read_to_end(&mut stream).await.contains("200 OK"));
        }
    }
}
