//! What is asked of a target, and whether what came back is good: one file per kind of check.
//!
//! Plain data and decisions. Octets and numbers go in, a yes or a [`FailReason`](crate::health::FailReason) comes out. How
//! octets travel is the business of `io::prober`; who asked for a check, and how often it is made, is not known here.

pub mod dns;
pub mod feed;
pub mod grpc;
pub mod http;
pub mod icmp;
mod identity;
pub mod reach;
pub mod text;
pub mod tls;

pub use self::dns::DnsCheck;
pub use self::feed::{FileCheck, PushCheck, ReportToken, Subject};
pub use self::grpc::GrpcCheck;
pub use self::http::{HttpCheck, HttpVersion, Method};
pub use self::identity::identity_of;
pub use self::reach::Reach;
pub use self::text::{Pattern, TextRule};
pub use self::tls::{Certificate, ClientFiles, ExpiryWarning, TlsCheck, TlsRules};

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// A kind of check, and all that it asks and expects.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// A TCP connection, and where wanted a short conversation.
    Tcp(TcpCheck),
    /// A TLS handshake.
    Tls(TlsCheck),
    /// An HTTP request, over TLS or not.
    Http(HttpCheck),
    /// The health service of gRPC.
    Grpc(GrpcCheck),
    /// A DNS question.
    Dns(DnsCheck),
    /// An echo request.
    Icmp,
    /// A program of the operator's.
    Exec(ExecCheck),
    /// A file that somebody else writes.
    File(FileCheck),
    /// Reports of the member's own agent.
    Push(PushCheck),
}

/// A TCP conversation: connect, say something, hear something.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TcpCheck {
    /// What is said at once; none: nothing.
    pub send: Option<Arc<str>>,
    /// What must be heard. Asks for nothing: the connection is enough.
    pub text: TextRule,
}

impl TcpCheck {
    /// A connection is enough.
    pub const CONNECT: TcpCheck = TcpCheck { send: None, text: TextRule::NONE };
}

/// A program that decides: exit code 0 passes; 3 says that it could not tell, 126 and 127 that it could not be run; everything else fails.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExecCheck {
    /// The program, from the root, and its arguments; no shell looks at them. `{address}` and `{port}` stand for those of the target.
    pub command: Vec<Arc<str>>,
}

impl ExecCheck {
    /// So many programs run at once: enough for a few dozen checks that take a second each; more would be a load of its own.
    pub const AT_ONCE: u16 = 16;
}

impl Check {
    /// The rules of its TLS connection, where it makes one.
    pub const fn tls(&self) -> Option<&TlsRules> {
        match self {
            Check::Tls(check) => Some(&check.rules),
            Check::Http(check) => check.tls.as_ref(),
            Check::Grpc(check) => check.tls.as_ref(),
            Check::Tcp(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::File(_) | Check::Push(_) => None,
        }
    }

    /// Whether probes leave this host: those that do go only where [`Reach`] allows.
    pub const fn is_sent(&self) -> bool {
        match self {
            Check::File(_) | Check::Push(_) => false,
            Check::Tcp(_) | Check::Tls(_) | Check::Http(_) | Check::Grpc(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) => true,
        }
    }

    /// The same check when it is made of `addr`: a service that is named by this very address is named by nothing.
    #[must_use]
    pub fn of(mut self, addr: IpAddr) -> Check {
        let host = match &mut self {
            Check::Tls(check) => &mut check.host,
            Check::Http(check) => &mut check.host,
            Check::Grpc(check) => &mut check.host,
            Check::Tcp(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::File(_) | Check::Push(_) => return self,
        };
        *host = host.take().filter(|host| host.parse() != Ok(addr));
        self
    }

    /// The same check with its files counted from `base`.
    #[must_use]
    pub fn rooted(mut self, base: &Path) -> Check {
        let root = |path: &mut Arc<Path>| *path = base.join(&*path).into();
        let rules = match &mut self {
            Check::Tls(check) => Some(&mut check.rules),
            Check::Http(check) => check.tls.as_mut(),
            Check::Grpc(check) => check.tls.as_mut(),
            Check::Tcp(_) | Check::Dns(_) | Check::Icmp | Check::Exec(_) | Check::File(_) | Check::Push(_) => None,
        };
        if let Some(rules) = rules {
            rules.ca.iter_mut().for_each(root);
            rules.client.iter_mut().for_each(|client| [&mut client.certificate, &mut client.key].into_iter().for_each(root));
        }
        self
    }
}
