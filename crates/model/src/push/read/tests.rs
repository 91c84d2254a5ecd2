//! The generated types are the specification.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::*;

fn a_message() -> impl Strategy<Value = v1::Message> {
    let data = vec((".{0,3}", ".{0,3}"), 0..3).prop_map(|data| data.into_iter().collect());
    (".{0,4}", ".{0,4}", data, option::of(any::<i64>())).prop_map(|(title, body, data, ttl_s)| v1::Message {
        title,
        body,
        data,
        ttl_s,
        ..v1::Message::default()
    })
}

fn an_id() -> impl Strategy<Value = Bytes> {
    prop_oneof![20 => vec(any::<u8>(), 16), 1 => vec(any::<u8>(), 0..20)].prop_map(Into::into)
}

fn an_origin() -> impl Strategy<Value = v1::Origin> {
    let source = prop_oneof![
        10 => an_id().prop_map(|id| (Some(id), None)),
        10 => an_id().prop_map(|id| (None, Some(id))),
        1 => (option::of(an_id()), option::of(an_id())),
    ];
    (source, an_id()).prop_map(|((campaign, send), cause)| v1::Origin { campaign, send, cause })
}

fn a_push() -> impl Strategy<Value = v1::Push> {
    let ids = (an_id(), an_id(), option::weighted(0.95, an_origin()));
    let texts = (".{0,6}", ".{0,4}", ".{0,8}", option::of(".{0,3}"));
    let rest = (prop_oneof![20 => 1..3_i32, 1 => any::<i32>()], option::weighted(0.95, a_message()));
    let times = (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>());
    (ids, texts, rest, times).prop_map(
        |(
            (id, tenant, origin),
            (device, app, token, variant),
            (provider, message),
            (created_at_ms, expires_at_ms, received_at_ms, token_at_ms),
        )| v1::Push {
            id,
            tenant,
            device: format!("d{device}"),
            origin,
            app,
            provider,
            token,
            message,
            created_at_ms,
            expires_at_ms,
            received_at_ms,
            token_at_ms,
            variant,
        },
    )
}

/// Of a push alone some members, as a later word on it.
fn a_part() -> impl Strategy<Value = v1::Push> {
    (a_push(), any::<u8>()).prop_map(|(push, which)| {
        let mut part = v1::Push::default();
        let take = |n: u8| which & (1 << n) != 0;
        if take(0) {
            part.message = push.message;
        }
        if take(1) {
            part.origin = push.origin;
        }
        if take(2) {
            (part.device, part.variant) = (push.device, push.variant);
        }
        if take(3) {
            (part.provider, part.created_at_ms) = (push.provider, push.created_at_ms);
        }
        part
    })
}

/// A push as it is written, and what a broken writer, or one of another version, may make of it.
fn some_bytes() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let more = vec(prop_oneof![a_part().prop_map(|part| part.encode_to_vec()), vec(any::<u8>(), 0..6)], 0..3);
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let cut = option::weighted(0.1, any::<prop::sample::Index>());
    (a_push().prop_map(|push| push.encode_to_vec()), more, edits, cut).prop_map(
        |(written, more, edits, cut)| {
            let mut bytes = [written.clone(), more.concat()].concat();
            for (index, byte) in edits.into_iter().filter(|_| !written.is_empty()) {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            (written, bytes)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was read before, and whatever the bytes are.
    #[test]
    fn a_push_is_what_the_generated_types_make_of_it((written, bytes) in some_bytes(), other in a_push()) {
        let reader = PushReader::default();
        // A word more on the first push, by which the other's message becomes a part of the first's.
        let more = v1::Push { message: other.message.clone(), ..v1::Push::default() };
        let both = [written.clone(), more.encode_to_vec()].concat();
        for bytes in [&both, &other.encode_to_vec(), &written, &bytes, &both, &written, &bytes] {
            prop_assert_eq!(reader.read(bytes), Push::decode(bytes));
        }
    }
}

fn written(title: &str, device: &str) -> Vec<u8> {
    let id = Bytes::from_static(&[7; 16]);
    v1::Push {
        id: id.clone(),
        tenant: id.clone(),
        device: device.to_owned(),
        origin: Some(v1::Origin { campaign: None, send: Some(id.clone()), cause: id }),
        provider: v1::Provider::Fcm.into(),
        message: Some(v1::Message { title: title.to_owned(), ..v1::Message::default() }),
        ..v1::Push::default()
    }
    .encode_to_vec()
}

#[test]
fn pushes_of_one_message_share_it_and_others_have_their_own() {
    let reader = PushReader::default();
    let read = |title: &str, device: &str| reader.read(&written(title, device)).unwrap();
    let first = read("Hello", "a");
    let (other, second) = (read("Hallo", "b"), read("Hello", "c"));
    assert!(Arc::ptr_eq(&first.message, &second.message) && second.device.as_str() == "c");
    assert_eq!((first.message.title.as_str(), other.message.title.as_str()), ("Hello", "Hallo"));
    for n in 0..100 {
        assert_eq!(read(&n.to_string(), "d").message.title, n.to_string());
    }
    assert_eq!(reader.kept.read().unwrap().len(), KEPT);
    assert!(!Arc::ptr_eq(&first.message, &read("Hello", "a").message), "it is not known any more");
}

#[test]
fn a_message_that_is_told_in_two_parts_is_put_together() {
    let reader = PushReader::default();
    let more = v1::Push {
        message: Some(v1::Message { body: "there".into(), ..v1::Message::default() }),
        ..v1::Push::default()
    };
    let both = [written("Hello", "a"), more.encode_to_vec()].concat();
    for _ in 0..2 {
        reader.read(&written("Hello", "a")).unwrap();
        let message = reader.read(&both).unwrap().message;
        assert_eq!((message.title.as_str(), message.body.as_str()), ("Hello", "there"));
        let mut alone = v1::Push::decode(&written("", "b")[..]).unwrap();
        alone.message = more.message.clone();
        let message = reader.read(&alone.encode_to_vec()).unwrap().message;
        assert_eq!((message.title.as_str(), message.body.as_str()), ("", "there"), "and is not the other");
    }
}
