use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// What a role might read.
#[derive(Debug, PartialEq)]
struct Settings {
    addr: ListenAddr,
    max_body: ByteSize,
    expire_after: Duration,
    names: Vec<String>,
    verify: bool,
    data_dir: Option<PathBuf>,
    secret: Option<Secret>,
}

fn settings(reader: &mut Reader) -> Settings {
    Settings {
        addr: reader.key("ingest.addr", "Where phones reach it").or(ListenAddr::everywhere(8080)),
        max_body: reader
            .key("ingest.max_body", "The largest body")
            .within(ByteSize::kib(1)..=ByteSize::mib(64))
            .or(ByteSize::mib(1)),
        expire_after: reader.with_default(
            "geofence.expire_after",
            "When a stay ends",
            Duration::from_secs(86_400),
        ),
        names: reader.with_default("names", "Some names", vec![]),
        verify: reader.with_default("allow_provider_urls", "Whether apps may name URLs", false),
        data_dir: reader.optional("data_dir", "Where the embedded files are"),
        secret: reader.optional("api.signing_key", "Signs sessions"),
    }
}

fn given(file: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    let owned = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    Sources {
        file: (!file.is_empty()).then(|| ("geopush.toml".into(), file.to_owned())),
        variables: owned(variables),
        flags: owned(flags),
    }
}

fn read(sources: Sources) -> Result<Settings, Vec<String>> {
    let mut reader = Reader::new(sources);
    let settings = settings(&mut reader);
    match reader.finish() {
        Ok(()) => Ok(settings),
        Err(errors) => Err(errors.0.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn nothing_given_is_the_defaults() {
    let settings = read(Sources::default()).unwrap();
    assert_eq!(settings.addr, ListenAddr::everywhere(8080));
    assert_eq!((settings.max_body, settings.verify, settings.data_dir), (ByteSize::mib(1), false, None));
}

#[test]
fn variables_win_over_the_file_and_flags_over_variables() {
    let file = "[ingest]\naddr = \"127.0.0.1:1\"";
    let variable = [("GEOPUSH_INGEST_ADDR", "127.0.0.1:2")];
    let flag = [("--ingest-addr", "127.0.0.1:3")];
    for (sources, port) in [
        (given(file, &[], &[]), 1),
        (given(file, &variable, &[]), 2),
        (given(file, &variable, &flag), 3),
        (given(file, &[], &flag), 3),
        (given("", &variable, &flag), 3),
        (given(file, &variable, &[("ingest.addr", "127.0.0.1:4")]), 4),
        (given(file, &[("GEOPUSH_INGEST_ADDR", "")], &[]), 1),
    ] {
        assert_eq!(read(sources).unwrap().addr, ListenAddr::loopback(port));
    }
}

#[test]
fn every_type_is_read_from_the_file() {
    let file = r#"
        names = ["a", " b "]
        allow_provider_urls = true
        data_dir = "/var/lib/geopush"
        ingest = { addr = ":0", max_body = 0x10_0000 }
        geofence.expire_after = "1h30m"
        api.signing_key = "hush"
        "#;
    let settings = read(given(file, &[], &[])).unwrap();
    assert_eq!(settings.names, ["a", "b"]);
    assert!(settings.verify);
    assert_eq!(settings.data_dir, Some("/var/lib/geopush".into()));
    assert_eq!(settings.addr, ListenAddr::everywhere(0));
    assert_eq!(settings.max_body, ByteSize::mib(1));
    assert_eq!(settings.expire_after, Duration::from_secs(5400));
    assert_eq!(settings.secret.unwrap().expose(), "hush");
}

#[test]
fn every_error_is_told_at_once_with_its_key_and_origin() {
    let file =
        "data_dirr = \"x\"\n[ingest]\nmax_body = \"lots\"\naddr = 8080\n[geofense]\nexpire_after = \"1h\"\n";
    let variables = [("GEOPUSH_INGEST_MAX_BODY", "65MiB"), ("GEOPUSH_INGETS_ADDR", ":1"), ("HOME", "/root")];
    let flags = [("geofence-expire-after", "30"), ("allow-provider-urls", "maybe"), ("zzz-unheard-of", "1")];
    assert_eq!(
        read(given(file, &variables, &flags)).unwrap_err(),
        [
            "ingest.addr (geopush.toml, line 4): `8080` is not an address to listen on, such as 127.0.0.1:8080, or :0 \
             for a free port",
            "ingest.max_body (geopush.toml, line 3): `lots` is not a size such as 512B, 64KiB or 1MiB",
            "ingest.max_body (variable GEOPUSH_INGEST_MAX_BODY): `65MiB` is out of range; give a value from 1KiB to \
             64MiB",
            "geofence.expire_after (flag --geofence-expire-after): `30` is not a duration such as 250ms, 30s, 5m, 24h \
             or 7d",
            "allow_provider_urls (flag --allow-provider-urls): `maybe` is not `true` or `false`",
            "data_dirr (geopush.toml, line 1): there is no such key; did you mean data_dir?",
            "geofense.expire_after (geopush.toml, line 6): there is no such key; did you mean geofence.expire_after?",
            "GEOPUSH_INGETS_ADDR (variable GEOPUSH_INGETS_ADDR): there is no such key; did you mean \
             GEOPUSH_INGEST_ADDR?",
            "--zzz-unheard-of (flag --zzz-unheard-of): there is no such key; remove it",
        ]
    );
}

#[test]
fn a_wrong_value_is_told_even_when_a_later_source_overrides_it() {
    let errors = read(given("[ingest]\naddr = 1", &[], &[("ingest-addr", ":1")])).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("ingest.addr (geopush.toml, line 2)"), "{errors:?}");
}

#[test]
fn a_file_that_is_not_toml_is_told_with_its_line_beside_the_other_errors() {
    let errors = read(given("[ingest]\naddr = ", &[], &[("ingest-addr", "x")])).unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("geopush.toml, line 2: is not TOML: "), "{errors:?}");
}

#[test]
fn a_section_given_as_a_value_is_explained() {
    let errors = read(given("ingest = 3", &[], &[])).unwrap_err();
    assert_eq!(errors, ["ingest (geopush.toml, line 1): is a section; write [ingest] with its keys below"]);
}

#[test]
fn the_whole_report_says_what_to_do() {
    let mut reader = Reader::new(given("", &[("GEOPUSH_DATA_DIRS", "x")], &[]));
    settings(&mut reader);
    assert_eq!(
        reader.finish().unwrap_err().to_string(),
        "the configuration has an error:\n  GEOPUSH_DATA_DIRS (variable GEOPUSH_DATA_DIRS): there is no such key; did \
         you mean GEOPUSH_DATA_DIR?\ncorrect them and try again; `geopush check-config` lists every key with its value \
         and origin"
    );
}

#[test]
fn a_key_that_is_needed_is_asked_for_once() {
    let mut reader = Reader::new(Sources::default());
    for _ in 0..2 {
        assert_eq!(reader.key::<u16>("kafka.port", "Where Kafka is").required(), None);
    }
    let errors = reader.finish().unwrap_err().0;
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].problem,
        "is needed: Where Kafka is; set kafka.port in the file, GEOPUSH_KAFKA_PORT or --kafka-port"
    );
}

