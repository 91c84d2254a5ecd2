//! A server's jars: had once through Maven, checked against the project's sums each time.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ring::digest::{Context, SHA256};

use crate::{FleetError, home};

const DOWNLOAD_AT_MOST: Duration = Duration::from_secs(600);

/// A server that consists of jars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// Apache Kafka with its tools.
    Kafka,
    /// Apache Cassandra.
    Cassandra,
    /// pushy with its mock of APNs, and a compiler.
    Pushy,
}

impl Product {
    /// As the files of `servers/` and the folder of its jars call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
            Self::Pushy => "pushy",
        }
    }

    /// The SHA-256 of each of its jars, in the form of `sha256sum`.
    pub fn sums(self) -> &'static str {
        match self {
            Self::Kafka => include_str!("../servers/kafka.sha256"),
            Self::Cassandra => include_str!("../servers/cassandra.sha256"),
            Self::Pushy => include_str!("../servers/pushy.sha256"),
        }
    }

    fn pom(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("servers/{}.pom.xml", self.name()))
    }
}

/// A folder that holds a server's jars and nothing else.
#[derive(Debug, Clone)]
pub struct Jars {
    dir: PathBuf,
}

impl Jars {
    /// The jars of `product`, downloaded when they are not here yet. Several processes may call this at once.
    pub fn of(product: Product) -> Result<Self, FleetError> {
        let home = home();
        fs::create_dir_all(&home).map_err(FleetError::io("create", &home))?;
        let lock = home.join(format!("{}.lock", product.name()));
        let held = File::create(&lock).map_err(FleetError::io("create", &lock))?;
        held.lock().map_err(FleetError::io("lock", &lock))?;

        let dir = home.join(product.name());
        if !dir.exists() {
            let part = tempfile::tempdir_in(&home).map_err(FleetError::io("create a folder in", &home))?;
            download(product, part.path())?;
            check(product, part.path())?;
            let part = part.keep();
            fs::rename(&part, &dir).map_err(FleetError::io("rename", &part))?;
        }
        Self::at(product, &dir)
    }

    /// The jars of `product` in `dir`, if they are the ones that the project names.
    pub fn at(product: Product, dir: &Path) -> Result<Self, FleetError> {
        check(product, dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// What Java's `-cp` takes.
    pub(crate) fn class_path(&self) -> OsString {
        self.dir.join("*").into_os_string()
    }

    /// The jars one by one, for what does not read a star.
    pub(crate) fn list(&self) -> Result<OsString, FleetError> {
        let mut list = OsString::new();
        for entry in fs::read_dir(&self.dir).map_err(FleetError::io("list", &self.dir))? {
            let path = entry.map_err(FleetError::io("list", &self.dir))?.path();
            list.push(path);
            list.push(":");
        }
        Ok(list)
    }
}

fn download(product: Product, to: &Path) -> Result<(), FleetError> {
    let said = tempfile::NamedTempFile::new().map_err(FleetError::io("create a file in", &home()))?;
    let output = || said.reopen().map_err(FleetError::io("open", said.path()));
    let mut target = OsString::from("-DoutputDirectory=");
    target.push(to);
    let started = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(product.pom())
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(target)
        .stdin(Stdio::null())
        .stdout(output()?)
        .stderr(output()?)
        .spawn();
    let mut maven = started.map_err(|error| FleetError::Missing {
        what: format!("mvn, which downloads {}, does not start ({error})", product.name()),
        package: "maven",
        otherwise: "or `brew install maven`",
    })?;
    let deadline = Instant::now() + DOWNLOAD_AT_MOST;
    let ended = loop {
        match maven.try_wait().map_err(FleetError::io("wait for", Path::new("mvn")))? {
            Some(status) => break status.success(),
            None if Instant::now() > deadline => break false,
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    if ended {
        return Ok(());
    }
    // It may have ended just now.
    let _ = maven.kill();
    let _ = maven.wait();
    let text = fs::read_to_string(said.path()).unwrap_or_default();
    let from = text.lines().count().saturating_sub(20);
    let said = text.lines().skip(from).collect::<Vec<_>>().join("\n");
    Err(FleetError::Download { product: product.name(), said })
}

/// Each jar that the project names is in `dir` with its sum, and nothing else is.
fn check(product: Product, dir: &Path) -> Result<(), FleetError> {
    let wrong = |what: String| FleetError::Jars { product: product.name(), what, at: dir.to_owned() };
    let mut named: BTreeMap<&str, &str> = product
        .sums()
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, jar)| (jar, sum))
        .collect();
    for entry in fs::read_dir(dir).map_err(FleetError::io("list", dir))? {
        let path = entry.map_err(FleetError::io("list", dir))?.path();
        let jar = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(expected) = named.remove(jar.as_str()) else {
            return Err(wrong(format!("{jar} is not among them")));
        };
        let found = sha256(&path).map_err(FleetError::io("read", &path))?;
        if found != expected {
            return Err(wrong(format!("{jar} has the SHA-256 {found}, and should have {expected}")));
        }
    }
    match named.keys().next() {
        Some(jar) => Err(wrong(format!("{jar} is missing"))),
        None => Ok(()),
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(context.finish())),
            read => context.update(&buffer[..read]),
        }
    }
}
