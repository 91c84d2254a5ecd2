//! The tags of zones: all that plan knows of them.

use std::collections::HashMap;
use std::sync::Arc;

use geopush_model::{Zone, ZoneId};

/// The tags of every zone, in its newest version. A deleted zone keeps its tags, since its exits are still to come.
#[derive(Debug, Default)]
pub struct ZoneTags {
    zones: HashMap<ZoneId, Entry>,
}

#[derive(Debug)]
struct Entry {
    version: i64,
    /// None for the many zones without: no allocation each.
    tags: Option<Arc<[String]>>,
}

impl ZoneTags {
    /// Takes a version of a zone, unless a newer one is known.
    pub fn put(&mut self, zone: &Zone) {
        if self.zones.get(&zone.id).is_none_or(|known| known.version <= zone.version) {
            let tags = (!zone.tags.is_empty()).then(|| zone.tags.as_slice().into());
            self.zones.insert(zone.id, Entry { version: zone.version, tags });
        }
    }

    /// Forgets a zone altogether.
    pub fn remove(&mut self, zone: ZoneId) {
        self.zones.remove(&zone);
    }

    /// The zone's tags; none of one that is not known.
    pub fn of(&self, zone: ZoneId) -> &[String] {
        self.zones.get(&zone).and_then(|entry| entry.tags.as_deref()).unwrap_or_default()
    }
}
