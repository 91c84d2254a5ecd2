//! Records on their way into Kafka and out of it.

use bytes::{Bytes, BytesMut};
use rdkafka::Message;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};

use super::Core;
use crate::{Partition, Received, Record, TraceId, partition_of};

/// The header that carries the trace id, as 32 hexadecimal digits.
const TRACE: &str = "trace_id";

/// Checks a record and finds its partition, before anything is sent. Fails with the reason.
pub(super) fn place(core: &Core, record: &Record) -> Result<i32, String> {
    let topic = record.topic;
    let bytes = size(record);
    if bytes > Record::MAX_BYTES {
        let (name, most) = (topic.name(), Record::MAX_BYTES);
        return Err(format!("a record of {bytes} bytes for {name}; at most {most} are taken"));
    }
    let partitions = core.partitions(topic);
    match record.partition {
        Partition::OfKey => Ok(partition_of(&record.key, partitions).cast_signed()),
        Partition::Exactly(partition) if partition < partitions => Ok(partition.cast_signed()),
        Partition::Exactly(partition) => {
            Err(format!("{} has no partition {partition}, only {partitions}", topic.name()))
        }
    }
}

/// The bytes of key and value.
pub(super) fn size(record: &Record) -> usize {
    record.key.len() + record.value.as_ref().map_or(0, Bytes::len)
}

pub(super) fn headers(trace: Option<TraceId>) -> Option<OwnedHeaders> {
    let trace = trace?.to_string();
    Some(OwnedHeaders::new_with_capacity(1).insert(Header { key: TRACE, value: Some(&trace) }))
}

/// A message's record, with bytes of its own: for whoever may keep it for long.
pub(super) fn received(message: &impl Message) -> Received {
    let (key, value) = (message.key(), message.payload());
    let (key, value) = (key.map(Bytes::copy_from_slice), value.map(Bytes::copy_from_slice));
    with_bytes(message, key.unwrap_or_default(), value)
}

/// Makes records whose bytes lie side by side, so that not each has an allocation or two; a chunk goes with the last of
/// its records.
#[derive(Default)]
pub(super) struct Copier {
    chunk: BytesMut,
}

impl Copier {
    const CHUNK_BYTES: usize = 8 << 10;

    pub(super) fn received(&mut self, message: &impl Message) -> Received {
        let (key, value) = (message.key().unwrap_or_default(), message.payload());
        let bytes = key.len() + value.map_or(0, <[u8]>::len);
        if self.chunk.capacity() < bytes {
            self.chunk = BytesMut::with_capacity(bytes.max(Self::CHUNK_BYTES));
        }
        self.chunk.extend_from_slice(key);
        self.chunk.extend_from_slice(value.unwrap_or_default());
        let mut both = self.chunk.split().freeze();
        let key = both.split_to(key.len());
        with_bytes(message, key, value.map(|_| both))
    }
}

fn with_bytes(message: &impl Message, key: Bytes, value: Option<Bytes>) -> Received {
    let trace = message.headers().and_then(|headers| {
        let header = headers.iter().find(|header| header.key == TRACE)?;
        TraceId::parse(header.value?)
    });
    Received {
        // A message that was read has an offset.
        offset: message.offset().cast_unsigned(),
        appended_at_ms: message.timestamp().to_millis().unwrap_or(0),
        key,
        value,
        trace,
    }
}
