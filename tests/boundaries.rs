//! Who may know what, each rule with its reason: what a crate does not know is what it can never break.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};

const SERVICES: [&str; 4] =
    ["geopush-ingest", "geopush-geofence", "geopush-dispatcher", "geopush-control-api"];
const DOMAIN: [&str; 3] = ["geopush-model", "geopush-geometry", "geopush-campaign"];

/// `who` has none of `what` among its normal dependencies, however deep.
struct NeverReaches {
    who: &'static [&'static str],
    what: &'static [&'static str],
    why: &'static str,
}

const NEVER_REACHES: [NeverReaches; 4] = [
    NeverReaches {
        who: &DOMAIN,
        what: &[
            "tokio", "axum", "hyper", "h2", "reqwest", "rusqlite", "rdkafka", "scylla", "metrics", "tracing",
        ],
        why: "domain types and decisions do no I/O, so that they can be tested as tables and reused anywhere",
    },
    NeverReaches {
        who: &DOMAIN,
        what: &["geopush-log", "geopush-store", "geopush-service", "geopush-embedded", "geopush-registry"],
        why: "the domain does not know how it is stored, moved or run",
    },
    NeverReaches {
        who: &["geopush-log", "geopush-store", "geopush-embedded"],
        what: &["geopush-model", "geopush-geometry", "geopush-campaign", "geopush-service", "axum"],
        why: "the log and the store carry bytes and columns: what these mean is no concern of theirs",
    },
    NeverReaches {
        who: &["geopush-geofence"],
        what: &["geopush-store", "geopush-registry"],
        why: "the evaluator lives of the log alone: its state is there, and a store that is down never stops it",
    },
];

/// Only these packages name `what` as a dependency of their own, of any kind.
struct OnlyKnownTo {
    what: &'static str,
    who: &'static [&'static str],
    why: &'static str,
}

const ONLY_KNOWN_TO: [OnlyKnownTo; 11] = [
    OnlyKnownTo { what: "rdkafka", who: &["geopush-log"], why: "the log's interface hides which log it is" },
    OnlyKnownTo {
        what: "scylla",
        who: &["geopush-store"],
        why: "the store's interface hides which store it is",
    },
    OnlyKnownTo {
        what: "openssl",
        who: &["geopush-store"],
        why: "it serves TLS towards ScyllaDB, as librdkafka's towards Kafka; everything else is rustls",
    },
    OnlyKnownTo {
        what: "rusqlite",
        who: &["geopush-embedded", "geopush-log", "geopush-store"],
        why: "embedded owns the file and its one writer; the two embedded backends write statements for it",
    },
    OnlyKnownTo {
        what: "hyper",
        who: &["geopush-dispatcher", "geopush-sandbox", "geopush-service", "geopush-bench"],
        why: "providers are spoken to by the dispatcher and played by the sandbox; service owns every HTTP edge; bench loads it",
    },
    OnlyKnownTo {
        what: "h2",
        who: &["geopush-dispatcher"],
        why: "only the way to providers needs to know HTTP/2's frames",
    },
    OnlyKnownTo {
        what: "tokio-rustls",
        who: &["geopush-dispatcher", "geopush-sandbox", "geopush-bench"],
        why: "TLS to providers, and their stand-ins; everyone else is behind a proxy or speaks to nobody",
    },
    OnlyKnownTo {
        what: "reqwest",
        who: &["geopush", "geopush-simulator", "geopush-bench"],
        why: "services call nobody over HTTP but providers; clients are for simulated phones, the demo and benches",
    },
    OnlyKnownTo {
        what: "geopush-sandbox",
        who: &["geopush", "geopush-bench"],
        why: "stand-ins are for the demo, tests and benches",
    },
    OnlyKnownTo {
        what: "geopush-simulator",
        who: &["geopush", "geopush-bench"],
        why: "simulated phones are clients",
    },
    OnlyKnownTo {
        what: "ureq",
        who: &["geopush", "geopush-fleet"],
        why: "whole-system tests speak plain, blocking HTTP; nothing else does",
    },
];

