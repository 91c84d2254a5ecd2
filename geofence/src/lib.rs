//! Pings and zones to transitions.
