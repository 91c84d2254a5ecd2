//! Records on their way into Kafka and out of it.

use bytes::Bytes;
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

pub(super) fn received(message: &impl Message) -> Received {
    let trace = message.headers().and_then(|headers| {
        let header = headers.iter().find(|header| header.key == TRACE)?;
        TraceId::parse(std::str::from_utf8(header.value?).ok()?)
    });
    Received {
        // A message that was read has an offset.
        offset: message.offset().cast_unsigned(),
        appended_at_ms: message.timestamp().to_millis().unwrap_or(0),
        key: message.key().map(Bytes::copy_from_slice).unwrap_or_default(),
        value: message.payload().map(Bytes::copy_from_slice),
        trace,
    }
}
