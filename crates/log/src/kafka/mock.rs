//! librdkafka's own cluster of one broker, for answers that a real one gives at rare moments.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{Core, KafkaOptions};
use crate::Topic;

pub(super) type Mock = MockCluster<'static, DefaultProducerContext>;

pub(super) fn cluster() -> Mock {
    MockCluster::new(1).unwrap()
}

/// On topics of two partitions each; every record has a request of its own.
pub(super) fn core(mock: &Mock) -> Arc<Core> {
    for topic in Topic::all() {
        mock.create_topic(topic.name(), 2, 1).unwrap();
    }
    let options = KafkaOptions {
        brokers: mock.bootstrap_servers(),
        prefix: String::new(),
        partitions: 2,
        replication: 1,
        properties: [("batch.num.messages".to_owned(), "1".to_owned())].into(),
    };
    Core::new(options).unwrap()
}

/// Has the broker refuse the next requests to write, as one does that does not lead yet, while others are on their way.
/// It takes any sequence number from a producer that it does not know, as real ones do.
pub(super) fn refuse_at_first(mock: &Mock) {
    let not_yet = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    mock.request_errors(RDKafkaApiKey::Produce, &[not_yet; 3]);
    mock.broker_round_trip_time(1, Duration::from_millis(100)).unwrap();
}
