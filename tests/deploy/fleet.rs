//! The fleet of the compose files: what its parts say of one another fits, and fits the binary.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::container::{check_config, environment, text, words, yaml};

const FLEET: &str = "deploy/compose.fleet.yaml";
const ROLES: [&str; 4] = ["ingest", "geofence", "dispatcher", "control-api"];

/// The services that are there when the fleet is laid over the one process, which is not.
fn services() -> BTreeMap<String, Value> {
    let mut services: BTreeMap<String, Value> = BTreeMap::new();
    for file in ["deploy/compose.yaml", FLEET] {
        for (name, service) in yaml(file)["services"].as_object().unwrap() {
            let merged =
                services.entry(name.clone()).or_insert_with(|| Value::Object(serde_json::Map::new()));
            merged.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
        }
    }
    let asleep = services.remove("geopush").expect("the one process");
    assert_eq!(words(&asleep["profiles"]).len(), 1, "the one process sleeps beside the fleet");
    services
}

/// The variables of a service.
fn variables(services: &BTreeMap<String, Value>, name: &str) -> BTreeMap<String, String> {
    environment(&services[name]).into_iter().collect()
}

/// What the binary says that a key is with a service's flags and variables.
fn key(services: &BTreeMap<String, Value>, name: &str, key: &str) -> String {
    let ["run", flags @ ..] = &*words(&services[name]["command"]) else { panic!("{name} runs no role") };
    let said = check_config(flags, &environment(&services[name])).unwrap();
    let line = said.lines().find(|line| line.split_whitespace().next() == Some(key));
    line.unwrap_or_else(|| panic!("no {key} in {said}")).to_owned()
}

/// `host:port` of each of a list's servers.
fn addresses(list: &str) -> Vec<(&str, u16)> {
    let each = list.split(',').map(|address| address.rsplit_once(':').expect("a port"));
    each.map(|(host, port)| (host, port.parse().expect("a port"))).collect()
}

fn seconds(duration: &Value) -> u64 {
    duration
        .as_str()
        .and_then(|text| text.strip_suffix('s'))
        .and_then(|text| text.parse().ok())
        .expect("seconds")
}

