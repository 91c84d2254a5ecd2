//! A node's `server.properties`.

use std::fmt::Write;
use std::path::Path;

use super::Node;

/// Any id of Kafka's form would do.
pub(super) const CLUSTER: &str = "Z2VvcHVzaC1mbGVldC0wMA";
pub(super) const USERNAME: &str = "fleet";
pub(super) const PASSWORD: &str = "a-password-for-tests";

/// What a client may log in with by SCRAM, as the storage tool takes it.
pub(super) fn scram() -> String {
    format!("SCRAM-SHA-512=[name={USERNAME},password={PASSWORD}]")
}

pub(super) struct Settings<'a> {
    /// Which of `nodes` it is for.
    pub number: usize,
    pub nodes: &'a [Node],
    /// Where its files are.
    pub dir: &'a Path,
}

impl Settings<'_> {
    pub fn text(&self) -> String {
        let node = &self.nodes[self.number];
        let dir = self.dir.display();
        let (replicas, in_sync) = if self.nodes.len() >= 3 { (3, 2) } else { (1, 1) };
        let voters = self.nodes.iter().enumerate();
        let voters: Vec<_> =
            voters.map(|(id, node)| format!("{}@{}", id + 1, node.ports.controller.address())).collect();

        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id={}\n\
             controller.quorum.voters={}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={dir}/data\n\
             auto.create.topics.enable=false\n\
             default.replication.factor={replicas}\n\
             min.insync.replicas={in_sync}\n\
             offsets.topic.replication.factor={replicas}\n\
             offsets.topic.num.partitions=8\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={in_sync}\n\
             transaction.state.log.num.partitions=8\n\
             group.initial.rebalance.delay.ms=0\n\
             log.cleaner.dedupe.buffer.size=10485760\n",
            self.number + 1,
            voters.join(","),
        );
        let (clients, controller) = (node.ports.clients.address(), node.ports.controller.address());
        let listeners = match &node.ports.inside {
            None => format!(
                "listeners=CLIENTS://{clients},CONTROLLER://{controller}\n\
                 advertised.listeners=CLIENTS://{clients}\n\
                 inter.broker.listener.name=CLIENTS\n\
                 listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            ),
            Some(inside) => format!(
                "listeners=CLIENTS://{clients},INSIDE://{inside},CONTROLLER://{controller}\n\
                 advertised.listeners=CLIENTS://{clients},INSIDE://{inside}\n\
                 inter.broker.listener.name=INSIDE\n\
                 listener.security.protocol.map=CLIENTS:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
                 ssl.keystore.type=PEM\n\
                 ssl.keystore.location={dir}/server.pem\n\
                 sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512\n\
                 listener.name.clients.plain.sasl.jaas.config=\
                 org.apache.kafka.common.security.plain.PlainLoginModule required \
                 user_{USERNAME}=\"{PASSWORD}\";\n\
                 listener.name.clients.scram-sha-512.sasl.jaas.config=\
                 org.apache.kafka.common.security.scram.ScramLoginModule required;\n",
                inside = inside.address(),
            ),
        };
        let _ = text.write_str(&listeners);
        text
    }
}