#[test]
fn what_is_wrong_between_keys_can_be_told_at_the_key() {
    let mut reader = Reader::new(given("", &[("GEOPUSH_LOW", "9")], &[]));
    let low: u32 = reader.with_default("low", "The low mark", 1);
    if low > 5 {
        reader.reject("low", "is above high");
    }
    assert_eq!(reader.finish().unwrap_err().0[0].to_string(), "low (variable GEOPUSH_LOW): is above high");
}

#[test]
fn the_description_shows_what_holds_and_where_it_comes_from_but_no_secret() {
    let sources = given("api.signing_key = \"hush\"", &[("GEOPUSH_NAMES", "a,b")], &[("data-dir", "d")]);
    let mut reader = Reader::new(sources);
    settings(&mut reader);
    let said = reader.describe().to_string();
    let table = reader.describe().to_markdown();
    for (line, origin) in [
        ("api.signing_key = \"********\"", "# geopush.toml, line 1"),
        ("names = \"a,b\"", "# variable GEOPUSH_NAMES"),
        ("data_dir = \"d\"", "# flag --data-dir"),
        ("ingest.max_body = \"1MiB\"", "# default"),
    ] {
        let found =
            said.lines().find(|said| said.starts_with(line)).unwrap_or_else(|| panic!("{line} in\n{said}"));
        assert!(found.ends_with(origin), "{found}");
    }
    assert!(!said.contains("hush") && !table.contains("hush"));
    assert!(table.contains(
        "| `ingest.max_body` | `GEOPUSH_INGEST_MAX_BODY` | `--ingest-max-body` | `1MiB` | The largest body | a size such \
         as 512B, 64KiB or 1MiB, 1KiB to 64MiB |"
    ));
}

#[test]
fn a_wrong_secret_is_not_repeated() {
    let errors = read(given("api.signing_key = [\"hush\"]", &[], &[])).unwrap_err();
    assert_eq!(errors, ["api.signing_key (geopush.toml, line 1): its value is not a secret text"]);
}

#[test]
fn durations_and_sizes_are_read_as_they_are_shown() {
    for (text, ms) in [("0", 0), ("250ms", 250), ("30s", 30_000), ("1h30m", 5_400_000), ("7d", 604_800_000)] {
        let duration = Duration::from_text(text).unwrap();
        assert_eq!((duration.as_millis(), duration.show().as_str()), (ms, text));
    }
    for text in ["", "30", "s", "-1s", "1.5s", "1w", "99999999999999d", "1h x"] {
        assert_eq!(Duration::from_text(text), None, "{text}");
    }
    for (text, bytes, shown) in [
        ("1MiB", 1 << 20, "1MiB"),
        ("4096", 4096, "4KiB"),
        ("10MB", 10_000_000, "10MB"),
        ("1 GiB", 1 << 30, "1GiB"),
        ("7B", 7, "7B"),
        ("0", 0, "0"),
    ] {
        let size = ByteSize::from_text(text).unwrap();
        assert_eq!((size, size.show().as_str()), (ByteSize(bytes), shown));
    }
    for text in ["", "MiB", "1mib", "1KiB1B", "-1", "99999999999999TiB"] {
        assert_eq!(ByteSize::from_text(text), None, "{text}");
    }
}

#[tokio::test]
async fn addresses_to_listen_on_can_be_listened_on() {
    for text in [":0", "127.0.0.1:0", "localhost:0", "0.0.0.0:0"] {
        let listener = ListenAddr::from_text(text).unwrap().bind().await.unwrap();
        assert_ne!(listener.local_addr().unwrap().port(), 0);
    }
    for text in ["", "8080", "127.0.0.1", "127.0.0.1:65536", "a b:1", "[::1:1", "::1:1", "http://x:1"] {
        assert_eq!(ListenAddr::from_text(text), None, "{text}");
    }
    let taken = ListenAddr::loopback(0).bind().await.unwrap().local_addr().unwrap();
    assert_eq!(ListenAddr::from_text("[::1]:5").unwrap().show(), "[::1]:5");
    let held = tokio::net::TcpListener::bind(taken).await.unwrap();
    let error = ListenAddr::loopback(held.local_addr().unwrap().port()).bind().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("can't listen on {taken}: ")), "{error}");
}
