//! Hours of the day as merchants write them: `{"from":"22:00","to":"08:00"}`.

use geopush_model::{DailyWindow, Hours, TimeOfDay, Weekday};
use geopush_service::http::Invalid;
use serde_json::{Value, json};

use crate::json::{Members, invalid};

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Mon),
    ("tue", Weekday::Tue),
    ("wed", Weekday::Wed),
    ("thu", Weekday::Thu),
    ("fri", Weekday::Fri),
    ("sat", Weekday::Sat),
    ("sun", Weekday::Sun),
];

/// Reads the required members `from` and `to`.
pub(crate) fn read_window(members: &mut Members) -> Option<DailyWindow> {
    let from = members.require("from", read_time);
    let to = members.require("to", read_time);
    Some(DailyWindow { from: from?, to: to? })
}

fn read_time(members: &mut Members, name: &str) -> Option<TimeOfDay> {
    let time = members.text(name, 64)?.parse().ok();
    if time.is_none() {
        members.fail(name, "invalid_value", "give a time of the day from 00:00 to 23:59, such as 09:30");
    }
    time
}

/// Reads the hours of a campaign; no weekdays: every day.
pub(crate) fn hours_of(value: Value, at: &str) -> Result<Hours, Vec<Invalid>> {
    let mut members = Members::of(value, at)?;
    let window = read_window(&mut members);
    let mut weekdays =
        members.list("weekdays", WEEKDAYS.len(), |day, at| weekday_of(&day, at)).unwrap_or_default();
    let mut seen = Vec::new();
    weekdays.retain(|day| {
        !seen.contains(day) && {
            seen.push(*day);
            true
        }
    });
    members.finish(&[])?;
    match window {
        Some(window) => Ok(Hours { window, weekdays }),
        None => unreachable!("a member that is required and missing was noted, and finish refuses then"),
    }
}

fn weekday_of(value: &Value, at: &str) -> Result<Weekday, Vec<Invalid>> {
    let known = WEEKDAYS.iter().find(|(word, _)| value == word);
    known
        .map(|(_, day)| *day)
        .ok_or_else(|| vec![invalid(at, "invalid_value", "give mon, tue, wed, thu, fri, sat or sun")])
}

/// A time of the day in the OpenAPI document.
pub(crate) fn time_schema() -> utoipa::openapi::schema::Schema {
    let schema = json!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$"});
    serde_json::from_value(schema).expect("this is a schema")
}
