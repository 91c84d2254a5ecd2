//! What a table's declaration says, in a form that every backend reads.

use uuid::Uuid;

use crate::{ColumnValue, StoreError};

/// The type of a column; each has one CQL type and one SQLite form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// CQL `text`.
    Text,
    /// CQL `uuid`; a 16-byte blob in SQLite. Uuids of one version sort the same in both: by their bytes. Of several
    /// versions they do not, since CQL sorts by the version first; so keys with uuids of several versions may only
    /// be paged through, one partition at a time, never compared.
    Uuid,
    /// CQL `bigint`.
    BigInt,
    /// CQL `int`.
    Int,
    /// CQL `timestamp`, ms since the Unix epoch.
    Timestamp,
    /// CQL `double`.
    Double,
    /// CQL `boolean`.
    Boolean,
    /// CQL `blob`.
    Blob,
}

/// A column's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value; never in a key.
    Null,
    /// For [`ColumnType::Text`].
    Text(String),
    /// For [`ColumnType::Uuid`].
    Uuid(Uuid),
    /// For [`ColumnType::BigInt`], [`ColumnType::Int`] and [`ColumnType::Timestamp`].
    Int(i64),
    /// For [`ColumnType::Double`]; a number.
    Double(f64),
    /// For [`ColumnType::Boolean`].
    Boolean(bool),
    /// For [`ColumnType::Blob`].
    Blob(Vec<u8>),
}

impl Value {
    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let held = match self {
            Self::Text(text) => text.len(),
            Self::Blob(bytes) => bytes.len(),
            Self::Null | Self::Uuid(_) | Self::Int(_) | Self::Double(_) | Self::Boolean(_) => 0,
        };
        size_of::<Self>() + held
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name, the same in every backend.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether there may be no value. A column added to a table that exists must be so.
    pub optional: bool,
}

impl Column {
    /// The column of this name for this Rust type.
    pub const fn of<C: ColumnValue>(name: &'static str) -> Self {
        Self { name, kind: C::KIND, optional: C::OPTIONAL }
    }
}

/// How a partition's rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest clustering key first.
    Ascending,
    /// Greatest first.
    Descending,
}

/// Where a table lives on ScyllaDB: lightweight transactions do not work on tablets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keyspace {
    /// Without tablets: configuration, conditional tables.
    Config,
    /// With tablets: history.
    History,
}

/// A table's declaration.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Its name.
    pub name: &'static str,
    /// Its keyspace.
    pub keyspace: Keyspace,
    /// Conditional tables know put-if-absent and put-if-version alone; they have a `version` column of type bigint.
    pub conditional: bool,
    /// Rows go this long after they were written, in seconds.
    pub ttl_s: Option<u32>,
    /// The order of the clustering key.
    pub order: Order,
    /// Where rows are put by several processes that may be behind one another: of two rows with one key the one with
    /// the greater stamp stays, whichever was put last. The stamp is the sum of these columns, each times its factor;
    /// it should be near the microseconds since the Unix epoch, since CQL takes it as the time of the write. Empty
    /// where the row that was put last stays.
    pub newest_by: &'static [(&'static str, i64)],
    /// All columns: the partition key's first, then the clustering key's, then the others.
    pub columns: &'static [Column],
    /// How many of the columns are the partition key.
    pub partition_len: usize,
    /// How many of those after it are the clustering key.
    pub clustering_len: usize,
}

impl Schema {
    /// The partition key's and then the clustering key's columns.
    pub fn key(&self) -> &'static [Column] {
        &self.columns[..self.partition_len + self.clustering_len]
    }

    /// The partition key's columns.
    pub fn partition(&self) -> &'static [Column] {
        &self.columns[..self.partition_len]
    }

    /// The clustering key's columns.
    pub fn clustering(&self) -> &'static [Column] {
        &self.key()[self.partition_len..]
    }

    /// The columns outside the key.
    pub fn values(&self) -> &'static [Column] {
        &self.columns[self.partition_len + self.clustering_len..]
    }

    /// How new a row is, where the newest stays; else the same for all.
    pub fn stamp(&self, row: &[Value]) -> i64 {
        let mut stamp: i64 = 0;
        for (name, factor) in self.newest_by {
            let column = self.columns.iter().position(|column| column.name == *name);
            if let Some(Value::Int(int)) = column.and_then(|i| row.get(i)) {
                stamp = stamp.saturating_add(int.saturating_mul(*factor));
            }
        }
        stamp
    }

    /// The declaration itself, at compile time, when it holds together.
    ///
    /// # Panics
    /// When it does not.
    #[doc(hidden)]
    #[must_use]
    pub const fn checked(self) -> Self {
        let key_len = self.partition_len + self.clustering_len;
        assert!(self.partition_len > 0 && key_len <= self.columns.len(), "a table has a partition key");
        let mut has_version = false;
        let mut i = 0;
        while i < self.columns.len() {
            let column = self.columns[i];
            if i < key_len {
                assert!(!column.optional, "a key column always has a value");
                assert!(!matches!(column.kind, ColumnType::Double), "floating-point numbers are no keys");
            } else if same(column.name, "version") {
                has_version = matches!(column.kind, ColumnType::BigInt) && !column.optional;
            }
            assert!(
                self.ttl_s.is_none() || !same(column.name, "expires_at"),
                "the column `expires_at` is the store's own"
            );
            let mut j = 0;
            while j < i {
                assert!(!same(column.name, self.columns[j].name), "a column's name is used once");
                j += 1;
            }
            i += 1;
        }
        assert!(!self.conditional || has_version, "a conditional table has a column `version: i64`");
        assert!(!self.conditional || self.newest_by.is_empty(), "a conditional table has its version");
        let mut i = 0;
        while i < self.newest_by.len() {
            let (mut j, mut found) = (0, false);
            while j < self.columns.len() {
                let column = self.columns[j];
                let is_number =
                    matches!(column.kind, ColumnType::BigInt | ColumnType::Int | ColumnType::Timestamp);
                found = found || (same(column.name, self.newest_by[i].0) && is_number && !column.optional);
                j += 1;
            }
            assert!(found, "the newest is told by columns of whole numbers that always have a value");
            i += 1;
        }
        self
    }
}

/// Whether two names are the same; `==` is not for constants.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A row type with its declaration; made by [`crate::table!`].
pub trait Table: Sized + Send + Sync + 'static {
    /// The partition key, as a tuple.
    type Partition: Send + Sync + Clone;
    /// The clustering key, as a tuple.
    type Clustering: Send + Sync + Clone + Ord;
    /// The declaration.
    const SCHEMA: Schema;

    /// The row's values in the order of the columns.
    fn into_values(self) -> Vec<Value>;
    /// The row of these values.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a value is not of its column's type.
    fn from_values(values: Vec<Value>) -> Result<Self, StoreError>;
    /// A partition key's values.
    fn partition_values(key: &Self::Partition) -> Vec<Value>;
    /// A clustering key's values.
    fn clustering_values(key: &Self::Clustering) -> Vec<Value>;
    /// The row's partition key.
    fn partition(&self) -> Self::Partition;
    /// The row's clustering key.
    fn clustering(&self) -> Self::Clustering;
}
