//! pushy's `MockApnsServer`, which checks the path, the token, the topic, the ids, the priority, the type, the size, and
//! who signed for it.

use std::collections::BTreeMap;
use std::path::Path;

use geopush_fleet::PushServer;
use geopush_service::clock::{Clock as _, SystemClock};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::{House, message, token};

const TOPIC: &str = "com.example.shop";
/// By this name Apple's certificates tell their topic (RFC 4519, `uid`).
const UID: [u64; 7] = [0, 9, 2342, 19_200_300, 100, 1, 1];
const HOUR_MS: i64 = 3_600_000;

/// How a push must end: outcome, reason, attempts; and whether its phone's token is kept.
type End = (&'static str, Option<&'static str>, u64, bool);
const TAKEN: End = ("accepted", None, 1, true);
const AT_THE_SECOND_TRY: End = ("accepted", None, 2, true);
const DEAD: End = ("failed", Some("dead_token"), 1, false);

/// A phone, by what the server is told of it.
struct Phone {
    name: String,
    token: String,
    lines: String,
    end: End,
}

impl Phone {
    fn new(name: impl Into<String>, token: String, end: End) -> Self {
        let lines = format!("token {TOPIC} {token}\n");
        Self { name: name.into(), token, lines, end }
    }

    fn is(self, line: impl FnOnce(&str) -> String) -> Self {
        let lines = format!("{}{}\n", self.lines, line(&self.token));
        Self { lines, ..self }
    }

    fn unknown(self) -> Self {
        Self { lines: String::new(), ..self }
    }
}

fn phones() -> Vec<Phone> {
    let now_ms = SystemClock.now_ms();
    let mut phones: Vec<Phone> = (0..300).map(|n| Phone::new(format!("well-{n}"), token(n), TAKEN)).collect();
    for token in ["beef".to_owned(), "f".repeat(63), "g".repeat(64)] {
        phones.push(Phone::new(format!("bad-{token}"), token, DEAD).unknown());
    }
    phones.extend((1_000..1_003).map(|n| Phone::new(format!("elsewhere-{n}"), token(n), DEAD).unknown()));
    for n in 2_000..2_005 {
        let gone = Phone::new(format!("gone-{n}"), token(n), DEAD);
        phones.push(gone.is(|token| format!("dead {token} {}", now_ms + HOUR_MS)));
    }
    for n in 3_000..3_005 {
        // It has registered since then.
        let back = Phone::new(format!("back-{n}"), token(n), ("failed", Some("dead_token"), 1, true));
        phones.push(back.is(|token| format!("dead {token} {}", now_ms - HOUR_MS)));
    }
    let once: [(&str, End); 11] = [
        ("SERVICE_UNAVAILABLE", AT_THE_SECOND_TRY),
        ("INTERNAL_SERVER_ERROR", AT_THE_SECOND_TRY),
        ("SHUTDOWN", AT_THE_SECOND_TRY),
        ("IDLE_TIMEOUT", AT_THE_SECOND_TRY),
        ("TOO_MANY_REQUESTS", AT_THE_SECOND_TRY),
        ("EXPIRED_PROVIDER_TOKEN", AT_THE_SECOND_TRY),
        ("BAD_COLLAPSE_ID", ("failed", Some("bad_message"), 1, true)),
        ("BAD_TOPIC", ("failed", Some("bad_credentials"), 1, true)),
        ("DUPLICATE_HEADERS", ("failed", Some("provider_error"), 1, true)),
        ("PAYLOAD_TOO_LARGE", ("failed", Some("too_large"), 1, true)),
        ("UNREGISTERED", DEAD),
    ];
    for (n, (reason, end)) in once.into_iter().enumerate() {
        let phone = Phone::new(format!("once-{reason}"), token(4_000 + n), end);
        phones.push(phone.is(|token| format!("once {token} {reason}")));
    }
    phones
}

