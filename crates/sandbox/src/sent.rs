//! The pushes that were accepted, newest last, bounded: the oldest are forgotten.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use tokio::sync::Notify;

/// Whose stand-in took a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// Firebase Cloud Messaging.
    Fcm,
    /// Apple Push Notification service.
    Apns,
}

/// A push that was accepted: what its phone would have been shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sent {
    /// Its place in the order of acceptance, from 1; over both providers.
    pub seq: u64,
    /// Whose stand-in took it.
    pub provider: Provider,
    /// The device token (for FCM also an installation id); for FCM topics `/topics/NAME`, for FCM conditions the condition.
    pub token: String,
    /// The title shown; empty when the push has none.
    pub title: String,
    /// The text shown; empty when the push has none.
    pub body: String,
    /// FCM: `message.data`, with `android.data` over it. APNs: the payload's members beside `aps`.
    pub data: Map<String, Value>,
    /// What else the phone was told, by the provider's own names: FCM's `android` with its notification's members,
    /// `webpush`, `apns` and `image`; APNs's other members of `aps`, and the headers after `apns-`.
    pub options: Map<String, Value>,
    /// `geopush_push_id` of `data`, else the `apns-id`.
    pub push_id: Option<String>,
    /// When it was accepted.
    #[serde(serialize_with = "milliseconds")]
    pub received_at: Timestamp,
}

fn milliseconds<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}

/// An accepted push as it is kept: the body as it came, read again only when somebody asks.
#[derive(Debug)]
pub(crate) enum Accepted {
    Fcm { body: Box<[u8]> },
    Apns { token: Box<str>, apns_id: Box<str>, headers: Vec<(&'static str, Box<str>)>, payload: Box<[u8]> },
}

#[derive(Debug)]
struct Kept {
    received_ms: i64,
    accepted: Accepted,
}

#[derive(Debug, Default)]
struct Ring {
    entries: VecDeque<Arc<Kept>>,
    /// How many were ever accepted; the seq of the newest.
    count: u64,
    last_ms: i64,
}

impl Ring {
    /// How many are no longer remembered; one less than the seq of the oldest entry.
    fn forgotten(&self) -> u64 {
        self.count - self.entries.len() as u64
    }
}

/// A page of accepted pushes.
#[derive(Debug)]
pub(crate) struct Page {
    pub sent: Vec<Sent>,
    /// Pushes that are no longer remembered.
    pub forgotten: u64,
}

/// Where to read on from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum After {
    Seq(u64),
    Time(Timestamp),
}

#[derive(Debug)]
pub(crate) struct SentLog {
    kept: usize,
    ring: Mutex<Ring>,
    count: AtomicU64,
    arrived: Notify,
}

impl SentLog {
    pub(crate) fn new(kept: usize) -> Self {
        Self { kept, ring: Mutex::default(), count: AtomicU64::new(0), arrived: Notify::new() }
    }

