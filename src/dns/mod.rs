//! The wire vocabulary of the hot path: names, types, queries, and the writer of responses.
//!
//! | need | type |
//! |---|---|
//! | a name that is kept | [`Name`] |
//! | a name during a look-up | [`FoldedName`] |
//! | a query that came in | [`Query`], its EDNS part [`Edns`] |
//! | records settled at load | [`Records`], made by [`RecordsBuilder`] |
//! | a response under way | [`ResponseWriter`] |
//!
//! Knows no zone, no health, no policy and no config. Network byte order never leaves this module, and nothing that a
//! query touches allocates. Record text is read by hickory-proto, in the module `zone`.

mod edns;
mod folded;
mod name;
mod query;
mod records;
mod types;
mod writer;

pub use edns::{ClientSubnet, Edns, EdnsError};
pub use folded::{FoldedName, hash_of};
pub use name::{Name, NameError, name_len, suffixes, unescape};
pub use query::{HEADER_LEN, Query, QueryError};
pub use records::{Anchor, Anchors, Patch, RdataTooLong, Records, RecordsBuilder, compressible_names};
pub use types::{CLASS_IN, Rcode, Rtype};
pub use writer::{Full, Opt, ResponseWriter, Section};
