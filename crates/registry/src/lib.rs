//! What merchants and phones configure: tenants, keys, apps, zones, campaigns, devices, sends.
//!
//! Each is a row of a conditional table and, but for devices, a record of a compacted topic. [`Publisher`] changes
//! both or neither; [`Directory`] is the followed copy of tenants' keys and apps that every role can ask without
//! I/O. [`AppCredentials`] are sealed by a [`Sealer`] before they are written anywhere.
//!
//! Nothing here speaks HTTP, and nothing judges a request: that is for the edges.
