//! Simulated phones: recorded traces and made-up routes, sent over HTTP.
