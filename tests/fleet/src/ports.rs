//! Ports that a server keeps over its restarts.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::{FleetError, home};

/// Below what systems give to outgoing connections: a client that tries a dead server's port again and again would
/// in the end be given that very port, and talk to itself.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port of the loopback address that no other harness takes while this lives.
#[derive(Debug)]
pub(crate) struct Port {
    pub number: u16,
    /// Locked: freed when the process ends, however it does.
    _claim: File,
}

impl Port {
    pub fn take() -> Result<Self, FleetError> {
        static TAKEN: AtomicU16 = AtomicU16::new(0);
        let dir = home().join("ports");
        fs::create_dir_all(&dir).map_err(FleetError::io("create", &dir))?;
        // Processes start apart, so that they seldom meet.
        let start = (std::process::id() % u32::from(COUNT)) * 37;
        loop {
            let step = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
            let offset = (start + step) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).expect("COUNT is a u16");
            let path = dir.join(number.to_string());
            let claim = File::create(&path).map_err(FleetError::io("create", &path))?;
            if claim.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _claim: claim });
            }
        }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}
