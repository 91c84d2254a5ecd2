//! A send to thousands while processes die: its phones, how it must look at any moment, and what must come of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::Client;

/// Slow enough to die in the middle of it, at each provider.
const PER_MINUTE: u32 = 60 * 250;
/// One phone of so many has a dead token.
const DEAD_EVERY: usize = 50;

fn phone(n: usize) -> Value {
    let (platform, token) = match (n % 2, n.is_multiple_of(DEAD_EVERY)) {
        (0, true) => ("android", format!("unregistered-{n}")),
        (0, false) => ("android", format!("token-{n}")),
        (_, _) => ("ios", format!("a0{n:062x}")),
    };
    json!({"platform": platform, "app": "shop", "push_token": token})
}

/// So many phones of a merchant, and a send to all of them.
pub struct Crowd {
    api: Client,
    phones: usize,
    path: String,
    /// The counts of the last look.
    before: BTreeMap<&'static str, i64>,
}

impl Crowd {
    /// Registers the phones with the merchant's app, which is there or not, and asks for the send.
    pub fn begin(api: &Client, mut app: Value, phones: usize) -> Self {
        for provider in ["fcm", "apns"] {
            app[provider]["per_minute"] = json!(PER_MINUTE);
        }
        let put = api.call("PUT", "/v1/apps/shop", &[], Some(&app)).expect("an answer");
        assert!(matches!(put.status, 200 | 201), "{}: {}", put.status, put.body);
        std::thread::scope(|threads| {
            for thread in 0..4 {
                threads.spawn(move || {
                    for n in (thread..phones).step_by(4) {
                        api.insist(201, "PUT", &format!("/v1/devices/phone-{n}"), Some(&phone(n)));
                    }
                });
            }
        });
        let body = json!({"app": "shop", "audience": {"all": []}, "message": {"title": "Hello"}});
        let send = api.insist(202, "POST", "/v1/sends", Some(&body));
        let path = format!("/v1/sends/{}", send["id"].as_str().expect("an id"));
        Self { api: api.clone(), phones, path, before: BTreeMap::new() }
    }

    /// How many of the phones can be reached.
    pub fn reachable(&self) -> usize {
        self.phones - self.dead()
    }

    fn dead(&self) -> usize {
        self.phones.div_ceil(DEAD_EVERY)
    }

    /// The send as the API tells of it, whose counts must add up and only grow; none while nobody answers.
    pub fn look(&mut self) -> Option<Value> {
        let answer = self.api.call("GET", &self.path, &[], None).ok().filter(|a| a.status == 200)?;
        let send = answer.body;
        let count = |name: &str| send[name].as_i64().expect("a count");
        let ends = ["accepted", "failed", "suppressed", "expired"];
        let sum = ends.iter().map(|name| count(name)).sum::<i64>() + count("pending");
        assert_eq!(count("targeted"), sum, "{send}");
        for name in ["targeted", "accepted", "failed", "suppressed", "expired"] {
            let before = self.before.insert(name, count(name)).unwrap_or(0);
            assert!(before <= count(name), "{name} was {before}: {send}");
        }
        Some(send)
    }

    /// Fails unless the send that is `done` went to every phone that can be reached, is told of in one row each, and the
    /// providers took what the rows say; `taken`: the ids of what they took. Gives how many they took again.
    pub fn judge(&self, done: &Value, taken: impl IntoIterator<Item = String>) -> u64 {
        let counts = [
            ("targeted", self.phones),
            ("accepted", self.reachable()),
            ("failed", self.dead()),
            ("suppressed", 0),
            ("expired", 0),
            ("pending", 0),
        ];
        for (name, count) in counts {
            assert_eq!(done[name], json!(count), "{name}: {done}");
        }
        let send = self.path.rsplit('/').next().expect("an id");
        let rows = self.api.rows(&format!("/v1/deliveries?send_id={send}"));
        let of = |outcome: &str| rows.iter().filter(|row| row["outcome"] == outcome).count();
        let expected = (self.phones, self.reachable(), self.dead());
        assert_eq!((rows.len(), of("accepted"), of("failed")), expected, "one row each");
        let mut times: BTreeMap<String, u64> = BTreeMap::new();
        for id in taken {
            *times.entry(id).or_default() += 1;
        }
        assert_eq!(times.len(), self.reachable(), "the providers took what the rows say");
        for row in &rows {
            let is_taken = times.contains_key(row["push_id"].as_str().expect("an id"));
            assert_eq!(is_taken, row["outcome"] == "accepted", "{row}");
        }
        times.values().map(|times| times - 1).sum()
    }
}
