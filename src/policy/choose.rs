//! Draws among weighted things.
