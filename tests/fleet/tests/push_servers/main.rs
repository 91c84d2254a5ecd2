//! The real binary, every role in one process, sends to push servers that nobody here wrote: each push ends as they
//! answered it, and what they took they took once, but for those that are counted as unanswered.

mod away;
#[path = "../faults/binary.rs"]
mod binary;
mod house;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../faults/http.rs"]
mod http;
mod mock_apns;
#[allow(dead_code, reason = "the faults use the rest")]
#[path = "../faults/process.rs"]
mod process;
