//! The Java that runs the servers.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::FleetError;
use crate::jars::{Jars, Product};

const OTHERWISE: &str = "or point JAVA_HOME at one from https://adoptium.net";

/// The `java` of `JAVA_HOME`, else that of `PATH`.
fn program() -> PathBuf {
    match std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home).join("bin/java"),
        None => "java".into(),
    }
}

/// What a server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be right for some minutes on few cores: quick to compile matters more than fast when compiled.
    Test,
    /// To be measured, as it would run in production.
    Measure,
}

/// A command that runs one of the classes of `jars`, still without the class: options come first.
pub(crate) fn with(jars: &Jars, purpose: Purpose) -> Command {
    with_classes(jars, purpose, None)
}

/// The same, with classes of our own beside those of `jars`.
pub(crate) fn with_classes(jars: &Jars, purpose: Purpose, classes: Option<&Path>) -> Command {
    let mut command = Command::new(program());
    command.arg("-XX:+UseSerialGC");
    if purpose == Purpose::Test {
        command.arg("-XX:TieredStopAtLevel=1");
    }
    let mut path = jars.class_path();
    if let Some(classes) = classes {
        path.push(":");
        path.push(classes);
    }
    command.arg("-cp").arg(path);
    command
}

/// Compiles a source by the compiler that is among `jars`: not every Java has one.
pub(crate) fn compile(jars: &Jars, source: &Path, to: &Path) -> Result<(), FleetError> {
    let mut command = with(jars, Purpose::Test);
    command.arg("org.eclipse.jdt.internal.compiler.batch.Main").args(["-17", "-nowarn", "-d"]).arg(to);
    let output = command.arg("-cp").arg(jars.list()?).arg(source).output();
    let output = output.map_err(FleetError::io("compile", source))?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Err(FleetError::Server { server: source.display().to_string(), what: "does not compile".to_owned(), log })
}

/// Refuses a Java that `product` does not run on, before it says so in a way that only its authors understand.
pub(crate) fn check(product: Product) -> Result<(), FleetError> {
    let missing = |what: String| {
        Err(FleetError::Missing { what, package: "openjdk-17-jre-headless", otherwise: OTHERWISE })
    };
    let program = program();
    let output = match Command::new(&program).arg("-version").output() {
        Ok(output) => output,
        Err(error) => return missing(format!("{} does not start ({error})", program.display())),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    match (product, major(&said)) {
        // Cassandra needs the security manager, which later versions do without.
        (Product::Cassandra, Some(17)) | (Product::Kafka | Product::Pushy, Some(17..)) => Ok(()),
        (Product::Cassandra, found) => missing(format!("Cassandra needs Java 17, here is {}", name(found))),
        (Product::Kafka, found) => missing(format!("Kafka needs Java 17 or later, here is {}", name(found))),
        (Product::Pushy, found) => missing(format!("pushy needs Java 17 or later, here is {}", name(found))),
    }
}

fn name(major: Option<u32>) -> String {
    major.map_or_else(|| "none that says its version".to_owned(), |major| format!("Java {major}"))
}

/// The 17 of `openjdk version "17.0.15" 2025-04-15`; the 1 of `"1.8.0_412"`.
fn major(said: &str) -> Option<u32> {
    let version = said.split('"').nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn a_java_says_its_version_in_many_ways() {
        for (said, expected) in [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime", Some(17)),
            ("openjdk version \"21\" 2023-09-19", Some(21)),
            ("openjdk version \"25-ea\" 2025-09-16", Some(25)),
            ("java version \"1.8.0_412\"", Some(1)),
            ("command not found", None),
        ] {
            assert_eq!(major(said), expected, "{said}");
        }
    }
}
