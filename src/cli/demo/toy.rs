//! A toy load balancer: an HTTP server that can be told to be ill.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A bound toy that nobody serves yet.
pub struct Toy {
    region: &'static str,
    addr: SocketAddr,
    listener: std::net::TcpListener,
}

struct Room {
    region: &'static str,
    addr: SocketAddr,
    ill: AtomicBool,
}

impl Toy {
    /// Binds the toy of a region.
    ///
    /// # Errors
    /// When the address is taken; says which.
    pub fn bind(region: &'static str, addr: IpAddr, port: u16) -> Result<Toy, String> {
        let addr = SocketAddr::new(addr, port);
        let explain =
            |error| format!("the toy load balancer of {region} cannot listen on {addr}: {error}; choose another port with --backend-port");
        let listener = std::net::TcpListener::bind(addr).map_err(explain)?;
        listener.set_nonblocking(true).map_err(explain)?;
        Ok(Toy { region, addr, listener })
    }

    /// Serves until the future is dropped.
    pub async fn serve(self) -> std::io::Result<()> {
        let room = Arc::new(Room { region: self.region, addr: self.addr, ill: AtomicBool::new(false) });
        let app = Router::new()
            .route("/", get(hello))
            .route("/healthz", get(health))
            .route("/fail", post(|State(room): State<Arc<Room>>| async move { room.set(true) }))
            .route("/revive", post(|State(room): State<Arc<Room>>| async move { room.set(false) }))
            .with_state(room);
        axum::serve(tokio::net::TcpListener::from_std(self.listener)?, app).await
    }
}

impl Room {
    fn set(&self, ill: bool) -> String {
        self.ill.store(ill, Ordering::Relaxed);
        format!("{} is {} now\n", self.region, if ill { "ill" } else { "well" })
    }
}

async fn hello(State(room): State<Arc<Room>>) -> String {
    format!("hello from {} ({})\n", room.region, room.addr.ip())
}

async fn health(State(room): State<Arc<Room>>) -> (StatusCode, &'static str) {
    if room.ill.load(Ordering::Relaxed) { (StatusCode::SERVICE_UNAVAILABLE, "ill\n") } else { (StatusCode::OK, "well\n") }
}
