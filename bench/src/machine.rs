//! Where a bench ran: numbers mean nothing without it.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Where a bench ran, and what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as the system names it.
    pub cpu: String,
    /// How many threads run at once.
    pub cores: usize,
    /// The memory of the machine, in bytes; 0 if unknown.
    pub memory_bytes: u64,
    /// The system and its version.
    pub os: String,
    /// `release` or `debug`: only release builds are worth a number.
    pub profile: String,
    /// The version that was measured.
    pub version: String,
    /// The commit that was checked out, `+` behind it if files were changed; empty if unknown.
    pub commit: String,
}

impl Machine {
    /// This machine. What can't be found out is left empty.
    pub fn here() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: field(&cpus, "model name").unwrap_or(std::env::consts::ARCH).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field(&memory, "MemTotal").and_then(kilobytes).unwrap_or(0),
            os: format!("{} {}", std::env::consts::OS, kernel.trim()).trim().to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: git(&["describe", "--always", "--dirty=+", "--exclude=*"]).unwrap_or_default(),
        }
    }
}

/// The value of the first `name: value` line.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|pair| pair.0.trim() == name).map(|pair| pair.1.trim())
}

/// Reads `123 kB` as bytes.
pub(crate) fn kilobytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

fn git(arguments: &[&str]) -> Option<String> {
    let told = Command::new("git").args(arguments).output().ok().filter(|told| told.status.success())?;
    Some(String::from_utf8(told.stdout).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_by_their_whole_name() {
        let text = "MemTotalHuge:  1 kB\nMemTotal:       8123 kB\n";
        assert_eq!(field(text, "MemTotal").and_then(kilobytes), Some(8_123 * 1_024));
        assert_eq!(field(text, "Mem"), None);
    }
}
