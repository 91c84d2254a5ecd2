//! A running system with a merchant whose phones are served by somebody else's push server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use geopush_fleet::PushServer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binary::binary;
use crate::http::{Client, Place, until};
use crate::process::Process;

pub struct House {
    process: Process,
    pub api: Client,
    dir: TempDir,
}

impl House {
    /// One that trusts this authority, too.
    pub fn start(ca: &Path) -> Self {
        let dir = TempDir::new().expect("a directory");
        let arguments = vec![format!("--provider-ca={}", ca.display()), "--allow-provider-urls".to_owned()];
        let process = Process::new("all", binary(), arguments, dir.path());
        let created = process.command(&["tenant", "create", "merchant"]).output().expect("the binary runs");
        let keys: Value = serde_json::from_slice(&created.stdout).expect("keys as JSON");
        process.start();
        until("the system is ready", || {
            process.look();
            process.is_ready().then_some(())
        });
        let api = Client::new(&process.api, keys["secret_key"].as_str());
        Self { process, api, dir }
    }

    /// An app whose pushes go to this server.
    pub fn put_app(&self, server: &PushServer, name: &str, mut app: Value) {
        app["apns"]["base_url"] = json!(server.url());
        app["apns"]["environment"] = json!("production");
        self.api.insist(201, "PUT", &format!("/v1/apps/{name}"), Some(&app));
    }

    /// A phone of an app, with this token; known already or not.
    pub fn phone(&self, device: &str, app: &str, token: &str) {
        let body = json!({"platform": "ios", "app": app, "push_token": token});
        let path = format!("/v1/devices/{device}");
        until("a phone is registered", || {
            let answer = self.api.call("PUT", &path, &[], Some(&body)).ok()?;
            matches!(answer.status, 200 | 201).then_some(())
        });
    }

    /// Phones with these names and tokens, by several hands.
    pub fn phones(&self, app: &str, phones: &[(String, String)]) {
        std::thread::scope(|threads| {
            for some in phones.chunks(phones.len().div_ceil(4)) {
                threads.spawn(move || some.iter().for_each(|(device, token)| self.phone(device, app, token)));
            }
        });
    }

    /// Registers so many phones, sends to them all, and has every push accepted. Gives the pushes' ids.
    pub fn serve_a_crowd(&self, app: &str, size: usize) -> BTreeSet<String> {
        let phones: Vec<_> = (0..size).map(|n| (format!("phone-{n}"), token(n))).collect();
        self.phones(app, &phones);
        let devices: Vec<&str> = phones.iter().map(|(device, _)| device.as_str()).collect();
        let send = self.send(app, &devices, &message());
        let ended = self.ended(&send, 0);
        assert_eq!(ended["accepted"], json!(size), "each has its one outcome: {ended}");
        let id = |row: &Value| row["push_id"].as_str().expect("an id").to_owned();
        let ids: BTreeSet<_> = self.rows(&send).values().map(id).collect();
        assert_eq!(ids.len(), size);
        ids
    }

    /// Sends a message to devices of an app. Gives the send's id.
    pub fn send(&self, app: &str, devices: &[&str], message: &Value) -> String {
        let body = json!({"app": app, "device_ids": devices, "message": message});
        let send = self.api.insist(202, "POST", "/v1/sends", Some(&body));
        send["id"].as_str().expect("an id").to_owned()
    }

    /// The send once all but so many of its pushes have ended; it must add up at every look.
    pub fn ended(&self, send: &str, but: i64) -> Value {
        until("the pushes have ended", || {
            let send = self.api.insist(200, "GET", &format!("/v1/sends/{send}"), None);
            let count = |name: &str| send[name].as_i64().expect("a count");
            let ended: i64 = ["accepted", "failed", "suppressed", "expired"].into_iter().map(count).sum();
            assert_eq!(count("targeted"), ended + count("pending"), "{send}");
            (ended > 0 && count("pending") == but).then_some(send)
        })
    }

    /// The rows of a send's pushes, by device; one each.
    pub fn rows(&self, send: &str) -> BTreeMap<String, Value> {
        let mut of_device = BTreeMap::new();
        for row in self.api.rows(&format!("/v1/deliveries?send_id={send}")) {
            let device = row["device_id"].as_str().expect("a device").to_owned();
            assert!(of_device.insert(device, row.clone()).is_none(), "a second row: {row}");
        }
        of_device
    }

    /// The sum of a metric's lines.
    pub fn metric(&self, name: &str) -> u64 {
        let listing = std::fs::read(self.process.data().join("addresses.json")).expect("a running process");
        let addresses: Value = serde_json::from_slice(&listing).expect("JSON");
        let admin = Place::at(&format!("http://{}", addresses["admin"].as_str().expect("an address")));
        let page = Client::new(&admin, None).insist(200, "GET", "/metrics", None);
        let lines = page.as_str().expect("text").lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<u64>().ok()).expect("a count")).sum()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("all.log")).unwrap_or_default();
            let from = log.lines().count().saturating_sub(30);
            eprintln!(
                "the end of the system's log:\n{}",
                log.lines().skip(from).collect::<Vec<_>>().join("\n")
            );
        }
    }
}

/// A token as Apple makes them.
pub fn token(number: usize) -> String {
    format!("a0{number:062x}")
}

/// A message, as merchants write them.
pub fn message() -> Value {
    json!({"title": "Hello", "body": "A coffee \u{2615} is on us", "data": {"offer": "7"}, "ttl_s": 3_600})
}
