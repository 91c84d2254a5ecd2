//! The two calls of librdkafka that its Rust binding has not, or has in a form that will not do.
#![allow(unsafe_code, reason = "the one exception: two calls of librdkafka, each explained where it stands")]

use std::ffi::CStr;
use std::time::Duration;

use rdkafka::bindings::{
    rd_kafka_commit_transaction, rd_kafka_consumer_group_metadata, rd_kafka_consumer_group_metadata_destroy,
    rd_kafka_consumer_group_metadata_generation_id, rd_kafka_consumer_group_metadata_member_id,
    rd_kafka_error_destroy, rd_kafka_error_string,
};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};

/// Commits the producer's transaction. The binding's own call first flushes in steps of 100 ms, which would be most
/// of a commit's time; librdkafka flushes by itself, while the producer's thread serves the reports.
pub(super) fn commit_transaction<C: ProducerContext>(
    producer: &ThreadedProducer<C>,
    timeout: Duration,
) -> Result<(), String> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client lives as long as the producer that is borrowed here; the error is ours to destroy, and its
    // text lives as long as it.
    unsafe {
        let error = rd_kafka_commit_transaction(producer.client().native_ptr(), timeout_ms);
        if error.is_null() {
            return Ok(());
        }
        let text = CStr::from_ptr(rd_kafka_error_string(error)).to_string_lossy().into_owned();
        rd_kafka_error_destroy(error);
        Err(text)
    }
}

/// Whether the group takes this consumer for a member now. The metadata of one that was thrown out are not empty but
/// anonymous, and the broker lets anonymous commits pass unchecked; the binding does not show what they hold.
pub(super) fn is_member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    // SAFETY: the client lives as long as the consumer that is borrowed here; the metadata are ours to destroy, and
    // the member's name lives as long as they.
    unsafe {
        let metadata = rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return false;
        }
        let generation = rd_kafka_consumer_group_metadata_generation_id(metadata);
        let member = rd_kafka_consumer_group_metadata_member_id(metadata);
        let named = !member.is_null() && !CStr::from_ptr(member).is_empty();
        rd_kafka_consumer_group_metadata_destroy(metadata);
        generation >= 0 && named
    }
}