    pub(crate) fn push(&self, now_ms: i64, accepted: Accepted) {
        let forgotten = {
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            // The wall clock may step back; the order of `received_at` is what readers page by.
            ring.last_ms = ring.last_ms.max(now_ms);
            let received_ms = ring.last_ms;
            ring.count += 1;
            self.count.store(ring.count, Ordering::Release);
            ring.entries.push_back(Arc::new(Kept { received_ms, accepted }));
            if ring.entries.len() > self.kept { ring.entries.pop_front() } else { None }
        };
        // Freed outside the lock.
        drop(forgotten);
        self.arrived.notify_waiters();
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// True once `count` pushes were accepted, false when that took longer than `timeout`.
    pub(crate) async fn wait_for(&self, count: u64, timeout: Duration) -> bool {
        let reached = async {
            loop {
                let arrived = self.arrived.notified();
                tokio::pin!(arrived);
                arrived.as_mut().enable();
                if self.count() >= count {
                    return;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(timeout, reached).await.is_ok()
    }

    pub(crate) fn latest(&self, n: usize) -> Vec<Sent> {
        let after = self.count().saturating_sub(n as u64);
        self.page(After::Seq(after), n).sent
    }

    pub(crate) fn page(&self, after: After, limit: usize) -> Page {
        let (first, kept, forgotten) = {
            let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            let forgotten = ring.forgotten();
            let skip = match after {
                After::Seq(seq) => usize::try_from(seq.saturating_sub(forgotten)).unwrap_or(usize::MAX),
                After::Time(at) => {
                    ring.entries.partition_point(|kept| kept.received_ms <= at.as_millisecond())
                }
            }
            .min(ring.entries.len());
            let kept: Vec<_> = ring.entries.range(skip..).take(limit).cloned().collect();
            (forgotten + skip as u64 + 1, kept, forgotten)
        };
        let sent = (first..).zip(kept).map(|(seq, kept)| read(seq, &kept)).collect();
        Page { sent, forgotten }
    }
}

fn read(seq: u64, kept: &Kept) -> Sent {
    let received_at = Timestamp::from_millisecond(kept.received_ms).unwrap_or(Timestamp::MAX);
    let sent = |provider, token, shown: Shown, data: Map<String, Value>, options, fallback: Option<&str>| {
        let push_id = push_id(&data).or(fallback).map(str::to_owned);
        Sent {
            seq,
            provider,
            token,
            title: shown.title,
            body: shown.body,
            data,
            options,
            push_id,
            received_at,
        }
    };
    match &kept.accepted {
        Accepted::Fcm { body } => {
            let request: Value = serde_json::from_slice(body).unwrap_or_default();
            let message = &request["message"];
            let options = fcm_told(message);
            sent(Provider::Fcm, fcm_target(message), fcm_shown(message), fcm_data(message), options, None)
        }
        Accepted::Apns { token, apns_id, headers, payload } => {
            let mut payload: Map<String, Value> = serde_json::from_slice(payload).unwrap_or_default();
            let aps = payload.remove("aps").unwrap_or_default();
            let shown = apns_shown(&aps);
            let options = apns_told(headers, &aps);
            sent(Provider::Apns, token.to_string(), shown, payload, options, Some(apns_id))
        }
    }
}

struct Shown {
    title: String,
    body: String,
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn fcm_target(message: &Value) -> String {
    let topic = || message["topic"].as_str().map(|name| format!("/topics/{name}"));
    let device = text(&message["token"]).or_else(|| text(&message["fid"]));
    device.or_else(topic).or_else(|| text(&message["condition"])).unwrap_or_default()
}

/// The notification that Android would show: its own over the common one.
fn fcm_shown(message: &Value) -> Shown {
    let member = |name: &str| {
        let of = |notification: &Value| text(&notification[name]);
        of(&message["android"]["notification"])
            .or_else(|| of(&message["notification"]))
            .or_else(|| of(&message["webpush"]["notification"]))
            .unwrap_or_default()
    };
    Shown { title: member("title"), body: member("body") }
}

fn fcm_data(message: &Value) -> Map<String, Value> {
    let mut data = message["data"].as_object().cloned().unwrap_or_default();
    if let Some(android) = message["android"]["data"].as_object() {
        data.extend(android.clone());
    }
    data
}

/// What FCM was told besides texts and data.
fn fcm_told(message: &Value) -> Map<String, Value> {
    let mut told = Map::new();
    for platform in ["android", "webpush", "apns", "fcm_options"] {
        if let Some(options) = message[platform].as_object() {
            told.insert(platform.to_owned(), Value::Object(options.clone()));
        }
    }
    if let Some(image) = message["notification"]["image"].as_str() {
        told.insert("image".to_owned(), image.into());
    }
    told
}

/// What APNs was told besides texts and data: `aps` without its title and body, and the headers.
fn apns_told(headers: &[(&'static str, Box<str>)], aps: &Value) -> Map<String, Value> {
    let mut told = aps.as_object().cloned().unwrap_or_default();
    if let Some(Value::Object(alert)) = told.remove("alert") {
        told.extend(alert.into_iter().filter(|(name, _)| name != "title" && name != "body"));
    }
    told.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(&**value))));
    told
}

fn apns_shown(aps: &Value) -> Shown {
    let alert = &aps["alert"];
    match alert.as_str() {
        Some(body) => Shown { title: String::new(), body: body.to_owned() },
        None => Shown {
            title: text(&alert["title"]).unwrap_or_default(),
            body: text(&alert["body"]).unwrap_or_default(),
        },
    }
}

fn push_id(data: &Map<String, Value>) -> Option<&str> {
    data.get("geopush_push_id").or_else(|| data.get("data")?.get("geopush_push_id"))?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn apns(payload: &str) -> Accepted {
        let headers = vec![("push-type", "alert".into())];
        Accepted::Apns {
            token: "ab".into(),
            apns_id: "the-id".into(),
            headers,
            payload: payload.as_bytes().into(),
        }
    }

    #[test]
    fn only_the_newest_are_remembered_and_their_numbers_stay() {
        let log = SentLog::new(2);
        for n in 0..5 {
            log.push(n, apns(r#"{"aps":{}}"#));
        }
        let page = log.page(After::Seq(0), 10);
        assert_eq!(page.sent.iter().map(|sent| sent.seq).collect::<Vec<_>>(), [4, 5]);
        assert_eq!((log.count(), page.forgotten), (5, 3));
        assert_eq!(log.latest(1)[0].seq, 5);
        assert!(log.page(After::Seq(5), 10).sent.is_empty());
    }

    #[test]
    fn a_clock_that_steps_back_does_not_break_paging_by_time() {
        let log = SentLog::new(10);
        for now_ms in [1000, 3000, 2000, 4000] {
            log.push(now_ms, apns(r#"{"aps":{}}"#));
        }
        let after = After::Time(Timestamp::from_millisecond(2000).unwrap());
        let seqs: Vec<_> = log.page(after, 10).sent.iter().map(|sent| sent.seq).collect();
        assert_eq!(seqs, [2, 3, 4]);
    }

    #[test]
    fn the_push_id_is_the_datas_and_else_the_apns_id() {
        let log = SentLog::new(10);
        log.push(0, apns(r#"{"aps":{"alert":"hi"},"geopush_push_id":"p1"}"#));
        log.push(0, apns(r#"{"aps":{"alert":{"title":"t","body":"b"}}}"#));
        let sent = log.latest(2);
        assert_eq!(sent[0].push_id.as_deref(), Some("p1"));
        assert_eq!((sent[0].title.as_str(), sent[0].body.as_str()), ("", "hi"));
        assert_eq!(sent[1].push_id.as_deref(), Some("the-id"));
        assert_eq!((sent[1].title.as_str(), sent[1].body.as_str()), ("t", "b"));
    }

    #[test]
    fn what_else_a_phone_is_told_is_kept() {
        let log = SentLog::new(10);
        log.push(0, apns(r#"{"aps":{"alert":{"title":"t","subtitle":"s"},"badge":3},"a":"b"}"#));
        let body =
            br##"{"message":{"token":"t","notification":{"title":"t","image":"https://i"},"data":{"a":"b"},
            "android":{"priority":"high","notification":{"color":"#112233"}}}}"##;
        log.push(0, Accepted::Fcm { body: body.as_slice().into() });
        let told: Vec<Value> = log.latest(2).into_iter().map(|sent| Value::Object(sent.options)).collect();
        assert_eq!(told[0], json!({"subtitle": "s", "badge": 3, "push-type": "alert"}));
        let android = json!({"priority": "high", "notification": {"color": "#112233"}});
        assert_eq!(told[1], json!({"image": "https://i", "android": android}));
    }
}