/// Files under `root` but those under `except` do not contain any of `words`.
struct NeverNames {
    root: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

/// What makes code depend on a runtime or on the hour at which it is run.
const RUNTIME_AND_CLOCKS: &[&str] =
    &["tokio", "SystemTime", "Instant::now", "Timestamp::now", "service::clock"];

const NEVER_NAMES: [NeverNames; 9] = [
    NeverNames {
        root: "geofence/src/engine",
        except: &[],
        words: RUNTIME_AND_CLOCKS,
        why: "the state machine is a function of fixes, zones and times: it is compared with a reference",
    },
    NeverNames {
        root: "dispatcher/src/plan/decide",
        except: &[],
        words: RUNTIME_AND_CLOCKS,
        why: "whether a push is made is a function of what is known, tested as a table",
    },
    NeverNames {
        root: "dispatcher/src/send/decision.rs",
        except: &[],
        words: RUNTIME_AND_CLOCKS,
        why: "what a provider's answer means is data",
    },
    NeverNames {
        root: "dispatcher/src/send/fcm/rules.rs",
        except: &[],
        words: RUNTIME_AND_CLOCKS,
        why: "what a provider's answer means is data",
    },
    NeverNames {
        root: "dispatcher/src/send/apns/rules.rs",
        except: &[],
        words: RUNTIME_AND_CLOCKS,
        why: "what a provider's answer means is data",
    },
    NeverNames {
        root: "dispatcher/src",
        except: &["dispatcher/src/send"],
        words: &["hyper::", "hyper_util", "tokio_rustls", "h2::", "rustls::"],
        why: "only send speaks to providers",
    },
    NeverNames {
        root: "crates/log/src",
        except: &["crates/log/src/embedded", "crates/log/src/embedded.rs"],
        words: &["rusqlite"],
        why: "the interface and its stages are the same on every backend",
    },
    NeverNames {
        root: "crates/store/src",
        except: &["crates/store/src/embedded.rs", "crates/store/src/embedded", "crates/store/src/sqlite.rs"],
        words: &["rusqlite"],
        why: "the tables are the same on every backend",
    },
    NeverNames {
        root: "ingest/src",
        except: &[],
        words: &["transitions", "Topic::Pushes", "Topic::Deliveries"],
        why: "phones' edge writes pings and knows nothing of what becomes of them",
    },
];

/// About 400 lines are one idea; past this many there are surely two.
const MOST_LINES: usize = 450;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The workspace as it is built here: for this machine alone, so that nothing else needs to be downloaded.
fn metadata() -> Metadata {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let said = String::from_utf8(rustc.stdout).expect("rustc speaks UTF-8");
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc says its host");
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), host.to_owned()])
        .exec()
        .expect("cargo metadata runs")
}

fn members(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata.workspace_packages().into_iter().map(|package| (package.name.to_string(), package)).collect()
}

/// Every package that ends up in `package` when it is built for use, with one way to it.
fn reached<'a>(metadata: &'a Metadata, package: &Package) -> BTreeMap<&'a str, String> {
    let resolve = metadata.resolve.as_ref().expect("cargo metadata resolves");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut found = BTreeMap::new();
    let mut open = vec![(&package.id, package.name.to_string())];
    let mut seen = BTreeSet::new();
    while let Some((id, way)) = open.pop() {
        for dep in &nodes[id].deps {
            let is_normal = dep.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if is_normal && seen.insert(&dep.pkg) {
                let name = metadata[&dep.pkg].name.as_str();
                let way = format!("{way} -> {name}");
                found.insert(name, way.clone());
                open.push((&dep.pkg, way));
            }
        }
    }
    found
}

