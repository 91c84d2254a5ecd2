//! Who is in an audience, and which audiences are refused.

use std::collections::BTreeMap;

use geopush_campaign::{Asks, Audience, AudienceDevice, NoVisits, Visits};
use geopush_model::{UnixMillis, ZoneId};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const ZONE: &str = "00000000-0000-0000-0000-000000000009";

fn audience(json: &Value) -> Audience {
    Audience::from_json(json).unwrap_or_else(|errors| panic!("{json}: {errors:?}"))
}

fn attributes() -> Map<String, Value> {
    let Value::Object(map) = json!({
        "n": 5, "big": 9_007_199_254_740_993_i64, "f": 5.5, "s": "gold", "t": true, "list": [1, "a"],
        "object": {"a": 1}, "when": "2026-01-02T00:00:00.000Z", "none": null, "empty": "",
        "app_version": "2.10.0",
    }) else {
        unreachable!()
    };
    map
}

fn matches(json: &Value) -> bool {
    let attributes = attributes();
    let tags = ["vip".to_owned()];
    let device = AudienceDevice {
        attributes: &attributes,
        tags: &tags,
        platform: Some("ios"),
        locale: Some("es_MX"),
        app: Some("shop"),
    };
    audience(json).matches(&device, UnixMillis(0), &NoVisits)
}

#[test]
fn every_operator_means_what_it_says_for_every_type() {
    let rows: &[(&str, &str, Value, bool)] = &[
        ("n", "eq", json!(5), true),
        ("n", "eq", json!(5.0), true),
        ("n", "eq", json!("5"), false),
        ("n", "eq", json!(true), false),
        ("big", "eq", json!(9_007_199_254_740_992_i64), false),
        ("big", "gt", json!(9_007_199_254_740_992_i64), true),
        ("f", "eq", json!(5.5), true),
        ("s", "eq", json!("gold"), true),
        ("s", "eq", json!("Gold"), false),
        ("t", "eq", json!(true), true),
        ("t", "eq", json!(1), false),
        ("list", "eq", json!([1.0, "a"]), true),
        ("list", "eq", json!(["a", 1]), false),
        ("object", "eq", json!({"a": 1}), true),
        ("object", "eq", json!({"a": 1, "b": 2}), false),
        ("empty", "eq", json!(""), true),
        ("missing", "eq", json!(5), false),
        ("none", "eq", json!(5), false),
        ("n", "ne", json!(5), false),
        ("n", "ne", json!("5"), true),
        ("s", "ne", json!("silver"), true),
        ("missing", "ne", json!(5), true),
        ("none", "ne", json!(5), true),
        ("n", "gt", json!(4), true),
        ("n", "gt", json!(4.9), true),
        ("n", "gt", json!(5), false),
        ("f", "gt", json!(5), true),
        ("n", "gt", json!("4"), false),
        ("s", "gt", json!("bronze"), true),
        ("s", "gt", json!(1), false),
        ("t", "gt", json!(0), false),
        ("list", "gt", json!(0), false),
        ("when", "gt", json!("2026-01-01T00:00:00.000Z"), true),
        ("when", "gt", json!("2026-01-03T00:00:00.000Z"), false),
        ("missing", "gt", json!(0), false),
        ("n", "lt", json!(6), true),
        ("n", "lt", json!(5), false),
        ("s", "lt", json!("silver"), true),
        ("s", "lt", json!(9), false),
        ("missing", "lt", json!(9), false),
        ("n", "in", json!([1, 5.0]), true),
        ("n", "in", json!(["5"]), false),
        ("n", "in", json!([]), false),
        ("s", "in", json!(["silver", "gold"]), true),
        ("list", "in", json!([[1, "a"]]), true),
        ("list", "in", json!([1]), false),
        ("missing", "in", json!([1]), false),
        ("n", "exists", json!(true), true),
        ("n", "exists", json!(false), false),
        ("empty", "exists", json!(true), true),
        ("none", "exists", json!(true), false),
        ("missing", "exists", json!(true), false),
        ("missing", "exists", json!(false), true),
    ];
    for (name, op, value, expected) in rows {
        let json = json!({"attr": name, "op": op, "value": value});
        assert_eq!(matches(&json), *expected, "{json}");
    }
    assert!(matches(&json!({"attr": "n", "op": "exists"})));
}