/// An app with a key of its own, and the line by which the server knows the key.
fn with_key(dir: &Path, id: &str, team: &str) -> (Value, String) {
    let key = KeyPair::generate().expect("a key of P-256");
    let file = dir.join(format!("{id}.pem"));
    std::fs::write(&file, key.public_key_pem()).expect("a file");
    let private_key = key.serialize_pem();
    let apns = json!({"team_id": team, "key_id": id, "topic": TOPIC, "private_key": private_key});
    (json!({ "apns": apns }), format!("key {id} {team} {} {TOPIC}\n", file.display()))
}

/// An app with a certificate, and the line by which the server trusts it.
fn with_certificate(dir: &Path) -> (Value, String) {
    let key = KeyPair::generate().expect("a key of P-256");
    let mut certificate = CertificateParams::new(Vec::new()).expect("parameters");
    certificate.distinguished_name.push(DnType::CustomDnType(UID.to_vec()), TOPIC);
    let certificate = certificate.self_signed(&key).expect("a certificate").pem();
    let file = dir.join("clients.pem");
    std::fs::write(&file, &certificate).expect("a file");
    let apns = json!({"topic": TOPIC, "certificate": certificate, "private_key": key.serialize_pem()});
    (json!({ "apns": apns }), format!("clients {}\n", file.display()))
}

/// The lines of the pushes that a server took, by their ids.
fn taken(server: &PushServer) -> BTreeMap<String, Vec<Vec<String>>> {
    let mut taken: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in server.heard().expect("its words").into_iter().filter(|line| line[0] == "accepted") {
        taken.entry(line[3].clone()).or_default().push(line);
    }
    taken
}

/// Sends to this phone, which must be served after so many attempts; gives the push's id.
fn one_taken(house: &House, app: &str, device: &str, message: &Value, attempts: u32) -> String {
    let send = house.send(app, &[device], message);
    house.ended(&send, 0);
    let row = &house.rows(&send)[device];
    assert!(row["outcome"] == "accepted" && row["attempts"] == attempts, "{row}");
    row["push_id"].as_str().expect("an id").to_owned()
}

