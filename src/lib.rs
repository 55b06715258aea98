//! Steersman: an authoritative DNS server that steers clients to live regional load balancers.
//!
//! ```text
//!   steersman.yaml  policies/*.yaml  zones/*           geoip/*.mmdb       text and bytes
//!         └──────────────┬─────────────────┘                │             io::files, the only reader
//!                        ▼                                  ▼
//!                 config (spanned tree -> sections)     geo::Atlas
//!                        └──────────────┬───────────────────┘
//!                                       ▼
//!                                    compile ──────────────► Diagnostics ──► cli::check
//!                                       │ Arc<Snapshot>
//!                                       ▼
//!                 io::control: Schedule, Ledger, prepare ──► Arc<Live>, one pointer
//!                    ▲ Observation   │ ProbeOrder                 │
//!                    └── io::prober ◄┘                            ▼
//!                 io::udp, io::tcp, io::dot ──► answer::respond(&Live, &Client, query, …) ──► bytes
//! ```
//!
//! The whole server is one pure function, [`answer::respond`]. Every transport, `explain`, the demo and the tests
//! call it; there is no second answer path. Reading order: [`answer`], [`policy`], [`health`], [`compile`], `io`.
//!
//! Only `io` and `cli` touch the world; `tests/tidy.rs` holds who may name whom.

pub mod answer;
pub mod beliefs;
pub mod calendar;
pub mod check;
pub mod cli;
pub mod clock;
pub mod compile;
pub mod config;
pub mod diagnostic;
pub mod dns;
pub mod explain;
pub mod geo;
pub mod health;
pub mod human;
pub mod ids;
pub mod io;
pub mod judge;
pub mod live;
pub mod policy;
pub mod prefetch;
pub mod prefix;
pub mod rng;
pub mod snapshot;
pub mod zone;
