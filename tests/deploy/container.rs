//! The image and the compose files, as far as they can be checked without a container engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::system::{geopush, output, root};

/// Those of one process, and those of the fleet, which is laid over the first.
const COMPOSE: [&str; 4] = [
    "deploy/compose.yaml",
    "deploy/compose.sandbox.yaml",
    "deploy/compose.fleet.yaml",
    "deploy/compose.fleet.sandbox.yaml",
];

/// A file of the repository as YAML.
pub fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path} is no YAML: {error}"))
}

/// A file of the repository.
pub fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A list's texts.
pub fn words(list: &Value) -> Vec<&str> {
    list.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// What the binary says of these flags and variables; an error if it does not take them.
pub fn check_config(flags: &[&str], variables: &[(String, String)]) -> Result<String, String> {
    let variables = variables.iter().map(|(name, value)| (name, value));
    let checked = output(geopush().arg("check-config").args(flags).envs(variables));
    let said = if checked.status.success() { checked.stdout } else { checked.stderr };
    let said = String::from_utf8(said).unwrap();
    if checked.status.success() { Ok(said) } else { Err(said) }
}

/// What a service's process finds in its environment, when the person who starts it has set what must be set.
pub fn environment(service: &Value) -> Vec<(String, String)> {
    let of_service = service["environment"].as_object().into_iter().flatten();
    of_service
        .map(|(name, value)| {
            let value = value.as_str().unwrap_or_else(|| panic!("{name} is no text: {value}"));
            let value = match value.strip_prefix("${") {
                None => value,
                // The only thing that must be set is a key.
                Some(inner) if inner.contains(":?") => KEY,
                Some(inner) => inner.split_once(":-").expect("a default").1.trim_end_matches('}'),
            };
            (name.clone(), value.to_owned())
        })
        .collect()
}

/// A key that seals credentials.
const KEY: &str = "abababababababababababababababababababababababababababababababab";

#[test]
fn the_binary_knows_every_flag_and_variable_of_the_compose_files() {
    // What is laid over a service changes its words and leaves its variables.
    let mut environments = BTreeMap::new();
    let mut checked = 0;
    for file in COMPOSE {
        let compose = yaml(file);
        for (name, service) in compose["services"].as_object().unwrap() {
            let variables = environments.entry(name.clone()).or_insert_with(|| environment(service));
            match words(&service["command"]).as_slice() {
                ["run", flags @ ..] => {
                    check_config(flags, variables).unwrap_or_else(|why| panic!("{file}, {name}: {why}"));
                }
                // It takes the same keys, and needs no secret.
                ["migrate", flags @ ..] => {
                    let secret = ("GEOPUSH_SECRETS_KEY".to_owned(), KEY.to_owned());
                    let variables = [variables.as_slice(), &[secret]].concat();
                    check_config(flags, &variables).unwrap_or_else(|why| panic!("{file}, {name}: {why}"));
                }
                ["sandbox", flags @ ..] => {
                    let help = output(geopush().args(["sandbox", "--help"]));
                    let help = String::from_utf8(help.stdout).unwrap();
                    for flag in flags {
                        let flag = flag.split('=').next().unwrap();
                        assert!(help.contains(&format!("{flag} <")), "{file}, {name}: no {flag} in\n{help}");
                    }
                }
                _ => continue,
            }
            checked += 1;
        }
    }
    assert_eq!(checked, 10, "the services that run the binary");
    let refused = check_config(&["--data-dirr", "/data"], &[]).unwrap_err();
    assert!(refused.contains("data-dirr"), "{refused}");
    let misspelled = ("GEOPUSH_SECRET_KEY".to_owned(), KEY.to_owned());
    assert!(check_config(&[], &[misspelled]).is_err(), "a misspelled variable is refused");
}

#[test]
fn the_ports_that_are_published_are_those_that_the_binary_listens_on() {
    let keys = check_config(&[], &[]).unwrap();
    for (key, port) in [("ingest.addr", 8080), ("api.addr", 8081), ("admin.addr", 9100)] {
        let line =
            keys.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key} in {keys}"));
        assert!(line.contains(&format!(":{port}\"")), "{line}");
        let published = &yaml("deploy/compose.yaml")["services"]["geopush"]["ports"];
        assert!(words(published).iter().any(|to| to.ends_with(&format!(":{port}"))), "{port} in {published}");
    }
}

