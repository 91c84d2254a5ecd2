//! A send as a merchant writes it.

use std::collections::BTreeSet;

use geopush_model::{DeviceId, Message};
use geopush_service::http::Invalid;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::campaigns::{MessageAnswer, read_app, read_message, wrong_audience};
use crate::json::{Members, invalid};

/// The most devices that a send lists.
pub(super) const MOST_DEVICES: usize = 100_000;
/// The longest time that a send is spread over, in seconds: a day.
const MOST_SPREAD_S: i64 = 86_400;

/// A send, as it is asked for: to `device_ids` or to an `audience`.
#[derive(ToSchema)]
#[schema(as = NewSend, example = json!({"app": "shop", "audience": {"tag": "vip"}, "spread_s": 600,
    "message": {"title": "Hello", "body": "The sale begins today"}}))]
#[allow(dead_code, reason = "it describes a body that is read member by member")]
pub(super) struct SendBody {
    /// The app that its pushes go to.
    #[schema(min_length = 1, max_length = 64)]
    app: String,
    /// The devices; one that is listed twice is pushed to once.
    #[schema(min_items = 1, max_items = 100_000, required = false)]
    device_ids: Vec<String>,
    /// Of all of the tenant's devices those that it holds for, as in a campaign; `null` or `{}`: all of them.
    #[schema(value_type = Option<Object>, required = false)]
    audience: Option<Value>,
    /// Over how many seconds its pushes are spread evenly; left out: as fast as it goes.
    #[schema(minimum = 1, maximum = 86_400, required = false)]
    spread_s: Option<i64>,
    message: MessageAnswer,
}

/// What a merchant asks for.
pub(super) struct SendInput {
    pub app: String,
    pub to: To,
    pub spread_s: Option<i64>,
    pub message: Message,
}

/// To whom.
pub(super) enum To {
    /// To these.
    Listed(BTreeSet<DeviceId>),
    /// To those for whom this holds.
    Audience(Value),
}

impl SendInput {
    pub fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let app = members.require("app", read_app);
        let to = read_to(&mut members);
        let spread_s = members.whole("spread_s", 1..=MOST_SPREAD_S);
        let message = read_message(&mut members);
        members.finish(&[])?;
        match (app, to, message) {
            (Some(app), Some(to), Some(message)) => Ok(Self { app, to, spread_s, message }),
            _ => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }
}

/// Devices or an audience. An audience that is `null` is everyone, unless devices are listed.
fn read_to(members: &mut Members) -> Option<To> {
    let named = members.has("audience");
    let audience = members.take("audience");
    match (members.is_given("device_ids"), audience) {
        (true, Some(_)) => {
            members.take("device_ids");
            members.fail("audience", "conflicting", "give either device_ids or an audience");
            None
        }
        (false, None) if named => Some(To::Audience(everyone())),
        (false, Some(audience)) => read_audience(members, audience),
        (_, None) => members.require("device_ids", read_devices).map(To::Listed),
    }
}

fn read_audience(members: &mut Members, audience: Value) -> Option<To> {
    if audience.as_object().is_some_and(serde_json::Map::is_empty) {
        return Some(To::Audience(everyone()));
    }
    let at = members.pointer("audience");
    members.fail_all(wrong_audience(&audience, &at));
    Some(To::Audience(audience))
}

/// The audience that holds for every device.
pub(super) fn everyone() -> Value {
    json!({"all": []})
}

fn read_devices(members: &mut Members, name: &str) -> Option<BTreeSet<DeviceId>> {
    let Some(Value::Array(ids)) = members.take(name) else {
        members.fail(name, "wrong_type", "give an array of device ids");
        return None;
    };
    if !(1..=MOST_DEVICES).contains(&ids.len()) {
        members.fail(name, "out_of_range", format!("list 1 to {MOST_DEVICES} devices"));
        return None;
    }
    let mut devices = BTreeSet::new();
    for (i, id) in ids.iter().enumerate() {
        match id.as_str().map(DeviceId::new) {
            Some(Ok(id)) => {
                devices.insert(id);
            }
            _ => {
                let pointer = format!("{}/{i}", members.pointer(name));
                let detail = "give a string of 1 to 128 bytes without control characters";
                members.fail_all([invalid(&pointer, "invalid_value", detail)]);
            }
        }
    }
    Some(devices)
}
