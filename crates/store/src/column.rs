//! The Rust types that columns have, and what each is in a backend.

use uuid::Uuid;

use crate::{ColumnType, Value};

/// A moment, ms since the Unix epoch; CQL `timestamp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A Rust type that a column can have.
pub trait ColumnValue: Sized {
    /// The column's type.
    const KIND: ColumnType;
    /// Whether there may be no value.
    const OPTIONAL: bool = false;

    /// As a value.
    fn into_value(self) -> Value;
    /// From a value; `None` when it is of another type.
    fn from_value(value: Value) -> Option<Self>;
}

impl<C: ColumnValue> ColumnValue for Option<C> {
    const KIND: ColumnType = C::KIND;
    const OPTIONAL: bool = true;

    fn into_value(self) -> Value {
        self.map_or(Value::Null, C::into_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => C::from_value(value).map(Some),
        }
    }
}

impl ColumnValue for i32 {
    const KIND: ColumnType = ColumnType::Int;

    fn into_value(self) -> Value {
        Value::Int(self.into())
    }

    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).and_then(|wide| Self::try_from(wide).ok())
    }
}

impl ColumnValue for Timestamp {
    const KIND: ColumnType = ColumnType::Timestamp;

    fn into_value(self) -> Value {
        Value::Int(self.0)
    }

    fn from_value(value: Value) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

macro_rules! column_values {
    ($($rust:ty => $kind:ident, $variant:ident;)*) => {
        $(impl ColumnValue for $rust {
            const KIND: ColumnType = ColumnType::$kind;

            fn into_value(self) -> Value {
                Value::$variant(self)
            }

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }
        })*
    };
}

column_values! {
    String => Text, Text;
    Uuid => Uuid, Uuid;
    i64 => BigInt, Int;
    f64 => Double, Double;
    bool => Boolean, Boolean;
    Vec<u8> => Blob, Blob;
}
