//! Who may connect: how many connections may be open at once, together and from one client (RFC 7766 section 6.2).
//!
//! Shared by all TCP and DoT workers and asked once a connection. An [`Admitted`] is a place taken; dropping it gives the
//! place back. Knows no socket.

use crate::prefix::{Family, Prefix};
use crate::snapshot::TcpLimits;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The door. Cheap to clone: all clones count together.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Mutex<Places>>);

#[derive(Debug)]
struct Places {
    limits: TcpLimits,
    /// Connections open, over all clients.
    open: usize,
    /// Connections open by client; no entry is 0.
    clients: HashMap<Prefix, usize>,
}

/// A place taken by one connection.
#[derive(Debug)]
pub struct Admitted {
    door: Admission,
    client: Prefix,
    /// How long this connection may stay without a whole query.
    pub idle: Duration,
}

impl Admission {
    /// A door with these limits and nobody inside.
    pub fn new(limits: TcpLimits) -> Admission {
        Admission(Arc::new(Mutex::new(Places { limits, open: 0, clients: HashMap::new() })))
    }

    /// Sets other limits. Who is inside stays inside.
    pub fn limit(&self, limits: TcpLimits) {
        self.lock().limits = limits;
    }

    /// Lets a client in, or not: `None` when a limit is reached.
    pub fn admit(&self, source: IpAddr) -> Option<Admitted> {
        let client = client_of(source);
        let mut places = self.lock();
        let limits = places.limits;
        if places.open >= limits.connections {
            return None;
        }
        let mine = places.clients.get(&client).copied().unwrap_or_default();
        if mine >= limits.connections_per_client {
            return None;
        }
        places.clients.insert(client, mine + 1);
        places.open += 1;
        Some(Admitted { door: self.clone(), client, idle: limits.idle })
    }

    fn leave(&self, client: Prefix) {
        let mut places = self.lock();
        places.open -= 1;
        let Some(mine) = places.clients.get_mut(&client) else { return };
        *mine -= 1;
        if *mine == 0 {
            places.clients.remove(&client);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // No code that can panic runs under the lock with the numbers half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.door.leave(self.client);
    }
}

/// One client, as far as limits go. An IPv6 host commands a whole /64 (RFC 4291 section 2.5.4).
fn client_of(source: IpAddr) -> Prefix {
    match Family::of(source) {
        Family::V4 => Prefix::host(source),
        Family::V6 => Prefix::new(source, 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(connections: usize, connections_per_client: usize) -> Admission {
        Admission::new(TcpLimits { connections, connections_per_client, idle: Duration::from_secs(1) })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_client_is_limited_alone_and_all_together() {
        let door = door(3, 2);
        let first = door.admit(ip("192.0.2.1")).expect("room");
        let _second = door.admit(ip("192.0.2.1")).expect("room");
        assert!(door.admit(ip("192.0.2.1")).is_none(), "the third of one client");
        let _other = door.admit(ip("192.0.2.2")).expect("room for another client");
        assert!(door.admit(ip("192.0.2.3")).is_none(), "the fourth of all");
        drop(first);
        assert!(door.admit(ip("192.0.2.3")).is_some(), "a place was given back");
    }

    #[test]
    fn hosts_of_one_v6_subnet_are_one_client() {
        let door = door(10, 1);
        let _inside = door.admit(ip("2001:db8::1")).expect("room");
        assert!(door.admit(ip("2001:db8::2")).is_none());
        assert!(door.admit(ip("2001:db8:0:1::1")).is_some());
    }

    #[test]
    fn nothing_is_kept_of_clients_that_left_or_never_came_in() {
        let door = door(2, 1);
        let inside = door.admit(ip("192.0.2.1"));
        assert!(door.admit(ip("192.0.2.1")).is_none());
        drop(inside);
        let limits = door.lock().limits;
        door.limit(TcpLimits { connections_per_client: 0, ..limits });
        assert!(door.admit(ip("192.0.2.9")).is_none());
        let places = door.lock();
        assert_eq!((places.open, places.clients.len()), (0, 0));
    }
}
