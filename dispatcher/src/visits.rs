//! What a device did before: when it was in the zones that an audience asks for, and when its owner opened a push. Read
//! only when something asks.

use std::collections::HashMap;

use geopush_campaign::{Asks, Visits};
use geopush_model::{DeviceKey, Transition, UnixMillis, ZoneId};
use geopush_store::tables::{DeviceEngagementRow, PresenceByDeviceRow, TransitionByDeviceRow, month_of};
use geopush_store::{Direction, Page, Store, StoreError};

/// Rows a page.
const PAGE: usize = 500;
/// A device that had more transitions than this since is taken as not having visited what it visited before.
const MOST_PAGES: usize = 4;

/// What was asked of a device's past.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Past {
    zones: HashMap<ZoneId, UnixMillis>,
    tags: HashMap<String, UnixMillis>,
    anywhere: Option<UnixMillis>,
    opened: Option<UnixMillis>,
}

impl Visits for Past {
    fn last_visit(&self, zone: ZoneId) -> Option<UnixMillis> {
        self.zones.get(&zone).copied()
    }

    fn last_visit_tagged(&self, tag: &str) -> Option<UnixMillis> {
        self.tags.get(tag).copied()
    }

    fn last_visit_anywhere(&self) -> Option<UnixMillis> {
        self.anywhere
    }

    fn last_opened(&self) -> Option<UnixMillis> {
        self.opened
    }
}

/// What is asked of a device's past.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    /// By audiences.
    pub(crate) asks: Asks,
    /// Whether the last visit to any zone at all is asked for, too.
    pub(crate) anywhere: bool,
}

impl Asked {
    /// Whether nothing is asked, so that nothing need be read.
    pub(crate) fn is_nothing(&self) -> bool {
        !self.anywhere && !self.asks.opened && self.asks.looks_back_s.is_none()
    }

    /// Takes in what somebody else asks.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.asks.merge(other.asks.clone());
        self.anywhere |= other.anywhere;
    }
}

/// The moment that a device's past is before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: UnixMillis,
    before: Before,
}

/// What a device did before a moment.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// What came before a transition, by incarnation and `seq`, however late it is known.
    Transition((i64, i64)),
    /// What happened earlier.
    Time,
    /// All that is known.
    Now,
}

impl Moment {
    /// A transition.
    pub(crate) fn of(transition: &Transition) -> Self {
        let seq = i64::try_from(transition.seq).unwrap_or(i64::MAX);
        Self { at: transition.at, before: Before::Transition((transition.incarnation.0, seq)) }
    }

    /// A transition of which no more is known than its time.
    pub(crate) fn before(at: UnixMillis) -> Self {
        Self { at, before: Before::Time }
    }

    /// A time, after all that the device did.
    pub(crate) fn at(at: UnixMillis) -> Self {
        Self { at, before: Before::Now }
    }

    fn is_after(&self, order: (i64, i64), happened_ms: i64) -> bool {
        match self.before {
            Before::Transition(before) => order < before,
            Before::Time => happened_ms < self.at.0,
            Before::Now => true,
        }
    }
}

/// What a device did before a moment, as far back as is asked. History is written a moment after it happens, so that a
/// visit of the last second may be missing. `has_tag` says whether a zone has a tag now.
pub(crate) async fn past_of(
    store: &Store,
    device: &DeviceKey,
    asked: &Asked,
    moment: Moment,
    has_tag: impl Fn(ZoneId, &str) -> bool,
) -> Result<Past, StoreError> {
    let mut search = Search { asked, at: moment.at, has_tag, past: Past::default() };
    let partition = (device.tenant.0, device.device.as_str().to_owned());
    if asked.asks.opened {
        let row = store.get::<DeviceEngagementRow>(&partition, &()).await?;
        search.past.opened = row.map(|row| UnixMillis(row.opened_at.0));
    }
    let Some(looks_back_s) = asked.asks.looks_back_s else { return Ok(search.past) };
    for row in still_inside(store, &partition, asked).await? {
        if moment.is_after((row.incarnation, row.seq), row.since.0) {
            search.see(ZoneId(row.zone), moment.at);
        }
    }
    let since = moment.at.plus_ms(looks_back_s.saturating_mul(-1_000));
    let mut pages = 0;
    for month in (month_of(since.0)..=month_of(moment.at.0)).rev() {
        let partition = (partition.0, partition.1.clone(), month);
        let mut page = Page::first(PAGE, Direction::Descending);
        if let Before::Transition(before) = moment.before {
            page.to = Some(before);
        }
        loop {
            if search.is_over() || pages == MOST_PAGES {
                return Ok(search.past);
            }
            pages += 1;
            let rows = store.page::<TransitionByDeviceRow>(&partition, &page).await?;
            page.after = rows.last().map(|row| (row.incarnation, row.seq));
            let is_last = rows.len() < PAGE;
            for row in rows.iter().filter(|row| moment.is_after((row.incarnation, row.seq), row.at.0)) {
                // The newest row of a zone comes first: after anything but an exit the device is still there.
                let last = if row.kind == "exit" { UnixMillis(row.at.0) } else { moment.at };
                search.see(ZoneId(row.zone), last);
            }
            if is_last {
                break;
            }
        }
    }
    Ok(search.past)
}

/// What was found so far.
struct Search<'a, F> {
    asked: &'a Asked,
    at: UnixMillis,
    has_tag: F,
    past: Past,
}

impl<F: Fn(ZoneId, &str) -> bool> Search<'_, F> {
    /// The device was in this zone; later visits are seen first.
    fn see(&mut self, zone: ZoneId, last: UnixMillis) {
        let last = last.min(self.at);
        if self.asked.asks.zones.contains(&zone) {
            self.past.zones.entry(zone).or_insert(last);
        }
        for tag in &self.asked.asks.tags {
            if !self.past.tags.contains_key(tag) && (self.has_tag)(zone, tag) {
                self.past.tags.insert(tag.clone(), last);
            }
        }
        if self.asked.anywhere {
            self.past.anywhere = self.past.anywhere.max(Some(last));
        }
    }

    /// Whether nothing more is asked for.
    fn is_over(&self) -> bool {
        self.past.zones.len() == self.asked.asks.zones.len()
            && self.past.tags.len() == self.asked.asks.tags.len()
            && self.past.anywhere.is_some() == self.asked.anywhere
    }
}

/// The zones that the device has entered and not left: it may have entered them long ago.
async fn still_inside(
    store: &Store,
    device: &(uuid::Uuid, String),
    asked: &Asked,
) -> Result<Vec<PresenceByDeviceRow>, StoreError> {
    if asked.anywhere || !asked.asks.tags.is_empty() {
        return store.page::<PresenceByDeviceRow>(device, &Page::first(PAGE, Direction::Ascending)).await;
    }
    let keys: Vec<_> = asked.asks.zones.iter().map(|zone| (device.clone(), (zone.0,))).collect();
    Ok(store.get_all::<PresenceByDeviceRow>(&keys).await?.into_iter().flatten().collect())
}
