//! Values on their way into statements and out of rows.

use scylla::cluster::metadata::{ColumnType as CqlType, NativeType};
use scylla::serialize::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};
use scylla::value::{CqlValue, Row};

use crate::{Column, ColumnType, Schema, StoreError, Value};

/// A value as a statement's parameter; written in the form of the column that it meets.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a>(pub(super) &'a Value);

/// The table in the database is not as it is declared.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the column is of another type than declared; run `geopush migrate` of the version that is to run")]
struct WrongType;

impl SerializeValue for Cell<'_> {
    fn serialize<'b>(
        &self,
        kind: &CqlType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        let CqlType::Native(kind) = kind else { return Err(SerializationError::new(WrongType)) };
        let written = match (self.0, kind) {
            (Value::Null, _) => return Ok(writer.set_null()),
            (Value::Text(text), NativeType::Text) => writer.set_value(text.as_bytes()),
            (Value::Uuid(uuid), NativeType::Uuid) => writer.set_value(uuid.as_bytes()),
            (Value::Int(int), NativeType::BigInt | NativeType::Timestamp) => {
                writer.set_value(&int.to_be_bytes())
            }
            (Value::Int(int), NativeType::Int) => match i32::try_from(*int) {
                Ok(int) => writer.set_value(&int.to_be_bytes()),
                Err(_) => return Err(SerializationError::new(WrongType)),
            },
            (Value::Double(double), NativeType::Double) => writer.set_value(&double.to_be_bytes()),
            (Value::Boolean(boolean), NativeType::Boolean) => writer.set_value(&[u8::from(*boolean)]),
            (Value::Blob(bytes), NativeType::Blob) => writer.set_value(bytes),
            _ => return Err(SerializationError::new(WrongType)),
        };
        written.map_err(SerializationError::new)
    }
}

/// Parameters of a statement.
pub(super) fn cells(values: &[Value]) -> Vec<Cell<'_>> {
    values.iter().map(Cell).collect()
}

/// Nothing, if each value is of its column's type.
pub(super) fn check(schema: &Schema, columns: &[Column], values: &[Value]) -> Result<(), StoreError> {
    for (column, value) in columns.iter().zip(values) {
        let fits = match (value, column.kind) {
            (Value::Null, _) => column.optional,
            (Value::Int(int), ColumnType::Int) => i32::try_from(*int).is_ok(),
            (Value::Int(_), ColumnType::BigInt | ColumnType::Timestamp)
            | (Value::Text(_), ColumnType::Text)
            | (Value::Uuid(_), ColumnType::Uuid)
            | (Value::Double(_), ColumnType::Double)
            | (Value::Boolean(_), ColumnType::Boolean)
            | (Value::Blob(_), ColumnType::Blob) => true,
            _ => false,
        };
        if !fits {
            return Err(StoreError::Corrupt { table: schema.name, column: column.name });
        }
    }
    Ok(())
}

/// The values of a row whose columns were asked for in the order of the declaration.
pub(super) fn decode(schema: &Schema, row: Row) -> Result<Vec<Value>, StoreError> {
    let mut values = Vec::with_capacity(schema.columns.len());
    let mut stored = row.columns.into_iter();
    for column in schema.columns {
        let value = stored.next().and_then(|value| decode_value(column.kind, value));
        values.push(value.ok_or(StoreError::Corrupt { table: schema.name, column: column.name })?);
    }
    Ok(values)
}

fn decode_value(kind: ColumnType, stored: Option<CqlValue>) -> Option<Value> {
    let Some(stored) = stored else { return Some(Value::Null) };
    Some(match (kind, stored) {
        (ColumnType::Text, CqlValue::Text(text)) => Value::Text(text),
        (ColumnType::Uuid, CqlValue::Uuid(uuid)) => Value::Uuid(uuid),
        (ColumnType::BigInt, CqlValue::BigInt(int)) => Value::Int(int),
        (ColumnType::Int, CqlValue::Int(int)) => Value::Int(int.into()),
        (ColumnType::Timestamp, CqlValue::Timestamp(timestamp)) => Value::Int(timestamp.0),
        (ColumnType::Double, CqlValue::Double(double)) => Value::Double(double),
        (ColumnType::Boolean, CqlValue::Boolean(boolean)) => Value::Boolean(boolean),
        (ColumnType::Blob, CqlValue::Blob(bytes)) => Value::Blob(bytes),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use crate::tables::DeliveryBySourceRow;

    #[test]
    fn a_value_of_another_type_names_its_column() {
        let schema = const { &DeliveryBySourceRow::SCHEMA };
        let one = |value| check(schema, &schema.columns[3..4], &[value]);
        assert_eq!(one(Value::Int(i32::MAX.into())), Ok(()));
        for wrong in [Value::Int(1 << 40), Value::Null, Value::Text(String::new())] {
            assert_eq!(one(wrong), Err(StoreError::Corrupt { table: schema.name, column: "shard" }));
        }
    }

    #[test]
    fn what_is_stored_in_another_form_names_its_column() {
        let schema = const { &DeliveryBySourceRow::SCHEMA };
        let row = Row { columns: vec![Some(CqlValue::Int(1))] };
        assert_eq!(decode(schema, row), Err(StoreError::Corrupt { table: schema.name, column: "tenant" }));
    }
}
