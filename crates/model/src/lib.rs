//! Domain types and their wire format.
