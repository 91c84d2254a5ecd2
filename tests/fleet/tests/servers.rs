//! The servers that other tests stand on do what these tests need of them.

mod cql;

use std::io::{self, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cql::Cql;
use geopush_fleet::{Cassandra, Kafka, Secured};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";
const PRODUCER: &str = "org.apache.kafka.tools.ConsoleProducer";
const CONSUMER: &str = "org.apache.kafka.tools.consumer.ConsoleConsumer";

/// Runs one of Kafka's tools with `input`; what it printed, or why it failed.
fn tool(kafka: &Kafka, class: &str, arguments: &str, input: &str) -> Result<String, String> {
    let mut child = kafka
        .tool(class)
        .args(["--bootstrap-server", &kafka.brokers()])
        .args(arguments.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("java starts");
    // A tool that ends at once reads nothing.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("java ends");
    let [said, complained] = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    if output.status.success() && !complained.contains("ERROR") { Ok(said) } else { Err(said + &complained) }
}

fn write(kafka: &Kafka, topic: &str, value: &str) {
    // It acknowledges by all replicas; a broker that was killed is missed after some seconds.
    let arguments = format!("--topic {topic} --message-send-max-retries 1000");
    tool(kafka, PRODUCER, &arguments, value).expect("the write is acknowledged");
}

fn read(kafka: &Kafka, topic: &str, count: usize) -> String {
    let arguments = format!("--topic {topic} --from-beginning --max-messages {count} --timeout-ms 60000");
    tool(kafka, CONSUMER, &arguments, "").expect("the topic can be read")
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

fn ask(address: &str, question: &str) -> Vec<u8> {
    let stream = connect(address).expect("the node listens");
    let mut cql = Cql::start(stream, "", "").expect("the node lets anybody in");
    cql.query(question).expect("the node answers")
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_kafka_has_after_a_kill_what_it_acknowledged() {
    let kafka = Kafka::start(1).unwrap();
    tool(&kafka, TOPICS, "--create --topic walks --partitions 4 --replication-factor 1", "").unwrap();
    write(&kafka, "walks", "before the kill\n");

    kafka.kill(0).unwrap();
    assert!(TcpStream::connect(kafka.brokers()).is_err(), "a killed broker still listens");
    kafka.start_node(0).unwrap();

    assert_eq!(read(&kafka, "walks", 1), "before the kill\n");
}

#[test]
fn a_kafka_of_three_goes_on_without_any_one_of_them() {
    let kafka = Kafka::start(3).unwrap();
    tool(&kafka, TOPICS, "--create --topic walks --partitions 3 --replication-factor 3", "").unwrap();

    for node in 0..3 {
        kafka.kill(node).unwrap();
        write(&kafka, "walks", &format!("without {node}\n"));
        kafka.start_node(node).unwrap();
    }

    let read = read(&kafka, "walks", 3);
    let mut lines: Vec<_> = read.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["without 0", "without 1", "without 2"]);
}

#[test]
fn a_cassandra_has_after_a_kill_what_it_acknowledged() {
    let cassandra = Cassandra::start().unwrap();
    let address = cassandra.address();
    ask(
        &address,
        "CREATE KEYSPACE k WITH replication = {'class': 'NetworkTopologyStrategy', 'replication_factor': 1}",
    );
    ask(&address, "CREATE TABLE k.t (id text PRIMARY KEY, value text)");
    ask(&address, "INSERT INTO k.t (id, value) VALUES ('a', 'before the kill')");

    cassandra.kill().unwrap();
    assert!(TcpStream::connect(&address).is_err(), "a killed node still listens");
    cassandra.restart().unwrap();

    assert!(contains(&ask(&address, "SELECT value FROM k.t WHERE id = 'a'"), "before the kill"));
}

#[test]
fn a_paused_server_keeps_its_connections_and_says_nothing_until_it_is_resumed() {
    let cassandra = Cassandra::start().unwrap();
    let stream = connect(&cassandra.address()).unwrap();
    let mut cql = Cql::start(stream.try_clone().unwrap(), "", "").unwrap();

    cassandra.pause().unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let silence = cql.query("SELECT release_version FROM system.local").unwrap_err();
    assert!(matches!(silence.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{silence}");

    cassandra.resume().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert!(contains(&cql.query("SELECT release_version FROM system.local").unwrap(), "5.0.5"));
}

/// Lists topics with these client properties.
fn list_topics(kafka: &Kafka, properties: &[String]) -> Result<String, String> {
    let file = kafka.secured().expect("it is secured").ca.with_file_name("client.properties");
    std::fs::write(&file, properties.join("\n")).expect("the folder takes files");
    tool(kafka, TOPICS, &format!("--list --command-config {}", file.display()), "")
}

#[test]
fn a_secured_kafka_lets_in_who_has_its_authority_and_its_password() {
    let kafka = Kafka::start_secured().unwrap();
    let Secured { ca, username, password } = kafka.secured().unwrap();
    let client = |mechanism: &str, module: &str, password: &str| {
        vec![
            "security.protocol=SASL_SSL".to_owned(),
            "ssl.truststore.type=PEM".to_owned(),
            format!("ssl.truststore.location={}", ca.display()),
            format!("sasl.mechanism={mechanism}"),
            format!(
                "sasl.jaas.config=org.apache.kafka.common.security.{module} required \
                 username=\"{username}\" password=\"{password}\";"
            ),
            "request.timeout.ms=10000".to_owned(),
            "default.api.timeout.ms=10000".to_owned(),
        ]
    };
    let plain = client("PLAIN", "plain.PlainLoginModule", password);
    list_topics(&kafka, &plain).unwrap();
    list_topics(&kafka, &client("SCRAM-SHA-512", "scram.ScramLoginModule", password)).unwrap();

    let refused = list_topics(&kafka, &client("PLAIN", "plain.PlainLoginModule", "guessed")).unwrap_err();
    assert!(refused.contains("SaslAuthenticationException"), "{refused}");
    let mut mistrusting = plain;
    mistrusting.retain(|property| !property.starts_with("ssl."));
    let refused = list_topics(&kafka, &mistrusting).unwrap_err();
    assert!(refused.contains("SslAuthenticationException"), "{refused}");
}

#[test]
fn a_secured_cassandra_lets_in_who_has_its_authority_and_its_password() {
    let cassandra = Cassandra::start_secured().unwrap();
    let Secured { ca, username, password } = cassandra.secured().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let log_in = |password: &str| {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let stream = connect(&cassandra.address()).unwrap();
        Cql::start(rustls::StreamOwned::new(connection, stream), username, password)
    };

    let body = log_in(password).unwrap().query("SELECT release_version FROM system.local").unwrap();
    assert!(contains(&body, "5.0.5"));
    assert!(log_in("guessed").is_err(), "a wrong password is let in");
    let without_tls = Cql::start(connect(&cassandra.address()).unwrap(), username, password);
    assert!(without_tls.is_err(), "a client without TLS is let in");
}
