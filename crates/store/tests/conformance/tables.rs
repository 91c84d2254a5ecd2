//! GeoPush's own tables.

use geopush_store::{Bound, ColumnType, Direction, Schema, Store, Value, tables};
use uuid::Uuid;

use crate::Harness;

/// A row of any table: some value in each column, and no value in every other one that may be without.
fn row(schema: &Schema) -> Vec<Value> {
    let value = |(i, column): (usize, &geopush_store::Column)| match column.kind {
        _ if column.optional && i % 2 == 0 => Value::Null,
        ColumnType::Text => Value::Text(column.name.to_owned()),
        ColumnType::Uuid => Value::Uuid(Uuid::new_v5(&Uuid::NAMESPACE_OID, column.name.as_bytes())),
        ColumnType::BigInt | ColumnType::Int | ColumnType::Timestamp => Value::Int(i as i64),
        ColumnType::Double => Value::Double(0.1),
        ColumnType::Boolean => Value::Boolean(true),
        ColumnType::Blob => Value::Blob(vec![1, 2, 3]),
    };
    schema.columns.iter().enumerate().map(value).collect()
}

pub async fn every_table_of_geopush_keeps_a_row(harness: impl Harness) {
    Store::new(harness.backend()).migrate().await.unwrap();
    let backend = harness.backend();
    for schema in tables::ALL {
        let row = row(schema);
        if schema.conditional {
            assert!(backend.put_if_absent(schema, row.clone()).await.unwrap(), "{}", schema.name);
            let Some(version) = schema.columns.iter().position(|column| column.name == "version") else {
                panic!("{} has no version", schema.name);
            };
            let Value::Int(version) = row[version] else { panic!("{}", schema.name) };
            assert!(backend.put_if_version(schema, row.clone(), version).await.unwrap(), "{}", schema.name);
        } else {
            backend.put(schema, vec![row.clone()]).await.unwrap();
        }
        let key = row[..schema.key().len()].to_vec();
        assert_eq!(backend.get(schema, vec![key]).await.unwrap(), [Some(row.clone())], "{}", schema.name);
        let partition = row[..schema.partition_len].to_vec();
        let page =
            backend.page(schema, partition, Bound::Unbounded, Bound::Unbounded, Direction::Descending, 10);
        assert_eq!(page.await.unwrap(), [row], "{}", schema.name);
    }
}