#[test]
fn what_is_mounted_exists_and_others_images_are_pinned() {
    for file in COMPOSE {
        let compose = yaml(file);
        for (name, service) in compose["services"].as_object().unwrap() {
            for mount in words(&service["volumes"]) {
                let source = mount.split(':').next().unwrap();
                let exists = match source.strip_prefix("./") {
                    Some(path) => root().join("deploy").join(path).is_dir(),
                    None => COMPOSE.iter().any(|file| yaml(file)["volumes"].get(source).is_some()),
                };
                assert!(exists, "{file}, {name}: {mount} is not there");
            }
            let image = service["image"].as_str().unwrap_or("geopush:latest");
            let version = image.rsplit(':').next().unwrap();
            let pinned = version.matches('.').count() == 2;
            assert!(pinned || image == "geopush:latest", "{file}, {name}: {image} names no version");
        }
    }
}

#[test]
fn prometheus_and_grafana_find_each_other_and_the_system() {
    let compose = yaml("deploy/compose.yaml");
    let services = compose["services"].as_object().unwrap();
    let scrape = yaml("deploy/prometheus/prometheus.yml");
    let job = &scrape["scrape_configs"][0];
    assert_eq!(job["job_name"], "geopush", "the alerts ask for it");
    assert_eq!(job["static_configs"][0]["targets"][0], "geopush:9100");
    for file in words(&scrape["rule_files"]) {
        assert!(root().join("deploy/prometheus").join(file).is_file(), "{file}");
    }
    let source = &yaml("deploy/grafana/provisioning/datasources/prometheus.yaml")["datasources"][0];
    assert_eq!(source["url"], "http://prometheus:9090");
    assert!(services.contains_key("geopush") && services.contains_key("prometheus"));

    let provider = &yaml("deploy/grafana/provisioning/dashboards/geopush.yaml")["providers"][0];
    let folder = provider["options"]["path"].as_str().unwrap();
    let mounts = words(&services["grafana"]["volumes"]);
    assert!(mounts.contains(&format!("./grafana/dashboards:{folder}:ro").as_str()), "{mounts:?}");
    let mut names = BTreeSet::new();
    for file in ["geopush", "fleet"] {
        let dashboard = text(&format!("deploy/grafana/dashboards/{file}.json"));
        let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
        assert!(names.insert(dashboard["uid"].to_string()), "{file}.json has another's uid");
        for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            assert_eq!(panel["datasource"]["uid"], source["uid"], "{}", panel["title"]);
        }
    }
}

#[test]
fn the_image_is_built_by_the_pinned_toolchain_from_every_member_of_the_workspace() {
    let toolchain = text("rust-toolchain.toml");
    let version =
        toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let dockerfile = text("deploy/Dockerfile");
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-slim")),
        "the image's toolchain is not {version}"
    );

    // The slim image has a C compiler and no more.
    let lock = text("Cargo.lock");
    for (package, tools) in [("rdkafka-sys", &["g++", "make"][..]), ("openssl-src", &["make", "perl"])] {
        if lock.contains(&format!("name = \"{package}\"")) {
            let installs =
                dockerfile.lines().find(|line| line.contains("apt-get install")).unwrap_or_default();
            let has = |tool: &&str| installs.split_whitespace().any(|word| word == *tool);
            assert!(tools.iter().all(has), "{package} is built with {tools:?}; the image has {installs}");
        }
    }

    let ignore = text(".dockerignore");
    let admitted: Vec<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let metadata = cargo_metadata::MetadataCommand::new().no_deps().exec().unwrap();
    for package in metadata.workspace_packages() {
        for target in &package.targets {
            let path = target.src_path.strip_prefix(root()).unwrap();
            let top = path.components().next().unwrap().as_str();
            assert!(admitted.contains(&top), ".dockerignore keeps {path} from the image; add !{top}");
        }
    }
}

#[test]
fn the_scripts_of_the_compose_files_are_bash() {
    for file in COMPOSE {
        let compose = yaml(file);
        let services = compose["services"].as_object().unwrap();
        let scripts = services.values().flat_map(|service| {
            [&service["healthcheck"]["test"], &service["entrypoint"]].map(|list| words(list))
        });
        for script in scripts.filter(|words| words.contains(&"bash")) {
            let at = script.iter().position(|word| *word == "-c").unwrap();
            let checked =
                output(Command::new("bash").args(["-n", "-c"]).arg(script[at + 1].replace("$$", "$")));
            assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}
