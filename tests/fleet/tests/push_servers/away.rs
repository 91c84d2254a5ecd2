//! Node's HTTP/2 server in Apple's place, whose connections leave one after the other.

use std::collections::BTreeMap;

use geopush_fleet::PushServer;
use rcgen::KeyPair;
use serde_json::json;

use crate::house::House;

const PHONES: usize = 2_000;
const UNANSWERED: &str = "geopush_dispatcher_send_unanswered_total";

/// Sends to thousands by a server whose connections leave so. Gives how many pushes it took again, how many were counted
/// as unanswered, and how often it left in each manner.
fn send_by(manners: &[&str]) -> (u64, u64, BTreeMap<String, usize>) {
    let server = PushServer::away(manners).expect("it starts");
    let house = House::start(server.ca());
    let key = KeyPair::generate().expect("a key of P-256").serialize_pem();
    let apns = json!({"team_id": "TEAM000001", "key_id": "KEY0000001", "topic": "com.example.shop", "private_key": key});
    house.put_app(&server, "shop", json!({ "apns": apns }));
    let sent = house.serve_a_crowd("shop", PHONES);

    let (mut taken, mut left): (BTreeMap<String, u64>, BTreeMap<String, usize>) = Default::default();
    for line in server.heard().expect("its words") {
        match line.as_slice() {
            [taken_or_so, id] if taken_or_so == "taken" => *taken.entry(id.clone()).or_default() += 1,
            [manner] if manners.contains(&manner.as_str()) => *left.entry(manner.clone()).or_default() += 1,
            line => panic!("it complains: {line:?}"),
        }
    }
    assert!(taken.keys().eq(&sent), "each was taken, and nothing else");
    let again = taken.values().map(|times| times - 1).sum();
    let unanswered = house.metric(UNANSWERED);
    println!("{left:?}: {unanswered} unanswered, {again} taken again");
    (again, unanswered, left)
}

#[test]
fn no_push_is_lost_or_taken_twice_when_connections_say_farewell() {
    let (again, unanswered, left) = send_by(&["close", "behind"]);
    assert_eq!((again, unanswered), (0, 0), "a GOAWAY says what was not taken");
    assert!(left["close"] + left["behind"] >= 10, "{left:?}");
}

#[test]
fn only_unanswered_pushes_are_taken_twice_when_connections_are_cut_too() {
    let (again, unanswered, left) = send_by(&["cut", "close", "behind"]);
    assert!(again <= unanswered, "{again} came again, and {unanswered} were not answered");
    assert!(left["cut"] >= 3, "{left:?}");
}
