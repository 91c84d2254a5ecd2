//! Whom a campaign is for, as merchants write it.

use geopush_campaign::{Audience, AudienceError};
use geopush_service::http::Invalid;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::json::Members;

/// Reads the member `audience`; none: everyone.
pub(super) fn read_audience(members: &mut Members) -> Option<Value> {
    let audience = members.take("audience")?;
    let at = members.pointer("audience");
    members.fail_all(wrong_audience(&audience, &at));
    Some(audience)
}

/// What is wrong with an audience that stands at `at`.
pub(crate) fn wrong_audience(audience: &Value, at: &str) -> Vec<Invalid> {
    let told = |e: AudienceError| Invalid::new(format!("{at}{}", e.pointer), e.code.as_str(), e.detail);
    Audience::from_json(audience).err().unwrap_or_default().into_iter().map(told).collect()
}

/// An audience in the OpenAPI document, by name: see [`audience_schema`].
#[derive(ToSchema)]
#[schema(as = Audience)]
pub(crate) struct AudienceAnswer {}

/// An audience in the OpenAPI document: one form out of a list, all the way down.
pub(crate) fn audience_schema() -> Value {
    json!({
        "description": "A condition, which may be made of others: at most 256, 16 deep. `attr` asks about an attribute at \
            the top of the device's; one that is missing or `null` only passes `ne` and `exists` with `false`. \
            `app_version` compares the attribute of that name number by number. `locale` holds for that language tag and \
            for those that are more of it.",
        "oneOf": forms(),
        "example": {"all": [{"tag": "vip"}, {"not": {"platform": "web"}},
            {"visited": {"zone_tag": "shops", "within_s": 604_800}}]}
    })
}

/// The forms: the title of each, and its members, all of which are needed but for `value`.
fn forms() -> Vec<Value> {
    let condition = json!({"$ref": "#/components/schemas/Audience"});
    let conditions = json!({"type": "array", "items": condition, "maxItems": Audience::MAX_NODES});
    let text = json!({"type": "string", "minLength": 1, "maxLength": Audience::MAX_TEXT});
    let zone = json!({"type": "string", "format": "uuid"});
    let seconds = |most: i64| json!({"type": "integer", "minimum": 1, "maximum": most});
    let version = json!({"type": "string", "examples": ["2.1.0"]});
    let visited = |place: &str, schema: &Value| {
        let within_s = seconds(Audience::MAX_WITHIN_S);
        form("Visited", &[("visited", form("", &[(place, schema.clone()), ("within_s", within_s)]))])
    };
    let one_of = |words: &[&str]| json!({"type": "string", "enum": words});
    let attr = |ops: &[&str], value: Value| {
        form("Attribute", &[("attr", text.clone()), ("op", one_of(ops)), ("value", value)])
    };
    let values = json!({"type": "array", "maxItems": Audience::MAX_VALUES, "items": {}});
    let mut exists = attr(&["exists"], json!({"type": "boolean"}));
    exists["required"] = json!(["attr", "op"]);
    let compared = form("", &[("op", one_of(&["eq", "ne", "gt", "lt"])), ("value", version)]);
    vec![
        form("All of these", &[("all", conditions.clone())]),
        form("Any of these", &[("any", conditions)]),
        form("Not this", &[("not", condition)]),
        attr(&["eq", "ne"], json!({"not": {"type": "null"}})),
        attr(&["gt", "lt"], json!({"type": ["number", "string"]})),
        attr(&["in"], values),
        exists,
        form("Tag", &[("tag", text.clone())]),
        form("Platform", &[("platform", one_of(&Audience::PLATFORMS))]),
        form("Language", &[("locale", text.clone())]),
        form("App", &[("app", text.clone())]),
        form("App's version", &[("app_version", compared)]),
        visited("zone_id", &zone),
        visited("zone_tag", &text),
        form("Opened a push", &[("opened", form("", &[("within_s", seconds(Audience::MAX_OPENED_S))]))]),
    ]
}

/// An object with exactly these members.
fn form(title: &str, members: &[(&str, Value)]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut form = json!({"type": "object", "properties": properties, "required": names,
        "additionalProperties": false});
    if !title.is_empty() {
        form["title"] = title.into();
    }
    form
}
