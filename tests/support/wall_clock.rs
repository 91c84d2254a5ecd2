//! A wall clock that a test sets, for the real binary: what is due in a week is due at once, and nobody waits.
//!
//! The binary knows nothing of it. A few lines of C, loaded before its own libraries, answer it when it asks for the
//! time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::time::parse_rfc3339_ms;
use tempfile::TempDir;

/// The clock of all processes that are started by it.
pub struct WallClock {
    dir: TempDir,
}

impl WallClock {
    /// It shows this time (RFC 3339), and goes on from there.
    pub fn at(time: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/wall_clock.c");
        let clock = Self { dir };
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(clock.library())
            .arg(source)
            .output()
            .expect("a C compiler is there, as the build needs one");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        clock.set(time);
        clock
    }

    fn library(&self) -> PathBuf {
        self.dir.path().join("wall_clock.so")
    }

    fn ahead(&self) -> PathBuf {
        self.dir.path().join("ahead_s")
    }

    /// It is set to another time, never back: what is due between is due now.
    pub fn set(&self, time: &str) {
        let shown_ms = parse_rfc3339_ms(time).expect("a time");
        let ahead_s = (shown_ms - SystemClock.now_ms()).div_euclid(1_000);
        // In place: running processes look at these bytes.
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.ahead())
            .expect("a file");
        std::io::Write::write_all(&mut file, &ahead_s.to_ne_bytes()).expect("eight bytes");
    }

    /// What it shows now, in ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        let bytes = fs::read(self.ahead()).expect("the file").try_into().expect("eight bytes");
        SystemClock.now_ms() + i64::from_ne_bytes(bytes) * 1_000
    }

    /// Lets a process go by it.
    pub fn lead(&self, command: &mut Command) {
        command.env("LD_PRELOAD", self.library()).env("WALL_CLOCK_AHEAD_S", self.ahead());
    }
}
