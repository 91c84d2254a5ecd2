//! What phones said that they did with pushes, joined to a page of deliveries.

use geopush_service::time::format_rfc3339_ms;
use geopush_store::tables::ReceiptRow;
use geopush_store::{Store, StoreError};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::DeliveryAnswer;

const EVENTS: [&str; 3] = ["delivered", "opened", "clicked"];
/// Pushes whose receipts are read at once.
const AT_ONCE: usize = 200;

/// What the phone said of a push; `null` where it said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Receipts)]
pub(super) struct ReceiptsAnswer {
    /// When the phone had it (RFC 3339).
    #[schema(required, format = DateTime)]
    delivered_at: Option<String>,
    /// When it was opened (RFC 3339).
    #[schema(required, format = DateTime)]
    opened_at: Option<String>,
    /// When something in it was clicked (RFC 3339).
    #[schema(required, format = DateTime)]
    clicked_at: Option<String>,
}

/// Adds the receipts of those that a phone may have shown.
pub(super) async fn join(
    store: &Store,
    tenant: Uuid,
    deliveries: &mut [DeliveryAnswer],
) -> Result<(), StoreError> {
    let mut shown: Vec<&mut DeliveryAnswer> = deliveries.iter_mut().filter(|d| d.attempts > 0).collect();
    for deliveries in shown.chunks_mut(AT_ONCE) {
        let keys: Vec<_> = deliveries
            .iter()
            .flat_map(|delivery| EVENTS.map(|event| ((tenant, delivery.push_id), (event.to_owned(),))))
            .collect();
        let rows = store.get_all::<ReceiptRow>(&keys).await?;
        for (delivery, rows) in deliveries.iter_mut().zip(rows.chunks(EVENTS.len())) {
            let at = |i: usize| {
                rows.get(i).and_then(Option::as_ref).map(|row: &ReceiptRow| format_rfc3339_ms(row.at.0))
            };
            delivery.receipts = ReceiptsAnswer { delivered_at: at(0), opened_at: at(1), clicked_at: at(2) };
        }
    }
    Ok(())
}
