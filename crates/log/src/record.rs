//! What is written to the log and what comes back.

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

use crate::{Offset, Topic};

/// Which partition a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// That of its key ([`crate::partition_of`]).
    OfKey,
    /// This one, whatever the key.
    Exactly(u32),
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where to.
    pub topic: Topic,
    /// Which partition of it.
    pub partition: Partition,
    /// UTF-8 by convention, so that any client can print it.
    pub key: Bytes,
    /// `None` removes the key from a compacted topic.
    pub value: Option<Bytes>,
    /// Carried in the record's headers.
    pub trace: Option<TraceId>,
}

impl Record {
    /// The largest key and value together, in bytes: below the 1 MiB that Kafka's brokers take by default.
    pub const MAX_BYTES: usize = 1_000_000;

    /// A record that goes to its key's partition.
    pub fn new(topic: Topic, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { topic, partition: Partition::OfKey, key: key.into(), value: Some(value.into()), trace: None }
    }

    /// A record that removes its key from a compacted topic.
    pub fn tombstone(topic: Topic, key: impl Into<Bytes>) -> Self {
        Self { topic, partition: Partition::OfKey, key: key.into(), value: None, trace: None }
    }

    /// The same record, sent to this partition.
    #[must_use]
    pub fn at(mut self, partition: u32) -> Self {
        self.partition = Partition::Exactly(partition);
        self
    }

    /// The same record, with the trace that led to it.
    #[must_use]
    pub fn traced(mut self, trace: Option<TraceId>) -> Self {
        self.trace = trace;
        self
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its place in the partition that it was read from.
    pub offset: Offset,
    /// When the log took it, in ms since the Unix epoch.
    pub appended_at_ms: i64,
    /// As written.
    pub key: Bytes,
    /// As written; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// As written.
    pub trace: Option<TraceId>,
}

/// A W3C trace id: sixteen bytes, written as 32 lowercase hexadecimal digits. It follows a ping to its delivery.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

impl TraceId {
    /// Reads 32 hexadecimal digits; all zeros is no trace id.
    pub fn parse(text: impl AsRef<[u8]>) -> Option<Self> {
        let digits = text.as_ref();
        // Of this length a UUID has nothing but digits, and its reader is the quicker one.
        let bytes = Uuid::try_parse_ascii(digits).ok().filter(|_| digits.len() == 32)?.into_bytes();
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The trace id of a W3C `traceparent` header (`00-<trace id>-<parent id>-<flags>`).
    pub fn of_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (_version, trace) = (parts.next()?, parts.next()?);
        Self::parse(trace)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(Uuid::from_bytes(self.0).as_simple(), f)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}
