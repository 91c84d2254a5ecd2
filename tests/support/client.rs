//! Plain HTTP with JSON, as a merchant's script or a phone speaks it.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use ureq::http::{Method, Request};

use super::{PATIENCE, until};

/// Where a listener is now: clients of a system that is started again find it there.
#[derive(Clone, Default)]
pub struct Place(Arc<Mutex<String>>);

impl Place {
    pub fn at(address: &str) -> Self {
        let place = Self::default();
        place.moves_to(address);
        place
    }

    pub fn moves_to(&self, address: &str) {
        *self.0.lock().expect("no holder panics") = address.to_owned();
    }

    /// Its URL.
    pub fn now(&self) -> String {
        self.0.lock().expect("no holder panics").clone()
    }
}

/// One listener, spoken to with one key. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    place: Place,
    key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub etag: Option<String>,
    pub body: Value,
}

impl Client {
    pub fn new(place: &Place, key: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build();
        Self { agent: config.into(), place: place.clone(), key: key.map(str::to_owned) }
    }

    /// One try, with further headers. An error is a connection that did not bring an answer.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, ureq::Error> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.place.now()));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).expect("a request"))?
            }
            None => self.agent.run(request.body(()).expect("a request"))?,
        };
        let text = response.body_mut().with_config().limit(256 << 20).read_to_string()?;
        let etag = response.headers().get("etag").and_then(|v| v.to_str().ok()).map(str::to_owned);
        // A page of text, such as /metrics, is a string.
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status: response.status().as_u16(), etag, body })
    }

    /// The answer's body; fails unless it comes with this status at the first try.
    pub fn expect(&self, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.call(method, path, &[], body).expect("the listener answers");
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        answer.body
    }

    pub fn get(&self, path: &str) -> Value {
        self.expect(200, "GET", path, None)
    }

    /// The answer's body; asked again while the server is busy or gone, as a phone does.
    pub fn insist(&self, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
        until(&format!("{method} {path}"), || match self.call(method, path, &[], body) {
            Ok(answer) if answer.status == 429 || answer.status >= 500 => None,
            Ok(answer) => {
                assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
                Some(answer.body)
            }
            Err(_) => None,
        })
    }

    /// Every row of a listing.
    pub fn rows(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut rows, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.insist(200, "GET", &format!("{path}{joint}limit=1000{cursor}"), None);
            rows.extend(page["data"].as_array().expect("a page has data").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return rows,
            }
        }
    }
}
