//! Simulated phones: recorded traces ([`read_trace`]) and made-up routes ([`Walker`]), sent over HTTP as real phones
//! would ([`PingClient`]), a trace at the speed that one likes ([`replay`]).
//!
//! It speaks the public API alone and knows nothing of what is behind it.

mod client;
mod replay;
mod trace;
mod walk;

pub use client::{Answer, ClientError, PingClient, Rejected, http_client};
pub use replay::{Progress, ReplayOptions, Speed, Summary, replay};
pub use trace::{PhoneFix, Trace, TraceError, read_trace};
pub use walk::{Place, Walker, Way};
