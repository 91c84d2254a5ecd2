//! The declaration of a table.

/// Declares a table: the struct of its rows, and the [`Table`](crate::Table) that says where they live.
///
/// After the struct's name come the table's name, its keyspace, `conditional` or `plain`, the order in which a
/// partition is kept, perhaps `ttl_days N`, and perhaps `newest_by { column * factor, … }`, which tells which of two
/// rows with one key stays ([`Schema::newest_by`](crate::Schema::newest_by)). Fields may have doc comments. A table without clustering key has one
/// row in a partition. What can't be kept is refused at compile time: an optional or floating-point key column, a
/// conditional table without `version: i64`, a name used twice.
///
/// `Debug` prints the key alone, since rows hold tokens and positions, which belong in no log line.
///
/// ```
/// use geopush_store::{Table, Timestamp};
///
/// geopush_store::table! {
///     /// A visit.
///     pub struct VisitRow: "visits" in History, plain, descending, ttl_days 30 {
///         partition { place: String, day: i32 }
///         clustering { at: Timestamp, visitor: String }
///         values {
///             /// What they said.
///             remark: Option<String>,
///         }
///     }
/// }
/// assert_eq!(VisitRow::SCHEMA.columns.len(), 5);
/// ```
///
/// A conditional table has a version:
/// ```compile_fail
/// geopush_store::table! {
///     /// A setting.
///     pub struct SettingRow: "settings" in Config, conditional, ascending {
///         partition { name: String }
///         values { value: String }
///     }
/// }
/// ```
/// No part of a key may be missing:
/// ```compile_fail
/// geopush_store::table! {
///     /// A setting.
///     pub struct SettingRow: "settings" in Config, plain, ascending {
///         partition { name: Option<String> }
///         values { value: String }
///     }
/// }
/// ```
/// The expiry has a column of its own:
/// ```compile_fail
/// geopush_store::table! {
///     /// A setting.
///     pub struct SettingRow: "settings" in Config, plain, ascending, ttl_days 1 {
///         partition { name: String }
///         values { expires_at: i64 }
///     }
/// }
/// ```
#[macro_export]
macro_rules! table {
    (
        $(#[$meta:meta])*
        $vis:vis struct $row:ident: $name:literal in $keyspace:ident, $kind:ident, $order:ident
            $(, ttl_days $ttl_days:literal)?
            $(, newest_by { $($newest:ident * $factor:literal),+ })?
        {
            partition { $($(#[$partition_meta:meta])* $partition:ident: $partition_type:ty),+ $(,)? }
            $(clustering { $($(#[$clustering_meta:meta])* $clustering:ident: $clustering_type:ty),+ $(,)? })?
            values { $($(#[$value_meta:meta])* $value:ident: $value_type:ty),* $(,)? }
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq)]
        #[allow(missing_docs)]
        $vis struct $row {
            $($(#[$partition_meta])* pub $partition: $partition_type,)+
            $($($(#[$clustering_meta])* pub $clustering: $clustering_type,)+)?
            $($(#[$value_meta])* pub $value: $value_type,)*
        }

        impl $crate::Table for $row {
            type Partition = ($($partition_type,)+);
            type Clustering = ($($($clustering_type,)+)?);
            const SCHEMA: $crate::Schema = $crate::Schema {
                name: $name,
                keyspace: $crate::Keyspace::$keyspace,
                conditional: $crate::table!(@conditional $kind),
                ttl_s: $crate::table!(@ttl $($ttl_days)?),
                order: $crate::table!(@order $order),
                newest_by: &[$($((stringify!($newest), $factor)),+)?],
                columns: &[
                    $($crate::Column::of::<$partition_type>(stringify!($partition)),)+
                    $($($crate::Column::of::<$clustering_type>(stringify!($clustering)),)+)?
                    $($crate::Column::of::<$value_type>(stringify!($value)),)*
                ],
                partition_len: [$(stringify!($partition)),+].len(),
                clustering_len: $crate::table!(@count $($($clustering)+)?),
            }
            .checked();

            fn into_values(self) -> Vec<$crate::Value> {
                vec![
                    $($crate::ColumnValue::into_value(self.$partition),)+
                    $($($crate::ColumnValue::into_value(self.$clustering),)+)?
                    $($crate::ColumnValue::into_value(self.$value),)*
                ]
            }

            fn from_values(values: Vec<$crate::Value>) -> Result<Self, $crate::StoreError> {
                let mut values = values.into_iter();
                Ok(Self {
                    $($partition: $crate::table!(@take values, $name, $partition),)+
                    $($($clustering: $crate::table!(@take values, $name, $clustering),)+)?
                    $($value: $crate::table!(@take values, $name, $value),)*
                })
            }

            fn partition_values(key: &Self::Partition) -> Vec<$crate::Value> {
                let ($($partition,)+) = key;
                vec![$($crate::ColumnValue::into_value($partition.clone())),+]
            }

            fn clustering_values(key: &Self::Clustering) -> Vec<$crate::Value> {
                let ($($($clustering,)+)?) = key;
                vec![$($($crate::ColumnValue::into_value($clustering.clone())),+)?]
            }

            fn partition(&self) -> Self::Partition {
                ($(self.$partition.clone(),)+)
            }

            #[allow(clippy::unused_unit)] // what is left where there is no clustering key
            fn clustering(&self) -> Self::Clustering {
                ($($(self.$clustering.clone(),)+)?)
            }
        }

        impl std::fmt::Debug for $row {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($row))
                    $(.field(stringify!($partition), &self.$partition))+
                    $($(.field(stringify!($clustering), &self.$clustering))+)?
                    .finish_non_exhaustive()
            }
        }

        // An associated constant is only checked where it is used.
        const _: $crate::Schema = <$row as $crate::Table>::SCHEMA;
    };

    (@conditional conditional) => { true };
    (@conditional plain) => { false };
    (@order ascending) => { $crate::Order::Ascending };
    (@order descending) => { $crate::Order::Descending };
    (@ttl) => { None };
    (@ttl $days:literal) => { Some($days * 24 * 60 * 60) };
    (@count) => { 0 };
    (@count $($name:ident)+) => { [$(stringify!($name)),+].len() };
    (@take $values:ident, $table:literal, $column:ident) => {
        $values.next().and_then($crate::ColumnValue::from_value).ok_or($crate::StoreError::Corrupt {
            table: $table,
            column: stringify!($column),
        })?
    };
}