#[test]
fn every_push_ends_as_a_strict_server_answers_it() {
    let dir = TempDir::new().expect("a directory");
    let (shop, known) = with_key(dir.path(), "KEY0000001", "TEAM000001");
    let (second, also_known) = with_key(dir.path(), "KEY0000002", "TEAM000002");
    let (stranger, _) = with_key(dir.path(), "KEY0000003", "TEAM000003");
    let (certified, trusted) = with_certificate(dir.path());
    let phones = phones();
    // As it is by default: few streams, and nothing said in TLS of what it speaks.
    let lines: String = phones.iter().map(|phone| phone.lines.as_str()).collect();
    let server = PushServer::mock_apns(&format!("streams 20\n{known}{also_known}{trusted}{lines}"))
        .expect("it starts");
    let house = House::start(server.ca());
    let apps = [("shop", shop), ("second", second), ("stranger", stranger), ("certified", certified)];
    apps.into_iter().for_each(|(name, app)| house.put_app(&server, name, app));
    let named: Vec<_> = phones.iter().map(|phone| (phone.name.clone(), phone.token.clone())).collect();
    house.phones("shop", &named);

    // This server breaks down over signatures as RFC 7518 has them, so a key's first push finds out what it reads.
    let first = one_taken(&house, "shop", "well-0", &message(), 2);
    let devices: Vec<&str> = phones.iter().map(|phone| phone.name.as_str()).collect();
    let send = house.send("shop", &devices, &message());
    house.ended(&send, 0);
    let (rows, mut taken_of_send) = (house.rows(&send), taken(&server));
    assert_eq!(taken_of_send.remove(&first).map_or(0, |lines| lines.len()), 1);
    for Phone { name, token, end, .. } in &phones {
        let row = &rows[name];
        let ended = (&row["outcome"], &row["reason"], &row["attempts"]);
        assert_eq!(ended, (&json!(end.0), &json!(end.1), &json!(end.2)), "{name}: {row}");
        let device = house.api.insist(200, "GET", &format!("/v1/devices/{name}"), None);
        assert_eq!(device["push_token"], json!(end.3.then_some(token)), "{name}");
        let id = row["push_id"].as_str().expect("an id");
        let times = taken_of_send.get(id).map_or(0, Vec::len);
        assert_eq!(times, usize::from(end.0 == "accepted"), "{name} was taken {times} times");
        let Some([_, of, topic, _, kind, priority, expiration, collapse, payload]) =
            taken_of_send.get(id).and_then(|lines| <&[String; 9]>::try_from(lines[0].as_slice()).ok())
        else {
            continue;
        };
        let said = [of, topic, kind, priority, collapse].map(String::as_str);
        assert_eq!(said, [token, TOPIC, "alert", "10", id], "{name}");
        let left_s = expiration.parse::<i64>().expect("seconds") - SystemClock.now_ms() / 1_000;
        assert!((3_000..=3_600).contains(&left_s), "{name}: {left_s}");
        let payload: Value = serde_json::from_str(payload).expect("JSON");
        let alert = json!({"title": "Hello", "body": "A coffee \u{2615} is on us"});
        assert_eq!(payload, json!({"aps": {"alert": alert}, "offer": "7", "geopush_push_id": id}), "{name}");
    }
    assert_eq!(taken_of_send.len(), phones.iter().filter(|phone| phone.end.0 == "accepted").count());

    // Another team's key, and a certificate: connections of their own.
    for (app, attempts) in [("second", 2), ("certified", 1)] {
        house.phone("well-0", app, &token(0));
        one_taken(&house, app, "well-0", &message(), attempts);
    }
    // Of every type that a message may be, and as large as it may be.
    house.phone("well-0", "shop", &token(0));
    let quiet = json!({"data": {"sync": "1"}, "apns": {"push_type": "background"}});
    let large = json!({"title": "Hello", "body": "x".repeat(3_400)});
    for (message, expected) in [(quiet, ["background", "5"]), (large, ["alert", "10"])] {
        let id = one_taken(&house, "shop", "well-0", &message, 1);
        let line = &taken(&server)[&id][0];
        assert_eq!([&line[4], &line[5]], expected);
    }
    // A key that the server never heard of.
    house.phone("well-1", "stranger", &token(1));
    let send = house.send("stranger", &["well-1"], &message());
    house.ended(&send, 0);
    let row = &house.rows(&send)["well-1"];
    assert_eq!((&row["outcome"], &row["reason"]), (&json!("failed"), &json!("bad_credentials")), "{row}");
}

#[test]
fn a_server_that_shuts_down_again_and_again_takes_each_push_once() {
    const PHONES: usize = 2_000;
    let dir = TempDir::new().expect("a directory");
    let (shop, known) = with_key(dir.path(), "KEY0000001", "TEAM000001");
    let tokens: String = (0..PHONES).map(|n| format!("token {TOPIC} {}\n", token(n))).collect();
    let server =
        PushServer::mock_apns(&format!("alpn\nstreams 50\nrestart 300\n{known}{tokens}")).expect("it starts");
    let house = House::start(server.ca());
    house.put_app(&server, "shop", shop);
    let sent = house.serve_a_crowd("shop", PHONES);

    let taken = taken(&server);
    assert!(taken.keys().eq(&sent), "each was taken, and nothing else");
    let again: u64 = taken.values().map(|lines| lines.len() as u64 - 1).sum();
    let unanswered = house.metric("geopush_dispatcher_send_unanswered_total");
    assert!(again <= unanswered, "{again} came again, and {unanswered} were not answered");
    let restarts = server.heard().expect("its words").iter().filter(|line| line[0] == "restarted").count();
    assert!(restarts >= PHONES / 300 - 1, "it shut down {restarts} times");
    println!("{restarts} restarts, {unanswered} unanswered, {again} taken again");
}
