//! What a call puts, as pieces that are each written at once: rows of one partition.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::{Schema, Value};

/// Rows in one batch, at most.
const ROWS: usize = 100;
/// Bytes in one batch, but for a single row that has more.
const BYTES: usize = 64 << 10;

/// The rows in pieces of bounded size, each of one partition. Of rows with one key the last is left, or, where the
/// newest stays, the last of the newest; so the pieces may be written in any order.
pub(super) fn pieces(schema: &Schema, rows: Vec<Vec<Value>>) -> Vec<Vec<Vec<Value>>> {
    if rows.len() == 1 {
        return vec![rows];
    }
    let mut open: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut pieces: Vec<(usize, Vec<Vec<Value>>)> = Vec::new();
    for row in last_of_each_key(schema, rows) {
        let bytes: usize = row.iter().map(Value::bytes).sum();
        let partition = bytes_of(&row[..schema.partition_len]);
        let piece = open.entry(partition).or_insert(usize::MAX);
        let fits = pieces.get(*piece).is_some_and(|(size, rows)| rows.len() < ROWS && size + bytes <= BYTES);
        if !fits {
            *piece = pieces.len();
            pieces.push((0, Vec::new()));
        }
        let (size, rows) = &mut pieces[*piece];
        *size += bytes;
        rows.push(row);
    }
    pieces.into_iter().map(|(_, rows)| rows).collect()
}

fn last_of_each_key(schema: &Schema, rows: Vec<Vec<Value>>) -> Vec<Vec<Value>> {
    let key_len = schema.key().len();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::with_capacity(rows.len());
    let mut kept: Vec<Vec<Value>> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.entry(bytes_of(&row[..key_len])) {
            Entry::Vacant(place) => {
                place.insert(kept.len());
                kept.push(row);
            }
            Entry::Occupied(place) => {
                let before = &mut kept[*place.get()];
                if schema.stamp(&row) >= schema.stamp(before) {
                    *before = row;
                }
            }
        }
    }
    kept
}

/// The values of a key, so that two keys are the same if and only if their bytes are.
pub(super) fn bytes_of(key: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 * key.len());
    for value in key {
        match value {
            Value::Null => (),
            Value::Text(text) => sized(&mut bytes, text.as_bytes()),
            Value::Blob(blob) => sized(&mut bytes, blob),
            Value::Uuid(uuid) => bytes.extend(uuid.as_bytes()),
            Value::Int(int) => bytes.extend(int.to_be_bytes()),
            Value::Double(double) => bytes.extend(double.to_be_bytes()),
            Value::Boolean(boolean) => bytes.push((*boolean).into()),
        }
    }
    bytes
}

fn sized(bytes: &mut Vec<u8>, value: &[u8]) {
    bytes.extend(value.len().to_be_bytes());
    bytes.extend(value);
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Table;
    use crate::Timestamp;
    use crate::tables::{DeliveryTotalsRow, ReceiptRow};

    fn receipt(push: u128, event: &str, at: i64) -> Vec<Value> {
        let (tenant, push) = (Uuid::nil(), Uuid::from_u128(push));
        let at = Timestamp(at);
        ReceiptRow { tenant, push, event: event.to_owned(), at, received_at: at }.into_values()
    }

    #[test]
    fn rows_of_a_partition_go_together() {
        let rows = vec![receipt(1, "opened", 1), receipt(2, "opened", 1), receipt(1, "clicked", 1)];
        let pieces = pieces(&ReceiptRow::SCHEMA, rows);
        assert_eq!(
            pieces,
            [vec![receipt(1, "opened", 1), receipt(1, "clicked", 1)], vec![receipt(2, "opened", 1)]]
        );
    }

    #[test]
    fn of_two_rows_with_one_key_the_later_is_left() {
        let rows = vec![receipt(1, "opened", 2), receipt(1, "clicked", 1), receipt(1, "opened", 1)];
        let pieces = pieces(&ReceiptRow::SCHEMA, rows);
        assert_eq!(pieces, [vec![receipt(1, "opened", 1), receipt(1, "clicked", 1)]]);
    }

    #[test]
    fn where_the_newest_stays_it_is_left() {
        let row = |accepted, counted_to| {
            let (tenant, source) = (Uuid::nil(), Uuid::nil());
            let (failed, suppressed, expired) = (0, 0, 0);
            let (hour, log_partition) = (1, 2);
            DeliveryTotalsRow {
                tenant,
                source,
                hour,
                log_partition,
                accepted,
                failed,
                suppressed,
                expired,
                counted_to,
                put_off: None,
            }
            .into_values()
        };
        let pieces = pieces(&DeliveryTotalsRow::SCHEMA, vec![row(1, 5), row(2, 9), row(3, 7)]);
        assert_eq!(pieces, [vec![row(2, 9)]]);
    }

    #[test]
    fn a_batch_is_of_bounded_size() {
        let many: Vec<_> = (0..1_050).map(|i| receipt(1, &i.to_string(), i)).collect();
        let pieces_of_many = pieces(&ReceiptRow::SCHEMA, many.clone());
        assert!(pieces_of_many.iter().all(|piece| piece.len() <= ROWS) && pieces_of_many.len() == 11);
        assert!(pieces_of_many.into_iter().flatten().eq(many));
        let large = vec![receipt(1, &"a".repeat(BYTES), 0), receipt(1, &"b".repeat(BYTES), 0)];
        assert_eq!(pieces(&ReceiptRow::SCHEMA, large).len(), 2);
    }

    #[test]
    fn keys_that_join_to_the_same_bytes_are_apart() {
        let key = |a: &str, b: &str| bytes_of(&[Value::Text(a.to_owned()), Value::Text(b.to_owned())]);
        assert_ne!(key("ab", "c"), key("a", "bc"));
    }
}
