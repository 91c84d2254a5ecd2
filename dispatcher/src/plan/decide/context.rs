//! What templates are told.

use geopush_model::{DeviceEvent, Transition};
use geopush_registry::{Device, Platform};
use geopush_service::time::format_rfc3339_ms;
use serde_json::{Map, Value, json};

use super::ZoneFacts;

/// What happened, as far as templates are told of it.
pub(super) enum CauseContext<'a> {
    /// `zone{id, external_id, name, metadata, tags}` and `transition{kind, at, dwell_s}`
    Transition(&'a Transition, ZoneFacts<'a>),
    /// `event{name, properties}`
    Event(&'a DeviceEvent),
    /// As it was told when the push was held.
    Held(&'a Value),
    /// Nothing: a send, or a run.
    Nothing,
}

impl CauseContext<'_> {
    /// As JSON: an object.
    pub(super) fn told(&self) -> Value {
        match self {
            Self::Transition(transition, zone) => json!({
                "zone": {
                    "id": transition.zone.to_string(),
                    "external_id": transition.zone_external_id,
                    "name": zone.name,
                    "metadata": zone.metadata,
                    "tags": zone.tags,
                },
                "transition": {
                    "kind": transition.kind.as_str(),
                    "at": format_rfc3339_ms(transition.at.0),
                    "dwell_s": transition.dwell_s,
                },
            }),
            Self::Event(event) => json!({"event": {"name": event.name, "properties": event.properties}}),
            Self::Held(told) => (*told).clone(),
            Self::Nothing => Value::Object(Map::new()),
        }
    }
}

/// What happened, and to which `device{id, attributes, tags, locale, platform, app}`.
pub(super) fn context(device: &Device, cause: &CauseContext<'_>) -> Value {
    let mut told = cause.told();
    if let Value::Object(members) = &mut told {
        members.insert(
            "device".to_owned(),
            json!({
                "id": device.device.as_str(),
                "attributes": device.attributes,
                "tags": device.tags,
                "locale": device.locale,
                "platform": device.platform.map(Platform::as_str),
                "app": device.app,
            }),
        );
    }
    told
}