#[test]
fn conditions_are_joined_as_logic_has_it() {
    let (yes, no) = (json!({"tag": "vip"}), json!({"platform": "web"}));
    for (json, expected) in [
        (yes.clone(), true),
        (no.clone(), false),
        (json!({"platform": "ios"}), true),
        (json!({"tag": "VIP"}), false),
        (json!({"not": no}), true),
        (json!({"locale": "es"}), true),
        (json!({"locale": "ES-mx"}), true),
        (json!({"locale": "e"}), false),
        (json!({"locale": "es-ES"}), false),
        (json!({"locale": "es-MX-x"}), false),
        (json!({"app": "shop"}), true),
        (json!({"app": "Shop"}), false),
        (json!({"app_version": {"op": "gt", "value": "2.9"}}), true),
        (json!({"app_version": {"op": "gt", "value": "2.10"}}), false),
        (json!({"app_version": {"op": "eq", "value": "2.10"}}), true),
        (json!({"app_version": {"op": "ne", "value": "2.10.0"}}), false),
        (json!({"app_version": {"op": "lt", "value": "2.10.1"}}), true),
        (json!({"all": []}), true),
        (json!({"any": []}), false),
        (json!({"all": [yes, no]}), false),
        (json!({"any": [no, yes]}), true),
        (json!({"all": [yes, {"not": {"any": [no, {"tag": "other"}]}}]}), true),
    ] {
        assert_eq!(matches(&json), expected, "{json}");
    }
}

/// A device that was in a zone tagged `food` at 0 and whose owner opened a push at 0.
struct Past;

impl Visits for Past {
    fn last_visit(&self, _: ZoneId) -> Option<UnixMillis> {
        None
    }

    fn last_visit_tagged(&self, tag: &str) -> Option<UnixMillis> {
        (tag == "food").then_some(UnixMillis(0))
    }

    fn last_opened(&self) -> Option<UnixMillis> {
        Some(UnixMillis(0))
    }
}

#[test]
fn tags_of_zones_and_opened_pushes_count_as_visits_do() {
    let attributes = attributes();
    let device =
        AudienceDevice { attributes: &attributes, tags: &[], platform: None, locale: None, app: None };
    let food = json!({"visited": {"zone_tag": "food", "within_s": 60}});
    let fuel = json!({"visited": {"zone_tag": "fuel", "within_s": 60}});
    let opened = json!({"opened": {"within_s": 60}});
    let all = audience(&json!({"all": [food, fuel, opened]}));
    let tags = ["food".to_owned(), "fuel".to_owned()].into();
    assert_eq!(all.asks(), Asks { tags, looks_back_s: Some(60), opened: true, ..Asks::default() });
    for (json, ms, expected) in [
        (&food, 60_000, true),
        (&food, 60_001, false),
        (&fuel, 0, false),
        (&opened, 60_000, true),
        (&opened, 60_001, false),
    ] {
        assert_eq!(audience(json).matches(&device, UnixMillis(ms), &Past), expected, "{json} {ms}");
    }
    for unknown in
        [json!({"locale": "es"}), json!({"app": "shop"}), json!({"app_version": {"op": "gt", "value": "0"}})]
    {
        let nobody = Map::new();
        let device = AudienceDevice { attributes: &nobody, ..device };
        assert!(!audience(&unknown).matches(&device, UnixMillis(0), &NoVisits), "{unknown}");
    }
    assert!(!audience(&opened).matches(&device, UnixMillis(0), &NoVisits));
}

#[test]
fn a_visit_counts_for_as_long_as_the_audience_says() {
    let zone: ZoneId = ZONE.parse().unwrap();
    let asked = audience(&json!({"any": [{"visited": {"zone_id": ZONE, "within_s": 60}}, {"tag": "never"}]}));
    assert_eq!(asked.asks(), Asks { zones: [zone].into(), looks_back_s: Some(60), ..Asks::default() });
    let empty = Map::new();
    let device = AudienceDevice { attributes: &empty, tags: &[], platform: None, locale: None, app: None };
    for (visit, expected) in
        [(Some(40_000), true), (Some(39_999), false), (Some(200_000), true), (None, false)]
    {
        let visits: BTreeMap<_, _> = visit.map(|at| (zone, UnixMillis(at))).into_iter().collect();
        assert_eq!(asked.matches(&device, UnixMillis(100_000), &visits), expected, "{visit:?}");
    }
}

