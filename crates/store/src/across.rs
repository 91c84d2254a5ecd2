//! Pages across partitions: what one question reads where its rows are kept in buckets.

use std::collections::VecDeque;

use futures::future::try_join_all;

use crate::{Direction, Page, Store, StoreError, Table};

/// After this many partitions a page ends, however few rows it has.
const PARTITIONS: usize = 1_000;
/// Rows read from a shard at a time, at least.
const READ_ROWS: usize = 16;

/// A page across partitions.
#[derive(Clone, Debug)]
pub struct Across<T: Table> {
    /// The rows, in order. May be fewer than the limit, even none, though there are more.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` when there are no more rows.
    pub next: Option<Position<T::Clustering>>,
}

/// A place in a list of groups of partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position<K> {
    /// The group, as an index into the list that was asked. A cursor should keep the group's own name (its hour or
    /// day), since the list may have changed by the next time.
    pub group: usize,
    /// After this clustering key in the group; `None` from its beginning.
    pub after: Option<K>,
}

impl Store {
    /// Rows of many partitions, in order. `groups` are in the page's direction (hours, days, months; buckets); the
    /// partitions of one group (its shards) are merged by clustering key, which must not occur in two of them, and
    /// whose uuids must be of one version (see [`ColumnType::Uuid`](crate::ColumnType::Uuid)).
    ///
    /// `page.from` and `page.to` hold for all groups, `page.after` for the first alone: to go on from a
    /// [`Position`], pass the groups from `group` on and its `after`. A page reads about as many rows as it has, plus
    /// a few from each shard, and at most a thousand partitions.
    ///
    /// # Errors
    /// As for [`Store::page`].
    pub async fn page_across<T: Table>(
        &self,
        groups: &[Vec<T::Partition>],
        page: &Page<T::Clustering>,
    ) -> Result<Across<T>, StoreError> {
        let mut rows: Vec<T> = Vec::new();
        let mut read = 0;
        for (index, group) in groups.iter().enumerate() {
            let after = page.after.clone().filter(|_| index == 0);
            if rows.len() == page.limit || (read > 0 && read + group.len() > PARTITIONS) {
                return Ok(Across { rows, next: Some(Position { group: index, after }) });
            }
            read += group.len();
            let limit = page.limit - rows.len();
            let (found, more) = self.merged(group, Page { after, limit, ..page.clone() }).await?;
            rows.extend(found);
            if more {
                let after = rows.last().map(T::clustering);
                return Ok(Across { rows, next: Some(Position { group: index, after }) });
            }
        }
        Ok(Across { rows, next: None })
    }

    /// The first rows of a group of partitions, and whether there are more.
    async fn merged<T: Table>(
        &self,
        partitions: &[T::Partition],
        page: Page<T::Clustering>,
    ) -> Result<(Vec<T>, bool), StoreError> {
        // One more than asked for tells whether there are more.
        let wanted = page.limit.saturating_add(1);
        let share = wanted.div_ceil(partitions.len().max(1));
        let slack = if partitions.len() > 1 { share / 2 } else { 0 };
        let read = Page { limit: (share + slack).max(READ_ROWS).min(wanted), ..page };
        let mut shards =
            try_join_all(partitions.iter().map(|partition| Shard::open(self, partition, read.clone())))
                .await?;
        let mut rows = Vec::new();
        while rows.len() < wanted {
            let first = |a: &T, b: &T| match read.direction {
                Direction::Ascending => a.clustering() < b.clustering(),
                Direction::Descending => a.clustering() > b.clustering(),
            };
            let mut next: Option<usize> = None;
            for (i, shard) in shards.iter().enumerate() {
                let Some(row) = shard.rows.front() else { continue };
                if next.and_then(|best| shards[best].rows.front()).is_none_or(|best| first(row, best)) {
                    next = Some(i);
                }
            }
            let Some(shard) = next.map(|i| &mut shards[i]) else { break };
            rows.extend(shard.rows.pop_front());
            if shard.rows.is_empty() && shard.more && rows.len() < wanted {
                let read = Page { after: rows.last().map(T::clustering), ..read.clone() };
                *shard = Shard::open(self, shard.partition, read).await?;
            }
        }
        let more = rows.len() == wanted;
        rows.truncate(page.limit);
        Ok((rows, more))
    }
}

/// A partition as far as it was read.
struct Shard<'a, T: Table> {
    partition: &'a T::Partition,
    rows: VecDeque<T>,
    /// Whether there may be rows beyond those.
    more: bool,
}

impl<'a, T: Table> Shard<'a, T> {
    async fn open(
        store: &Store,
        partition: &'a T::Partition,
        page: Page<T::Clustering>,
    ) -> Result<Self, StoreError> {
        let rows = store.page(partition, &page).await?;
        Ok(Self { partition, more: rows.len() == page.limit, rows: rows.into() })
    }
}
