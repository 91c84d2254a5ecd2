//! The merchants' REST API.
