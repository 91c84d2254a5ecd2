//! The event log: embedded now, Kafka behind the same interface.
