//! `POST /v1/receipts`: what a phone did with pushes, one or many at once.
//!
//! A receipt is a row of its own, which joins its push where deliveries are read. One that says that somebody looked
//! also says it of the device ([`engagement`]), for audiences that ask who opened a push lately.

pub(crate) mod engagement;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use geopush_model::UnixMillis;
use geopush_service::http::{Invalid, Problem, json_body};
use geopush_service::time::parse_rfc3339_ms;
use geopush_store::Timestamp;
use geopush_store::tables::ReceiptRow;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::serve::{Shared, store_problem};

/// The most receipts in a request.
const MOST: usize = 1_000;

/// What a phone did with a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Delivered,
    Opened,
    Clicked,
}

impl Event {
    const ALL: [Self; 3] = [Self::Delivered, Self::Opened, Self::Clicked];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Opened => "opened",
            Self::Clicked => "clicked",
        }
    }

    /// Whether somebody looked at the push: who clicks in it has opened it, and some phones tell the click alone.
    fn is_engagement(self) -> bool {
        matches!(self, Self::Opened | Self::Clicked)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Receipt {
    push: Uuid,
    event: Event,
    at: UnixMillis,
}

/// What a phone is told.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Answer {
    accepted: usize,
    rejected: Vec<Rejected>,
}

#[derive(Debug, Serialize)]
struct Rejected {
    index: usize,
    code: &'static str,
    detail: String,
}

pub(crate) async fn post(
    State(ingest): Shared,
    request: Request,
) -> Result<(StatusCode, Json<Answer>), Problem> {
    let tenant = ingest.principal(request.headers()).await?.tenant;
    let body: Value = json_body(request, ingest.limits()).await?;
    let now = ingest.now();
    let (receipts, answer) = read(&body, now)?;
    ingest.admit(tenant, answer.accepted)?;
    let row = |receipt: &Receipt| ReceiptRow {
        tenant: tenant.0,
        push: receipt.push,
        event: receipt.event.as_str().to_owned(),
        at: Timestamp(receipt.at.0),
        received_at: Timestamp(now.0),
    };
    let store = &ingest.dependencies.store;
    store.put_all(receipts.iter().map(row).collect()).await.map_err(|e| store_problem(&e))?;
    let looked = receipts.iter().filter(|receipt| receipt.event.is_engagement());
    let looked = looked.map(|receipt| (receipt.push, receipt.at));
    engagement::note(store, tenant, looked, now).await.map_err(|e| store_problem(&e))?;
    for receipt in &receipts {
        metrics::counter!("geopush_ingest_receipts_total", "event" => receipt.event.as_str()).increment(1);
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// One receipt, which is right or refused; or an array, of which what is right is accepted.
fn read(body: &Value, now: UnixMillis) -> Result<(Vec<Receipt>, Answer), Problem> {
    let Value::Array(bodies) = body else {
        let receipt = read_one(body, now).map_err(Problem::invalid)?;
        return Ok((vec![receipt], Answer { accepted: 1, rejected: Vec::new() }));
    };
    if bodies.len() > MOST {
        let detail = format!("a request has at most {MOST} receipts; send the rest in another");
        return Err(Problem::too_large(detail).coded("too_many_receipts", "Too many receipts"));
    }
    let (mut receipts, mut rejected) = (Vec::with_capacity(bodies.len()), Vec::new());
    for (index, body) in bodies.iter().enumerate() {
        match read_one(body, now) {
            Ok(receipt) => receipts.push(receipt),
            Err(wrong) => {
                let Invalid { pointer, code, detail } = wrong.into_iter().next().unwrap_or_else(shape);
                let detail = if pointer.is_empty() { detail } else { format!("{pointer}: {detail}") };
                rejected.push(Rejected { index, code, detail });
            }
        }
    }
    let accepted = receipts.len();
    Ok((receipts, Answer { accepted, rejected }))
}

fn shape() -> Invalid {
    Invalid::new("", "wrong_type", "give an object with push_id, event and at")
}

fn read_one(body: &Value, now: UnixMillis) -> Result<Receipt, Vec<Invalid>> {
    let Value::Object(members) = body else { return Err(vec![shape()]) };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let push = text("push_id").and_then(|id| id.parse().ok());
    let event = text("event").and_then(|event| Event::ALL.into_iter().find(|known| known.as_str() == event));
    let at_ms = match members.get("at") {
        None | Some(Value::Null) => Some(now.0),
        Some(Value::String(text)) => parse_rfc3339_ms(text),
        Some(number) => number.as_i64(),
    };
    if let (Some(push), Some(event), Some(at_ms)) = (push, event, at_ms) {
        // A phone's clock may be ahead; what is done was not done later than now.
        return Ok(Receipt { push, event, at: UnixMillis(at_ms.clamp(0, now.0)) });
    }
    let wrong = [
        (push.is_none(), "/push_id", "give the data.geopush_push_id of the push"),
        (event.is_none(), "/event", "give delivered, opened or clicked"),
        (at_ms.is_none(), "/at", "give RFC 3339 or ms since the Unix epoch, or leave it out for now"),
    ];
    let wrong = wrong.into_iter().filter(|row| row.0);
    Err(wrong.map(|(_, pointer, detail)| Invalid::new(pointer, "invalid_value", detail)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: UnixMillis = UnixMillis(5_000);

    #[test]
    fn a_receipt_is_read_and_everything_wrong_with_it_named() {
        let id = Uuid::from_u128(7);
        let good = json!({"push_id": id, "event": "opened", "at": "1970-01-01T00:00:01Z"});
        let read = |body: &Value| read_one(body, NOW);
        assert_eq!(read(&good), Ok(Receipt { push: id, event: Event::Opened, at: UnixMillis(1_000) }));
        assert_eq!(read(&json!({"push_id": id, "event": "clicked"})).unwrap().at, NOW);
        let wrong = read(&json!({"push_id": "x", "event": "eaten", "at": []})).unwrap_err();
        assert_eq!(
            wrong.iter().map(|e| e.pointer.as_str()).collect::<Vec<_>>(),
            ["/push_id", "/event", "/at"]
        );
        assert!(read(&json!([])).is_err());
    }

    #[test]
    fn nothing_was_done_in_the_future_or_before_there_were_phones() {
        let at = |at: i64| {
            let body = json!({"push_id": Uuid::nil(), "event": "opened", "at": at});
            read_one(&body, NOW).unwrap().at.0
        };
        assert_eq!((at(9_999), at(i64::MIN), at(4_999)), (5_000, 0, 4_999));
    }

    #[test]
    fn of_many_receipts_the_right_ones_are_taken_and_the_others_named() {
        let good = json!({"push_id": Uuid::nil(), "event": "delivered"});
        let many = json!([good, 7, {"push_id": Uuid::nil(), "event": "eaten"}, good]);
        let (receipts, answer) = read(&many, NOW).unwrap();
        assert_eq!((receipts.len(), answer.accepted), (2, 2));
        let rejected: Vec<_> = answer.rejected.iter().map(|r| (r.index, r.code)).collect();
        assert_eq!(rejected, [(1, "wrong_type"), (2, "invalid_value")]);
        assert!(answer.rejected[1].detail.starts_with("/event: "), "{answer:?}");
        assert!(read(&Value::Array(vec![good; MOST + 1]), NOW).is_err());
        assert_eq!(read(&json!([]), NOW).unwrap().1.accepted, 0);
    }
}
