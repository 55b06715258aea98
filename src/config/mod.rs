//! YAML text to sections, with every fault found on the way. Resolves nothing: names stay names until `compile`.

pub mod zone;

pub use zone::{OwnerSection, SetSection, SoaSection, ZoneSection};
