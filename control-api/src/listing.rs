//! Pages of a list: `?cursor=&limit=&order=` in, `{"data":[…],"next_cursor":…}` out.
//!
//! A cursor names the place where the last page ended: the group of partitions (a bucket, an hour, a month) and the
//! clustering key in it. It says nothing that the caller may not know and is checked like any other input.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use geopush_service::time::parse_rfc3339_ms;
use geopush_store::{Direction, Page, Store, StoreError, Table, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::error::ApiError;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The `next_cursor` of the page before; left out for the first page.
    cursor: Option<String>,
    /// At most this many items: 1 to 1000, 100 if left out.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// `desc` (the default) or `asc`.
    order: Option<String>,
}

/// From when to when.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RangeQuery {
    /// From this time on (RFC 3339), itself included.
    from: Option<String>,
    /// Before this time (RFC 3339).
    to: Option<String>,
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listed<T> {
    /// The items.
    pub data: Vec<T>,
    /// For the next page; `null` on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

const DEFAULT_LIMIT: usize = 100;
const MOST_LIMIT: usize = 1_000;
/// Rows that a filter reads at once, and for one page.
const LOOK: usize = 500;
const MOST_LOOKED_AT: usize = 10_000;

/// A checked page query.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub limit: usize,
    pub direction: Direction,
    cursor: Option<(i64, Option<Value>)>,
}

impl PageQuery {
    /// Checks the query.
    pub fn read(&self) -> Result<Wanted, ApiError> {
        let limit = match self.limit.as_deref() {
            None | Some("") => DEFAULT_LIMIT,
            Some(text) => (text.parse().ok().filter(|limit| (1..=MOST_LIMIT).contains(limit)))
                .ok_or_else(|| ApiError::query("limit", "give a whole number from 1 to 1000"))?,
        };
        let direction = match self.order.as_deref() {
            None | Some("" | "desc") => Direction::Descending,
            Some("asc") => Direction::Ascending,
            Some(_) => return Err(ApiError::query("order", "give desc or asc")),
        };
        let cursor = self.cursor.as_deref().filter(|text| !text.is_empty()).map(read_cursor).transpose()?;
        Ok(Wanted { limit, direction, cursor })
    }
}

impl RangeQuery {
    /// The two times in ms since the epoch.
    pub fn read(&self) -> Result<(Option<i64>, Option<i64>), ApiError> {
        let time = |name, text: &Option<String>| match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => match parse_rfc3339_ms(text) {
                Some(ms) => Ok(Some(ms)),
                None => {
                    Err(ApiError::query(name, "give a time as in RFC 3339, such as 2026-01-01T00:00:00Z"))
                }
            },
        };
        Ok((time("from", &self.from)?, time("to", &self.to)?))
    }
}

/// Partitions that share a name (a bucket, an hour, a month), in the page's direction.
pub(crate) type Group<P> = (i64, Vec<P>);

/// One page across `groups`, which are in the page's direction; `keep` turns rows into items or leaves them out.
pub(crate) async fn list<T, O>(
    store: &Store,
    groups: Vec<Group<T::Partition>>,
    wanted: &Wanted,
    [from, to]: [Option<T::Clustering>; 2],
    keep: impl Fn(T) -> Result<Option<O>, StoreError>,
) -> Result<Listed<O>, ApiError>
where
    T: Table,
    T::Clustering: CursorKey,
{
    let Begun { names, partitions, mut after } = begin::<T>(groups, wanted)?;
    let mut data = Vec::new();
    let mut at = 0;
    loop {
        let page = Page {
            from: from.clone(),
            to: to.clone(),
            after,
            direction: wanted.direction,
            limit: wanted.limit - data.len(),
        };
        let found = store.page_across::<T>(&partitions[at..], &page).await?;
        for row in found.rows {
            data.extend(keep(row)?);
        }
        let Some(next) = found.next else { return Ok(Listed { data, next_cursor: None }) };
        at += next.group;
        if data.len() == wanted.limit {
            let key = next.after.as_ref().map(CursorKey::write);
            return Ok(Listed { data, next_cursor: Some(write_cursor(names[at], key.as_ref())) });
        }
        after = next.after;
    }
}

