//! The provider's process, as the bench sees it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use geopush_registry::AppCredentials;
use geopush_service::BoxError;
use serde_json::json;
use tempfile::TempDir;

use super::server::{BODY, Hello};
use crate::usage::cpu_seconds_of;

/// A running provider; it ends with this.
pub struct Provider {
    child: Child,
    told: BufReader<ChildStdout>,
    dir: TempDir,
    hello: Hello,
}

impl Provider {
    /// Starts `program`, which is this one, as a provider.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(program: &Path) -> Result<Self, BoxError> {
        let dir = tempfile::tempdir()?;
        let mut child = Command::new(program)
            .arg("provider")
            .arg("--dir")
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("the provider's process has no output")?;
        let (mut told, mut line) = (BufReader::new(stdout), String::new());
        told.read_line(&mut line)?;
        let hello = serde_json::from_str(&line).map_err(|_| "the provider's process did not start")?;
        Ok(Self { child, told, dir, hello })
    }

    /// Where it listens: `https://host:port`.
    pub fn url(&self) -> &str {
        &self.hello.url
    }

    /// The certificate to trust it by.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The first push's body, once there was one.
    pub fn body(&self) -> PathBuf {
        self.dir.path().join(BODY)
    }

    /// An app that sends by it, in a project of its own.
    ///
    /// # Errors
    /// None that depends on its arguments.
    pub fn app(&self, project: &str) -> Result<AppCredentials, BoxError> {
        let mut account = self.hello.service_account.clone();
        account["project_id"] = json!(project);
        Ok(serde_json::from_value(json!({"fcm": {"service_account": account, "base_url": self.hello.url}}))?)
    }

    /// Ends it; gives how many pushes it took and refused, by project.
    ///
    /// # Errors
    /// When it does not end well.
    pub fn finish(mut self) -> Result<BTreeMap<String, [u64; 2]>, BoxError> {
        drop(self.child.stdin.take());
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(serde_json::from_str(&line).map_err(|_| "the provider's process did not end well")?)
    }

    /// Seconds of processor time that it has used.
    pub fn cpu_seconds(&self) -> f64 {
        cpu_seconds_of(&self.child.id().to_string())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
