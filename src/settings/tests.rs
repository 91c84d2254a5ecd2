use super::*;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

fn sources(file: &str, flags: &[(&str, &str)]) -> Sources {
    let flags = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Sources { file: Some(("geopush.toml".into(), file.to_owned())), flags, ..Sources::default() }
}

fn read(flags: &[(&str, &str)]) -> Result<Settings, String> {
    read_settings(sources("", flags)).map(|(settings, _)| settings).map_err(|e| e.to_string())
}

#[test]
fn every_error_is_told_at_once_with_its_key() {
    let wrong = [
        ("role", "ingest,cook"),
        ("ingest.addr", "nowhere"),
        ("ingest.adr", ":0"),
        ("log.partitions", "0"),
        ("secrets_key", "hush"),
        ("kafka.brokers", "here"),
        ("kafka.prefix", "a b"),
        ("kafka.replication", "0"),
        ("kafka.properties", "acks=0"),
        ("cql.keyspace", "Geo-Push"),
        ("cql.replication", "33"),
        ("cql.username", "geopush"),
    ];
    let errors = read(&wrong).unwrap_err();
    for (key, _) in wrong.iter().filter(|(key, _)| !matches!(*key, "ingest.adr" | "cql.username")) {
        assert!(errors.contains(&format!("  {key} (")), "{key} is not in: {errors}");
    }
    for told in ["--ingest-adr", "cql.nodes (default): is needed", "cql.password (default): is needed"] {
        assert!(errors.contains(told), "{told} is not in: {errors}");
    }
    assert!(!errors.contains("hush"), "{errors}");
}

#[test]
fn roles_are_chosen_by_name() {
    assert_eq!(read(&[]).unwrap().roles.len(), 4);
    let chosen = read(&[("role", "ingest, control-api")]).unwrap().roles;
    assert_eq!(chosen, BTreeSet::from([Role::Ingest, Role::ControlApi]));
}

#[test]
fn kafka_and_cql_are_set_together_or_not_at_all() {
    assert!(matches!(read(&[]).unwrap().backend, Backend::Embedded { partitions: 8 }));
    let (kafka, cql) = (("kafka.brokers", "k1:9092,k2:9092"), ("cql.nodes", "c1:9042"));
    let secret = ("secrets_key", KEY);
    let Backend::Fleet(fleet) = read(&[kafka, cql, secret]).unwrap().backend else {
        panic!("it is a fleet");
    };
    assert_eq!((fleet.kafka.brokers.len(), fleet.kafka.partitions, fleet.kafka.replication), (2, 16, 3));
    let cql_settings = fleet.cql.unwrap();
    assert_eq!((cql_settings.keyspace.as_str(), cql_settings.replication), ("geopush", 3));
    assert!(cql_settings.credentials.is_none());

    for (flags, told) in [
        (vec![kafka, secret], "cql.nodes (default): is needed"),
        (vec![cql, secret], "kafka.brokers (default): is needed"),
        (vec![cql, ("role", "geofence")], "kafka.brokers (default): is needed"),
        (
            vec![("kafka.prefix", "a.")],
            "kafka.prefix (flag --kafka-prefix): means nothing without kafka.brokers",
        ),
        (vec![("cql.ca", "ca.pem")], "cql.ca (flag --cql-ca): means nothing without cql.nodes"),
        (vec![kafka, cql, secret, ("cql.password", "p")], "cql.username (default): is needed"),
    ] {
        let errors = read(&flags).unwrap_err();
        assert!(errors.contains(told) && errors.contains("an error:"), "{flags:?}: {errors}");
    }
}

#[test]
fn a_process_is_asked_only_for_what_its_roles_need() {
    let (kafka, cql) = (("kafka.brokers", "k1:9092"), ("cql.nodes", "c1:9042"));
    let geofence = read(&[kafka, ("role", "geofence")]).unwrap();
    assert!(matches!(geofence.backend, Backend::Fleet(fleet) if fleet.cql.is_none()));
    assert!(read(&[kafka, cql, ("role", "ingest")]).is_ok(), "no credentials pass through ingest");
    for role in ["all", "control-api", "dispatcher", "geofence,dispatcher"] {
        let errors = read(&[kafka, cql, ("role", role)]).unwrap_err();
        assert!(errors.contains("secrets_key (default): is needed"), "{role}: {errors}");
    }
    fn maintain(flags: &[(&str, &str)]) -> Result<(Settings, Description), String> {
        read_settings_for(sources("", flags), Purpose::Maintain).map_err(|e| e.to_string())
    }
    assert!(maintain(&[kafka, cql]).is_ok());
    let errors = maintain(&[kafka, ("role", "geofence")]).unwrap_err();
    assert!(errors.contains("cql.nodes (default): is needed"), "{errors}");
}

#[test]
fn no_secret_of_the_servers_is_shown() {
    let file = "[kafka.properties]\nsasl.username = \"hush-user\"\n\"sasl.password\" = \"hush-word\"\n";
    let flags = [
        ("kafka.brokers", "k1:9092"),
        ("cql.nodes", "c1:9042"),
        ("cql.username", "geopush"),
        ("cql.password", "hush-cql"),
    ];
    let (settings, description) =
        read_settings(sources(file, &[&flags[..], &[("secrets_key", KEY)]].concat())).unwrap();
    let shown = format!("{settings:?}\n{description}\n{}", description.to_markdown());
    assert!(shown.contains("sasl.password") && shown.contains("k1:9092"), "{shown}");
    assert!(!shown.contains("hush") && !shown.contains(KEY), "{shown}");
}
