//! The image and the compose files, as far as they can be checked without a container engine.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::system::{geopush, output, root};

const COMPOSE: [&str; 2] = ["deploy/compose.yaml", "deploy/compose.sandbox.yaml"];

/// A file of the repository as YAML.
pub fn yaml(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path} is no YAML: {error}"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// Whether the binary takes these flags and variables.
fn check_config<'a>(
    flags: &[&str],
    variables: impl IntoIterator<Item = &'a String>,
) -> Result<String, String> {
    let mut command = geopush();
    command.arg("check-config").args(flags);
    for name in variables {
        command.env(name, "ab".repeat(32));
    }
    let checked = output(&mut command);
    let said = if checked.status.success() { checked.stdout } else { checked.stderr };
    let said = String::from_utf8(said).unwrap();
    if checked.status.success() { Ok(said) } else { Err(said) }
}

#[test]
fn the_binary_knows_every_flag_and_variable_of_the_compose_files() {
    let mut checked = 0;
    for file in COMPOSE {
        let compose = yaml(file);
        for (name, service) in compose["services"].as_object().unwrap() {
            let variables = service["environment"].as_object().into_iter().flat_map(serde_json::Map::keys);
            let variables: Vec<_> = variables.filter(|name| name.starts_with("GEOPUSH_")).collect();
            match words(&service["command"]).as_slice() {
                ["run", flags @ ..] => {
                    check_config(flags, variables).unwrap_or_else(|why| panic!("{file}, {name}: {why}"));
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
    assert_eq!(checked, 3, "the services that run the binary");
    let refused = check_config(&["--data-dirr", "/data"], &[]).unwrap_err();
    assert!(refused.contains("data-dirr"), "{refused}");
    assert!(
        check_config(&[], [&"GEOPUSH_SECRET_KEY".to_owned()]).is_err(),
        "a misspelled variable is refused"
    );
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
    let dashboard: Value = serde_json::from_str(&text("deploy/grafana/dashboards/geopush.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"]["uid"], source["uid"], "{}", panel["title"]);
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
