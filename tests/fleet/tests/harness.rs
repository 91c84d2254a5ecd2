//! How servers are had, and that they end with whoever started them, however that went.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use geopush_fleet::{Jars, Product, home};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

fn servers() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_geopush-servers"));
    command.stdin(Stdio::null());
    command
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Folders of the servers that process `id` has started.
fn folders(id: u32) -> BTreeSet<PathBuf> {
    let mine = format!("run-{id}-");
    let entries = fs::read_dir(home()).expect("the cache is there").flatten();
    entries.filter(|e| e.file_name().to_string_lossy().starts_with(&mine)).map(|e| e.path()).collect()
}

#[test]
fn servers_and_their_files_are_gone_after_a_kill_of_what_started_them() {
    let mut parent =
        servers().arg("up").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addresses: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    let addresses = ["kafka", "cql"].map(|key| addresses[key].as_str().unwrap().to_owned());
    for address in &addresses {
        TcpStream::connect(address).expect("the server listens");
    }
    assert_eq!(folders(parent.id()).len(), 2);

    parent.kill().unwrap();
    parent.wait().unwrap();

    for address in &addresses {
        until("the server is gone", || TcpStream::connect(address).is_err());
    }
    until("its files are gone", || folders(parent.id()).is_empty());
}

#[test]
fn a_command_is_run_with_the_servers_and_its_end_is_passed_on() {
    let output = servers()
        .args(["with", "sh", "-c", "echo $FLEET_KAFKA $FLEET_CQL; exit 7"])
        .output()
        .expect("the binary starts");
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(said.split_whitespace().filter(|word| word.starts_with("127.0.0.1:")).count(), 2, "{said}");
}

/// A folder of programs in which `mvn` does what `script` says, with the folder it should fill in `$to`.
fn with_maven(script: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder can be made");
    let mvn = dir.path().join("mvn");
    let text = format!("#!/bin/sh\nfor to; do :; done\nto=${{to#-DoutputDirectory=}}\n{script}\n");
    fs::write(&mvn, text).expect("the folder takes files");
    fs::set_permissions(&mvn, fs::Permissions::from_mode(0o755)).expect("it is ours");
    dir
}

/// `geopush-servers get` with an empty cache at `target`, and the programs of `path` before the machine's.
fn get(target: &Path, path: &Path) -> Command {
    let mut command = servers();
    let system = std::env::var("PATH").expect("there is a PATH");
    command.arg("get").env("CARGO_TARGET_DIR", target).env("PATH", format!("{}:{system}", path.display()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn complaint(mut command: Command) -> String {
    let output = command.output().expect("the binary starts");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn processes_that_start_at_once_download_once() {
    Jars::of(Product::Kafka).unwrap();
    Jars::of(Product::Cassandra).unwrap();
    let target = tempfile::tempdir().unwrap();
    let calls = target.path().join("calls");
    let maven = with_maven(&format!(
        "echo call >>'{}'; case $* in *kafka*) from=kafka;; *) from=cassandra;; esac; cp '{}'/$from/* \"$to\"",
        calls.display(),
        home().display()
    ));

    let running: Vec<_> = (0..3).map(|_| get(target.path(), maven.path()).spawn().unwrap()).collect();
    for process in running {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fs::read_to_string(calls).unwrap().lines().count(), 2, "one download of each server");
}

#[test]
fn a_broken_download_is_found_and_not_kept() {
    let target = tempfile::tempdir().unwrap();
    let maven = with_maven("echo broken >\"$to/kafka_2.13-4.1.0.jar\"");
    for _ in 0..2 {
        let complaint = complaint(get(target.path(), maven.path()));
        assert!(complaint.contains("kafka_2.13-4.1.0.jar has the SHA-256"), "{complaint}");
        assert!(complaint.contains("try again"), "{complaint}");
    }
    assert!(!target.path().join("servers/kafka").exists());
}

#[test]
fn what_maven_complains_of_is_passed_on() {
    let target = tempfile::tempdir().unwrap();
    let maven = with_maven("echo 'Could not transfer artifact'; exit 1");
    let complaint = complaint(get(target.path(), maven.path()));
    assert!(complaint.contains("could not get kafka"), "{complaint}");
    assert!(complaint.contains("Could not transfer artifact"), "{complaint}");
}

#[test]
fn a_missing_program_is_an_error_that_says_how_to_get_it() {
    let target = tempfile::tempdir().unwrap();
    let mut without_maven = servers();
    without_maven.arg("get").env("CARGO_TARGET_DIR", target.path()).env("PATH", "/nowhere");
    let said = complaint(without_maven);
    assert!(said.contains("apt-get install maven"), "{said}");

    let mut without_java = servers();
    without_java.arg("up").env_remove("JAVA_HOME").env("PATH", "/nowhere");
    let said = complaint(without_java);
    assert!(said.contains("apt-get install openjdk-17-jre-headless"), "{said}");
}

#[test]
fn jars_that_the_project_does_not_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |dir: &Path| Jars::at(Product::Cassandra, dir).unwrap_err().to_string();
    assert!(refused(dir.path()).contains("is missing"), "{}", refused(dir.path()));

    let jar = "cassandra-all-5.0.5.jar";
    fs::write(dir.path().join(jar), "forged").unwrap();
    assert!(refused(dir.path()).contains(&format!("{jar} has the SHA-256")), "{}", refused(dir.path()));

    fs::rename(dir.path().join(jar), dir.path().join("more.jar")).unwrap();
    assert!(refused(dir.path()).contains("more.jar is not among them"), "{}", refused(dir.path()));
}
