//! The same `respond`, with a recording trace.
