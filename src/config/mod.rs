//! YAML text to sections, with every fault found on the way. Resolves nothing: names stay names until `compile`.
//!
//! ```text
//!   Source ─► yaml::parse ─► Node, a tree with places ─► one reader per section ─► ServerSection, PoliciesSection, ZoneSection
//!                    └────────────── every fault ──────────────┴──────────────────► Diagnostics
//! ```
//!
//! Each section has a file: its types, its keys (a [`Schema`]), its defaults with the reason for each, its reader. What
//! can be told from one section alone is checked there: a timeout below its interval, an address of the right family.
//! What needs another section, such as whether a name exists, is not known here. No type of this module reaches a query.

pub mod check;
pub mod formula;
pub mod http;
pub mod monitor;
pub mod place;
pub mod policies;
pub mod policy;
pub mod pool;
pub mod protect;
pub mod reader;
pub mod server;
pub mod steer;
pub mod suggest;
pub mod text;
pub mod tls;
pub mod yaml;
pub mod zone;

pub use policies::PoliciesSection;
pub use reader::Schema;
pub use server::ServerSection;
pub use zone::{OwnerSection, SetSection, SoaSection, ZoneSection};

/// Every section with its keys. A key that is not here does not exist.
pub const SCHEMAS: [Schema; 29] = [
    server::SERVER,
    server::GEO,
    server::DOT,
    server::ADMIN,
    server::JOURNAL,
    server::REPORTS,
    server::TCP,
    server::PROBES,
    policies::POLICIES,
    policies::REGIONS,
    check::MONITOR,
    monitor::WINDOW,
    monitor::DAMPING,
    formula::FORMULA,
    place::SITE,
    place::REGION,
    place::MATCH,
    pool::POOL,
    pool::MEMBER,
    pool::FAILBACK,
    protect::PROTECT,
    pool::PROBE_ADDRESS,
    policy::POLICY,
    policy::RULE,
    policy::WEIGHTED_USE,
    steer::TTL,
    steer::FALLBACK,
    zone::ZONE,
    zone::SOA,
];