fn rust_files(under: &Path) -> Vec<PathBuf> {
    if under.is_file() {
        return vec![under.to_owned()];
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(under).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    files
}

fn nothing_broken(broken: &[String]) {
    assert!(broken.is_empty(), "{} boundaries are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn services_never_depend_on_one_another_and_crates_never_on_services() {
    let metadata = metadata();
    let members = members(&metadata);
    let mut broken = Vec::new();
    for (name, package) in &members {
        let may = ["geopush", "geopush-bench", "geopush-fleet"].contains(&name.as_str());
        let named = package.dependencies.iter().map(|dep| dep.name.as_str());
        for dep in named.filter(|dep| SERVICES.contains(dep) && !may) {
            broken.push(format!(
                "{name} -> {dep}: services meet in topics and tables only, and crates are below them"
            ));
        }
    }
    nothing_broken(&broken);
    assert!(SERVICES.iter().all(|service| members.contains_key(*service)), "a service was renamed");
}

#[test]
fn what_a_crate_must_not_know_is_not_among_its_dependencies() {
    let metadata = metadata();
    let members = members(&metadata);
    let mut broken = Vec::new();
    for rule in &NEVER_REACHES {
        for who in rule.who {
            let reached = reached(&metadata, members[*who]);
            for what in rule.what.iter().filter_map(|what| reached.get(what)) {
                broken.push(format!("{what}: {}", rule.why));
            }
        }
    }
    nothing_broken(&broken);
}

#[test]
fn what_few_may_know_is_named_by_these_alone() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        for rule in ONLY_KNOWN_TO.iter().filter(|rule| !rule.who.contains(&package.name.as_str())) {
            let named = package.dependencies.iter().find(|dep| dep.name == rule.what);
            // Stand-ins and simulated phones are for tests too.
            let in_tests = rule.what.starts_with("geopush-");
            if named.is_some_and(|dep| !(in_tests && dep.kind == DependencyKind::Development)) {
                broken.push(format!("{} -> {}: {}", package.name, rule.what, rule.why));
            }
        }
    }
    nothing_broken(&broken);
}

#[test]
fn stand_ins_and_simulated_phones_know_nothing_of_the_house() {
    let metadata = metadata();
    let members = members(&metadata);
    let mut broken = Vec::new();
    for who in ["geopush-sandbox", "geopush-simulator", "geopush-geometry", "geopush-embedded"] {
        for dep in members[who].dependencies.iter().filter(|dep| dep.name.starts_with("geopush")) {
            broken.push(format!(
                "{who} -> {}: it must not be able to share a mistake with what it is used against",
                dep.name
            ));
        }
    }
    nothing_broken(&broken);
}

#[test]
fn decisions_know_no_runtime_and_no_clock_and_backends_stay_behind_their_interface() {
    let mut broken = Vec::new();
    for rule in &NEVER_NAMES {
        let files = rust_files(&root().join(rule.root));
        assert!(!files.is_empty(), "nothing stands under {}: move the rule with the code", rule.root);
        for file in files {
            let path = file.strip_prefix(root()).expect("files are under the root");
            if rule.except.iter().any(|except| path.starts_with(except)) {
                continue;
            }
            let text = fs::read_to_string(&file).expect("a source file is readable");
            // What a unit test beside the code uses is no part of it.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate() {
                let is_comment = line.trim_start().starts_with("//");
                if let Some(word) = rule.words.iter().find(|word| !is_comment && line.contains(**word)) {
                    broken.push(format!("{}:{} names {word}: {}", path.display(), number + 1, rule.why));
                }
            }
        }
    }
    nothing_broken(&broken);
}

#[test]
fn every_version_stands_once_in_the_root() {
    let mut broken = Vec::new();
    for package in metadata().workspace_packages() {
        let text = fs::read_to_string(&package.manifest_path).expect("a manifest is readable");
        let mut in_dependencies = false;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_prefix('[') {
                in_dependencies = section.trim_end_matches(']').ends_with("dependencies")
                    && section != "workspace.dependencies]";
            } else if in_dependencies
                && !line.contains("workspace = true")
                && !line.contains("{ path = \"..\" }")
            {
                broken.push(format!(
                    "{}: {line}: versions stand in the workspace's Cargo.toml, once",
                    package.name
                ));
            }
        }
    }
    nothing_broken(&broken);
}

#[test]
fn a_file_holds_one_idea() {
    let mut broken = Vec::new();
    for file in rust_files(&root()) {
        let lines = fs::read_to_string(&file).expect("a source file is readable").lines().count();
        if lines > MOST_LINES {
            broken.push(format!("{}: {lines} lines: look for the second idea", file.display()));
        }
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        if ["utils", "util", "common", "helpers", "misc", "manager"].contains(&stem.as_ref()) {
            broken.push(format!("{}: a name that says nothing about what is inside", file.display()));
        }
    }
    nothing_broken(&broken);
}
