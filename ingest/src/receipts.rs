//! `POST /v1/receipts`: what a phone did with a push.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use geopush_service::http::{Invalid, Problem, json_body};
use geopush_service::time::parse_rfc3339_ms;
use geopush_store::Timestamp;
use geopush_store::tables::ReceiptRow;
use serde_json::Value;
use uuid::Uuid;

use crate::serve::{Shared, store_problem};

const EVENTS: [&str; 3] = ["delivered", "opened", "clicked"];

pub(crate) async fn post(State(ingest): Shared, request: Request) -> Result<StatusCode, Problem> {
    let tenant = ingest.principal(request.headers()).await?.tenant;
    let body: Value = json_body(request, ingest.limits()).await?;
    let now = ingest.now();
    let receipt = read(&body, now.0).map_err(Problem::invalid)?;
    let row = ReceiptRow {
        tenant: tenant.0,
        push: receipt.push,
        event: receipt.event.to_owned(),
        at: Timestamp(receipt.at_ms),
        received_at: Timestamp(now.0),
    };
    ingest.dependencies.store.put(row).await.map_err(|e| store_problem(&e))?;
    metrics::counter!("geopush_ingest_receipts_total", "event" => receipt.event).increment(1);
    Ok(StatusCode::ACCEPTED)
}

#[derive(Debug, PartialEq, Eq)]
struct Receipt {
    push: Uuid,
    event: &'static str,
    at_ms: i64,
}

fn read(body: &Value, now_ms: i64) -> Result<Receipt, Vec<Invalid>> {
    let Value::Object(members) = body else {
        return Err(vec![Invalid::new("", "wrong_type", "give an object with push_id, event and at")]);
    };
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let push = text("push_id").and_then(|id| id.parse().ok());
    let event = text("event").and_then(|event| EVENTS.into_iter().find(|known| *known == event));
    let at = match members.get("at") {
        None | Some(Value::Null) => Some(now_ms),
        Some(Value::String(text)) => parse_rfc3339_ms(text),
        Some(number) => number.as_i64(),
    };
    if let (Some(push), Some(event), Some(at_ms)) = (push, event, at) {
        return Ok(Receipt { push, event, at_ms });
    }
    let wrong = [
        (push.is_none(), "/push_id", "give the data.geopush_push_id of the push"),
        (event.is_none(), "/event", "give delivered, opened or clicked"),
        (at.is_none(), "/at", "give RFC 3339 or ms since the Unix epoch, or leave it out for now"),
    ];
    let wrong = wrong.into_iter().filter(|row| row.0);
    Err(wrong.map(|(_, pointer, detail)| Invalid::new(pointer, "invalid_value", detail)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_receipt_is_read_and_everything_wrong_with_it_named() {
        let id = Uuid::from_u128(7);
        let good = json!({"push_id": id, "event": "opened", "at": "1970-01-01T00:00:01Z"});
        assert_eq!(read(&good, 5), Ok(Receipt { push: id, event: "opened", at_ms: 1_000 }));
        assert_eq!(read(&json!({"push_id": id, "event": "clicked"}), 5).unwrap().at_ms, 5);
        let wrong = read(&json!({"push_id": "x", "event": "eaten", "at": []}), 5).unwrap_err();
        assert_eq!(
            wrong.iter().map(|e| e.pointer.as_str()).collect::<Vec<_>>(),
            ["/push_id", "/event", "/at"]
        );
        assert!(read(&json!([]), 5).is_err());
    }
}