/// Like [`list`], where a filter may leave most rows out: a page ends after [`MOST_LOOKED_AT`] rows, so it may have
/// fewer items than asked for, even none, though there is a next one. `group_of` says the name of a row's group.
pub(crate) async fn list_matching<T, O>(
    store: &Store,
    groups: Vec<Group<T::Partition>>,
    wanted: &Wanted,
    [from, to]: [Option<T::Clustering>; 2],
    group_of: impl Fn(&T) -> i64,
    keep: impl Fn(T) -> Option<O>,
) -> Result<Listed<O>, ApiError>
where
    T: Table,
    T::Clustering: CursorKey,
{
    let Begun { partitions, mut after, .. } = begin::<T>(groups, wanted)?;
    let (mut data, mut looked_at, mut at) = (Vec::new(), 0, 0);
    loop {
        let direction = wanted.direction;
        let page = Page { from: from.clone(), to: to.clone(), after, direction, limit: LOOK };
        let found = store.page_across::<T>(&partitions[at..], &page).await?;
        for row in found.rows {
            let (group, key) = (group_of(&row), row.clustering().write());
            data.extend(keep(row));
            looked_at += 1;
            if data.len() == wanted.limit || looked_at == MOST_LOOKED_AT {
                return Ok(Listed { data, next_cursor: Some(write_cursor(group, Some(&key))) });
            }
        }
        let Some(next) = found.next else { return Ok(Listed { data, next_cursor: None }) };
        at += next.group;
        after = next.after;
    }
}

/// Where a page begins: its groups from there on, and the place in the first.
struct Begun<T: Table> {
    names: Vec<i64>,
    partitions: Vec<Vec<T::Partition>>,
    after: Option<T::Clustering>,
}

fn begin<T>(groups: Vec<Group<T::Partition>>, wanted: &Wanted) -> Result<Begun<T>, ApiError>
where
    T: Table,
    T::Clustering: CursorKey,
{
    let (mut first, mut after) = (0, None);
    if let Some((group, key)) = &wanted.cursor {
        let begins_at = |name: i64| match wanted.direction {
            Direction::Ascending => name >= *group,
            Direction::Descending => name <= *group,
        };
        first = groups.iter().position(|(name, _)| begins_at(*name)).unwrap_or(groups.len());
        if let Some(key) = key.as_ref().filter(|_| groups.get(first).is_some_and(|(name, _)| name == group)) {
            after = Some(T::Clustering::read(key).ok_or_else(bad_cursor)?);
        }
    }
    let (names, partitions) = groups.into_iter().skip(first).unzip();
    Ok(Begun { names, partitions, after })
}

/// A clustering key that a cursor can hold.
pub(crate) trait CursorKey: Clone {
    fn write(&self) -> Value;
    fn read(value: &Value) -> Option<Self>;
}

impl CursorKey for (String,) {
    fn write(&self) -> Value {
        json!([self.0])
    }
    fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }
}

impl CursorKey for (Uuid,) {
    fn write(&self) -> Value {
        json!([self.0])
    }
    fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }
}

impl CursorKey for (i64, i64) {
    fn write(&self) -> Value {
        json!([self.0, self.1])
    }
    fn read(value: &Value) -> Option<Self> {
        serde_json::from_value(value.clone()).ok()
    }
}

impl CursorKey for (Timestamp, Uuid) {
    fn write(&self) -> Value {
        json!([self.0.0, self.1])
    }
    fn read(value: &Value) -> Option<Self> {
        let (at, id): (i64, Uuid) = serde_json::from_value(value.clone()).ok()?;
        Some((Timestamp(at), id))
    }
}

fn write_cursor(group: i64, after: Option<&Value>) -> String {
    URL_SAFE_NO_PAD.encode(json!([group, after]).to_string())
}

fn read_cursor(text: &str) -> Result<(i64, Option<Value>), ApiError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad_cursor())?;
    serde_json::from_slice(&bytes).map_err(|_| bad_cursor())
}

fn bad_cursor() -> ApiError {
    ApiError::query(
        "cursor",
        "give the next_cursor of the page before as it was, or leave it out to begin anew",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(cursor: &str, limit: &str, order: &str) -> PageQuery {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        PageQuery { cursor: text(cursor), limit: text(limit), order: text(order) }
    }

    #[test]
    fn a_query_is_checked() {
        let wanted = query("", "", "").read().unwrap();
        assert_eq!((wanted.limit, wanted.direction), (100, Direction::Descending));
        assert_eq!(query("", "1000", "asc").read().unwrap().limit, 1000);
        for (cursor, limit, order) in [
            ("", "0", ""),
            ("", "1001", ""),
            ("", "-1", ""),
            ("", "x", ""),
            ("", "", "up"),
            ("!", "", ""),
            ("e30", "", ""),
        ] {
            assert!(query(cursor, limit, order).read().is_err(), "{cursor} {limit} {order}");
        }
    }

    #[test]
    fn cursors_come_back() {
        let key = (Timestamp(-5), Uuid::from_u128(7));
        let cursor = write_cursor(-3, Some(&key.write()));
        let (group, after) = read_cursor(&cursor).unwrap();
        assert_eq!((group, <(Timestamp, Uuid)>::read(&after.unwrap())), (-3, Some(key)));
    }
}