#[test]
fn what_is_no_audience_is_refused_where_it_is_wrong() {
    for (json, expected) in [
        (json!({}), &[("", "unknown_form")][..]),
        (json!([]), &[("", "wrong_type")]),
        (json!({"every": []}), &[("", "unknown_form")]),
        (json!({"tag": "a", "platform": "ios"}), &[("", "unknown_form")]),
        (json!({"tag": "a", "x": 1}), &[("/x", "unknown_member")]),
        (json!({"tag": "a", "a/b": 1}), &[("/a~1b", "unknown_member")]),
        (json!({"tag": ""}), &[("/tag", "invalid_value")]),
        (json!({"tag": 1}), &[("/tag", "wrong_type")]),
        (json!({"platform": "windows"}), &[("/platform", "invalid_value")]),
        (json!({"all": {"tag": "a"}}), &[("/all", "wrong_type")]),
        (
            json!({"any": [{"tag": "a"}, 3, {"not": {}}]}),
            &[("/any/1", "wrong_type"), ("/any/2/not", "unknown_form")],
        ),
        (json!({"attr": "a"}), &[("/op", "required")]),
        (json!({"attr": "a", "op": "like", "value": 1}), &[("/op", "invalid_value")]),
        (json!({"attr": "a", "op": 1, "value": 1}), &[("/op", "wrong_type")]),
        (json!({"attr": "a", "op": "eq"}), &[("/value", "required")]),
        (json!({"attr": "a", "op": "eq", "value": null}), &[("/value", "invalid_value")]),
        (json!({"attr": "a", "op": "gt", "value": true}), &[("/value", "wrong_type")]),
        (json!({"attr": "a", "op": "in", "value": "x"}), &[("/value", "wrong_type")]),
        (json!({"attr": "a", "op": "in", "value": [1, null]}), &[("/value/1", "invalid_value")]),
        (json!({"attr": "a", "op": "in", "value": vec![1; 1_001]}), &[("/value", "too_large")]),
        (json!({"attr": "a", "op": "exists", "value": 1}), &[("/value", "wrong_type")]),
        (json!({"attr": 1, "op": "no"}), &[("/attr", "wrong_type"), ("/op", "invalid_value")]),
        (json!({"locale": "e s"}), &[("/locale", "invalid_value")]),
        (json!({"app": 1}), &[("/app", "wrong_type")]),
        (json!({"app_version": "2"}), &[("/app_version", "wrong_type")]),
        (
            json!({"app_version": {"op": "in", "value": "new"}}),
            &[("/app_version/op", "invalid_value"), ("/app_version/value", "invalid_value")],
        ),
        (json!({"opened": {}}), &[("/opened/within_s", "required")]),
        (
            json!({"visited": {"zone_id": ZONE, "zone_tag": "food", "within_s": 1}}),
            &[("/visited", "unknown_form")],
        ),
        (json!({"visited": {"zone_tag": "", "within_s": 1}}), &[("/visited/zone_tag", "invalid_value")]),
        (json!({"visited": {}}), &[("/visited/zone_id", "required"), ("/visited/within_s", "required")]),
        (
            json!({"visited": {"zone_id": "z", "within_s": 0}}),
            &[("/visited/zone_id", "invalid_value"), ("/visited/within_s", "invalid_value")],
        ),
        (json!({"visited": {"zone_id": ZONE, "within_s": 1.5}}), &[("/visited/within_s", "invalid_value")]),
        (json!({"visited": {"zone_id": ZONE, "within_s": 1, "at": 1}}), &[("/visited/at", "unknown_member")]),
        (json!({"any": vec![json!({"tag": "a"}); 256]}), &[("/any/255", "too_large")]),
    ] {
        let errors = Audience::from_json(&json).expect_err(&json.to_string());
        let found: Vec<_> = errors.iter().map(|e| (e.pointer.as_str(), e.code.as_str())).collect();
        assert_eq!(found, expected, "{json}");
    }
}

#[test]
fn conditions_nest_sixteen_deep_and_no_deeper() {
    let nested = |depth| (1..depth).fold(json!({"tag": "a"}), |inner, _| json!({ "not": inner }));
    assert!(Audience::from_json(&nested(16)).is_ok());
    assert_eq!(Audience::from_json(&nested(17)).unwrap_err()[0].code.as_str(), "too_large");
    assert_eq!(Audience::from_json(&nested(100)).unwrap_err().len(), 1);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(eq|in|gt|ios|vip|[a-z]{0,3})".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let name =
            "(all|any|not|attr|op|value|tag|platform|locale|app_version|opened|visited|zone_id|within_s)";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_an_audience_or_refused_with_reasons_that_point_into_it(json in any_json()) {
        match Audience::from_json(&json) {
            Ok(audience) => {
                let attributes = attributes();
                let device = AudienceDevice { attributes: &attributes, tags: &[], platform: None, locale: None, app: None };
                let inside = audience.matches(&device, UnixMillis(0), &NoVisits);
                let outside = Audience::Not(Box::new(audience)).matches(&device, UnixMillis(0), &NoVisits);
                prop_assert_ne!(inside, outside);
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors.iter().filter(|e| e.code.as_str() != "required") {
                    prop_assert!(json.pointer(&error.pointer).is_some(), "{}", error);
                }
            }
        }
    }
}
