//! The zones topic, applied: the index that every slice judges by, and the changes that each must still apply to its
//! members.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use geopush_log::{Offset, Received};
use geopush_model::{Wire, Zone, ZoneId};
use tokio::sync::watch;

use crate::engine::{Update, ZoneChange, ZoneIndex};

/// All zones as the topic says, shared by a process's slices.
pub(super) struct ZoneFeed {
    index: ZoneIndex,
    /// Whoever holds it has the index stand still.
    known: RwLock<Known>,
    /// Held by whoever changes the index and what is known, from before it looks at them.
    changing: Mutex<()>,
    applied: watch::Sender<Offset>,
}

#[derive(Default)]
struct Known {
    /// The offset and effect of every zone's latest version, the deleted ones' too: an older copy may still come.
    latest: HashMap<ZoneId, (Offset, Arc<ZoneChange>)>,
    live: usize,
    recent: VecDeque<(Offset, Arc<ZoneChange>)>,
    /// `recent` lacks nothing from this offset on.
    recent_from: Offset,
    /// Everything before this offset has been applied.
    next: Offset,
    /// Whether the index follows; until then it waits to be built at once.
    started: bool,
}

/// What a slice missed.
pub(super) enum News {
    /// These changes with their offsets, in order.
    Changes(Vec<(Offset, Arc<ZoneChange>)>),
    /// More than is kept: every zone that has members must be looked at.
    TooMany,
}

impl ZoneFeed {
    /// How many changes are kept for slices that are behind.
    const KEPT: usize = 10_000;

    pub(super) fn new() -> Self {
        Self {
            index: ZoneIndex::default(),
            known: RwLock::default(),
            changing: Mutex::default(),
            applied: watch::Sender::new(0),
        }
    }

    /// Applies records of the topic, in order: one at a time, so that no ping waits for more than one.
    pub(super) fn apply(&self, records: &[Received]) {
        for record in records {
            self.apply_one(record);
        }
        let Known { live, next, .. } = &*self.now().known;
        metrics::gauge!("geopush_geofence_zones").set(*live as f64);
        self.applied.send_replace(*next);
    }

    /// What takes long keeps nobody waiting: preparing the shape, working out what becomes of the index, and freeing
    /// what it was.
    fn apply_one(&self, record: &Received) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (change, started) = {
            let known = self.now().known;
            (known.read(record).map(Arc::new), known.started)
        };
        let to_index = change.as_deref().filter(|_| started);
        let update = to_index.map(|change| self.index.prepare([change]));
        let replaced = {
            let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(change) = change {
                known.take(record.offset, change);
            }
            known.next = record.offset + 1;
            update.map(Update::publish)
        };
        drop(replaced);
    }

    /// Builds the index of what was applied so far, in one go, and keeps it up from here.
    pub(super) fn start(&self) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.started = true;
        self.index.apply(known.latest.values().map(|(_, change)| change.as_ref()));
    }

    /// The zones as they are at this moment, which lasts until it is dropped: for a few pings at a time.
    pub(super) fn now(&self) -> Zones<'_> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Zones { index: &self.index, known }
    }

    /// Tells when more has been applied.
    pub(super) fn watch(&self) -> watch::Receiver<Offset> {
        self.applied.subscribe()
    }
}

/// The zones at one moment.
pub(super) struct Zones<'a> {
    index: &'a ZoneIndex,
    known: RwLockReadGuard<'a, Known>,
}

impl Zones<'_> {
    /// What pings are judged by.
    pub(super) fn index(&self) -> &ZoneIndex {
        self.index
    }

    /// Every change before this offset is in the index, and no other.
    pub(super) fn next(&self) -> Offset {
        self.known.next
    }

    /// The changes from an offset on.
    pub(super) fn since(&self, offset: Offset) -> News {
        if offset < self.known.recent_from {
            return News::TooMany;
        }
        let first = self.known.recent.partition_point(|(at, _)| *at < offset);
        News::Changes(self.known.recent.range(first..).cloned().collect())
    }

    /// A zone's latest version, with its offset.
    pub(super) fn latest(&self, zone: ZoneId) -> Option<(Offset, Arc<ZoneChange>)> {
        self.known.latest.get(&zone).cloned()
    }
}

impl Known {
    /// What a record changes; `None` if it is old news or can't be read.
    fn read(&self, record: &Received) -> Option<ZoneChange> {
        let Some(value) = &record.value else {
            // Compaction's end of a deleted zone, or somebody's cleaning up.
            let zone: ZoneId = std::str::from_utf8(&record.key).ok()?.parse().ok()?;
            let (_, latest) = self.latest.get(&zone)?;
            return latest.now.as_ref().map(|_| ZoneChange::vanished(latest.tenant, zone));
        };
        match Zone::decode(value) {
            Ok(zone) => {
                let newer =
                    self.latest.get(&zone.id).is_none_or(|(_, known)| known.version < Some(zone.version));
                newer.then(|| ZoneChange::to(&zone))
            }
            Err(error) => {
                metrics::counter!("geopush_geofence_undecodable_zones_total").increment(1);
                tracing::error!(
                    offset = record.offset, %error,
                    "a zone could not be decoded and is not applied; look at the record, and save the zone again"
                );
                None
            }
        }
    }

    fn take(&mut self, offset: Offset, change: Arc<ZoneChange>) {
        self.live += usize::from(change.now.is_some());
        let before = self.latest.insert(change.zone, (offset, Arc::clone(&change)));
        self.live -= usize::from(before.is_some_and(|(_, change)| change.now.is_some()));
        self.recent.push_back((offset, change));
        if self.recent.len() > ZoneFeed::KEPT
            && let Some((dropped, _)) = self.recent.pop_front()
        {
            self.recent_from = dropped + 1;
        }
    }
}