fn brokers(services: &BTreeMap<String, Value>) -> Vec<String> {
    let of_kafka =
        |service: &Value| service["image"].as_str().is_some_and(|image| image.starts_with("apache/kafka:"));
    services.iter().filter(|(_, service)| of_kafka(service)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn each_role_has_its_processes_and_only_two_have_the_key() {
    let services = services();
    let mut found = BTreeSet::new();
    for (name, service) in &services {
        let ["run", "--role", role, ..] = &*words(&service["command"]) else { continue };
        assert_eq!(name, role, "a role's service has its name, by which it is scraped");
        found.insert(*role);
        let replicas = service["deploy"]["replicas"].as_u64().expect("a number of processes");
        assert!(replicas >= if *role == "control-api" { 1 } else { 2 }, "{name}");
        assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{name} has no bound");
        let has_key = variables(&services, name).contains_key("GEOPUSH_SECRETS_KEY");
        assert_eq!(has_key, ["control-api", "dispatcher"].contains(role), "{name}: the key");
    }
    assert_eq!(found, BTreeSet::from(ROLES));
}

#[test]
fn a_role_is_healthy_as_the_one_process_is_and_has_the_time_to_end() {
    let alone = yaml("deploy/compose.yaml")["services"]["geopush"].clone();
    // What the process itself gives what is under way.
    let source = text("src/system.rs");
    let (_, drain) = source.split_once("const DRAIN: Duration = Duration::from_secs(").expect("the drain");
    let drain: u64 = drain.split(')').next().unwrap().parse().unwrap();
    let services = services();
    for role in ROLES {
        let service = &services[role];
        assert_eq!(service["healthcheck"], alone["healthcheck"], "{role}");
        assert!(seconds(&service["stop_grace_period"]) > drain, "{role} is cut off before it has ended");
        for key in ["read_only", "cap_drop", "security_opt", "restart", "logging"] {
            assert_eq!(service[key], alone[key], "{role}: {key}");
        }
        assert_eq!(service["depends_on"]["migrate"]["condition"], "service_completed_successfully");
    }
}

#[test]
fn what_is_waited_for_is_there_and_can_become_what_is_waited_for() {
    let services = services();
    for (name, service) in &services {
        let waits: Vec<(&str, &str)> = match &service["depends_on"] {
            Value::Object(on) => {
                on.iter().map(|(on, how)| (&**on, how["condition"].as_str().unwrap())).collect()
            }
            on => words(on).into_iter().map(|on| (on, "service_started")).collect(),
        };
        for (on, condition) in waits {
            let other =
                services.get(on).unwrap_or_else(|| panic!("{name} waits for {on}, which is not there"));
            match condition {
                "service_healthy" => assert!(other["healthcheck"].is_object(), "{on} can't be healthy"),
                "service_completed_successfully" => {
                    assert!(other["restart"].is_null(), "{on} starts for ever");
                }
                _ => assert_eq!(condition, "service_started", "{name}"),
            }
        }
    }
}

#[test]
fn the_servers_that_roles_are_told_of_are_there() {
    let services = services();
    let brokers = brokers(&services);
    for name in ROLES.iter().copied().chain(["migrate"]) {
        let variables = variables(&services, name);
        let told = addresses(&variables["GEOPUSH_KAFKA_BROKERS"]);
        assert_eq!(told.iter().map(|(host, _)| *host).collect::<Vec<_>>(), brokers, "{name}");
        for (host, port) in told {
            let listeners = &self::variables(&services, host)["KAFKA_ADVERTISED_LISTENERS"];
            assert_eq!(listeners, &format!("PLAINTEXT://{host}:{port}"), "{name}");
        }
        let Some(nodes) = variables.get("GEOPUSH_CQL_NODES") else {
            assert_eq!(name, "geofence", "the one role that lives of the log alone");
            continue;
        };
        let nodes = addresses(nodes);
        for (host, port) in &nodes {
            let image = services[*host]["image"].as_str().unwrap();
            assert!(
                image.starts_with("scylladb/scylla:") && *port == 9042,
                "{name}: {host}:{port} is {image}"
            );
        }
        let copies: usize = variables["GEOPUSH_CQL_REPLICATION"].parse().unwrap();
        assert!(copies <= nodes.len(), "{name}: {copies} copies on {} nodes", nodes.len());
    }
}

#[test]
fn the_brokers_are_one_cluster_that_loses_nothing_with_one_of_them() {
    let services = services();
    let brokers = brokers(&services);
    assert_eq!(brokers.len(), 3);
    let mut volumes = BTreeSet::new();
    let mut voters = Vec::new();
    for broker in &brokers {
        let mut settings = variables(&services, broker);
        voters.push(format!("{}@{broker}:9093", settings.remove("KAFKA_NODE_ID").unwrap()));
        settings.remove("KAFKA_ADVERTISED_LISTENERS");
        // All else is the same on each.
        let mut first = variables(&services, &brokers[0]);
        first.retain(|name, _| settings.contains_key(name));
        assert_eq!(settings, first, "{broker}");

        let data = &settings["KAFKA_LOG_DIRS"];
        let mounts = words(&services[broker]["volumes"]);
        let [mount] = &*mounts else { panic!("{broker} has {mounts:?}") };
        let (volume, at) = mount.split_once(':').unwrap();
        assert_eq!(at, data, "{broker} keeps its records in its volume");
        assert!(volumes.insert(volume.to_owned()), "{broker} shares {volume}");
    }
    let settings = variables(&services, &brokers[0]);
    assert_eq!(settings["KAFKA_CONTROLLER_QUORUM_VOTERS"], voters.join(","));
    assert!(settings["KAFKA_LISTENERS"].contains("CONTROLLER://:9093"));

    let number = |name: &str| settings[name].parse::<usize>().unwrap();
    for name in [
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
        "KAFKA_DEFAULT_REPLICATION_FACTOR",
    ] {
        assert_eq!(number(name), brokers.len(), "{name}");
    }
    for name in ["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "KAFKA_MIN_INSYNC_REPLICAS"] {
        assert_eq!(number(name), brokers.len() - 1, "{name}: one broker may go");
    }
    // The topics' own copies are the binary's to choose; it has two of three in step.
    for role in ROLES {
        let copies = key(&services, role, "kafka.replication");
        assert!(copies.contains(&brokers.len().to_string()), "{role}: {copies}");
    }
}

#[test]
fn prometheus_scrapes_every_process_on_its_admin_port() {
    let services = services();
    let command = words(&services["prometheus"]["command"]);
    assert!(command.contains(&"--config.file=/etc/prometheus/prometheus.fleet.yml"), "{command:?}");
    let alone = yaml("deploy/compose.yaml")["services"]["prometheus"]["command"].clone();
    assert_eq!(command[1..], words(&alone)[1..], "the fleet is watched as the one process is");

    let prometheus = yaml("deploy/prometheus/prometheus.fleet.yml");
    let jobs = prometheus["scrape_configs"].as_array().unwrap();
    let job = jobs.iter().find(|job| job["job_name"] == "geopush").expect("the job that the alerts ask for");
    let found = &job["dns_sd_configs"][0];
    assert_eq!(words(&found["names"]), ROLES);
    assert_eq!((&found["type"], job["dns_sd_configs"].as_array().unwrap().len()), (&Value::from("A"), 1));
    for role in ROLES {
        let admin = key(&services, role, "admin.addr");
        assert!(admin.contains(&format!(":{}\"", found["port"])), "{role}: {admin}");
    }
    assert_eq!(job["relabel_configs"][0]["target_label"], "service", "the label that alerts group by");
    for job in jobs.iter().filter(|job| job["job_name"] != "geopush") {
        for target in words(&job["static_configs"][0]["targets"]) {
            assert!(services.contains_key(addresses(target)[0].0), "{target} is not there");
        }
    }
    let rules = yaml("deploy/prometheus/prometheus.yml")["rule_files"].clone();
    assert_eq!(prometheus["rule_files"], rules);
}

#[test]
fn the_balancer_has_the_published_ports_and_asks_who_is_ready() {
    let services = services();
    let config = text("deploy/haproxy/haproxy.cfg");
    let lines: Vec<Vec<&str>> = config.lines().map(|line| line.split_whitespace().collect()).collect();
    let published = words(&services["balancer"]["ports"]);
    let mut servers = BTreeSet::new();
    for line in &lines {
        match &**line {
            ["bind", port] => {
                assert!(published.iter().any(|to| to.ends_with(port)), "{port} is not published");
            }
            ["server-template", _, most, server] => {
                let [(service, port)] = *addresses(server) else { panic!("{server} is no address") };
                let listens = if service == "ingest" { "ingest.addr" } else { "api.addr" };
                let listens = key(&services, service, listens);
                assert!(listens.contains(&format!(":{port}\"")), "{server}: {listens}");
                let replicas = services[service]["deploy"]["replicas"].as_u64().unwrap();
                assert!(most.parse::<u64>().unwrap() > replicas, "{server}: {replicas} processes");
                servers.insert(service);
            }
            ["default-server", "check", "port", port, ..] => {
                assert!(key(&services, "ingest", "admin.addr").contains(&format!(":{port}\"")), "{port}");
            }
            _ => {}
        }
    }
    assert_eq!(servers, BTreeSet::from(["control-api", "ingest"]));
    assert!(lines.contains(&vec!["option", "httpchk", "GET", "/readyz"]));
    // Else a balancer that waits for less than the system would repeat or cut what is under way.
    assert!(lines.contains(&vec!["retry-on", "conn-failure"]));
}
