//! Sending to a server that nobody here wrote: nghttp2's `nghttpd` in APNs's place, a file a phone. Where it is not
//! installed (Debian: `nghttp2-server`) this says that it did not run.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use geopush_model::{Outcome, Provider, Push, Reason};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use super::world::{APP, World, apns_token, changed, end};

/// A running `nghttpd`; it ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves `dir/files` with these options, and gives its address and certificate.
async fn nghttpd(dir: &Path, options: &[&str]) -> Option<(Server, String, String)> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Command::new("nghttpd")
        .arg(format!("--htdocs={}", dir.join("files").display()))
        .args(["--address=127.0.0.1"])
        .args(options)
        .arg(port.to_string())
        .args([dir.join("key.pem"), dir.join("cert.pem")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let server = match started {
        Ok(child) => Server(child),
        Err(_) => {
            // Past the capture of passing tests' output.
            let _ = writeln!(std::io::stderr(), "DID NOT RUN: there is no nghttpd (Debian: nghttp2-server)");
            return None;
        }
    };
    let up = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), up).await.unwrap();
    Some((server, format!("https://127.0.0.1:{port}"), cert.pem()))
}

#[tokio::test]
async fn a_server_of_others_gets_every_push_within_its_streams_and_its_refusals_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files/3/device");
    std::fs::create_dir_all(&files).unwrap();
    // Few streams, a small window, and frames with padding.
    let options = ["--max-concurrent-streams=7", "--window-bits=14", "--padding=37"];
    let Some((_server, url, ca_pem)) = nghttpd(dir.path(), &options).await else { return };
    let mut world = World::asleep().await;
    world.trust(&ca_pem);
    world.config.lanes.connections = 3;
    world.apps.put(APP, changed(world.sandbox.app_json(), "/apns/base_url", json!(url)));
    let known = 500;
    for n in 0..known {
        std::fs::write(files.join(apns_token(n)), "").unwrap();
    }
    let pushes: Vec<Push> = (0..known + 20).map(|n| world.push(Provider::Apns, &apns_token(n))).collect();
    world.publish(&pushes).await;
    world.send();
    let ends = world.ends(&pushes).await;
    for (n, delivery) in ends.iter().enumerate() {
        match n < known {
            true => assert_eq!(end(delivery), (Outcome::Accepted, None, 1), "{n}"),
            // Nobody says of what is not there that the phone's token is dead.
            false => assert_eq!(end(delivery), (Outcome::Failed, Some(Reason::ProviderError), 1), "{n}"),
        }
    }
}
