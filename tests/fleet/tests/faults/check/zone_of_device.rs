//! One device and one zone: whether some order of its requests and the zone's versions, among those that the answers
//! allow, gives the transitions that were seen.
//!
//! A request's fixes see every version that was answered before the request was sent; later ones they may see or not,
//! since a request that waits in the log is judged by the zones of then. Versions that follow each other with no fix
//! of the device between them may be seen as one. The reference says what each order gives; an order whose word
//! differs from what was seen is dropped. What is seen tells the state, so that few orders are ever open.

use std::collections::BTreeMap;

use geopush_geofence::engine::{Reference, Rules};
use geopush_model::{DeviceId, TenantId, Transition, UnixMillis};

use crate::history::{Fate, Phone, Request, Version};

/// A device's stays in one zone.
pub struct Stays<'a> {
    pub tenant: TenantId,
    pub device: &'a DeviceId,
    pub phone: &'a Phone,
    pub versions: &'a [Version],
}

/// What an order has come to: the version it is at, how much of what was seen it explains, and the last request
/// that it counts. Orders that agree in these agree in everything to come.
type Place = (usize, usize, usize);
type Orders = BTreeMap<Place, Reference>;

/// Why the order that came furthest ended.
#[derive(Default)]
struct Furthest {
    request: usize,
    explained: usize,
    why: String,
}

impl Stays<'_> {
    /// The reason if no order explains what was seen.
    pub fn explain(&self, seen: &[&Transition]) -> Result<(), String> {
        let mut furthest = Furthest::default();
        let mut first = Reference::new(self.tenant, Rules::default());
        first.zone_changed(self.versions[0].zone.clone());
        let mut orders = Orders::from([((0, 0, 0), first)]);
        for (number, request) in (1..).zip(&self.phone.requests) {
            self.turn_versions(&mut orders, seen, number, &mut furthest);
            let least = self.must_be_seen_at(request);
            orders.retain(|(version, _, _), _| *version >= least);
            if orders.is_empty() {
                return Err(
                    furthest.tell(format!("request {number} did not see version {} of its zone", least + 1))
                );
            }
            orders = self.evaluate(orders, request, number, seen, &mut furthest);
            if orders.is_empty() {
                return Err(furthest.tell(format!("nothing explains request {number}")));
            }
        }
        self.turn_versions(&mut orders, seen, self.phone.requests.len() + 1, &mut furthest);
        let last = self.versions.iter().rposition(|version| version.answered.is_some()).unwrap_or(0);
        let explained = |(version, used, _): &Place| *version >= last && *used == seen.len();
        if orders.keys().any(explained) {
            return Ok(());
        }
        let used = orders.keys().map(|place| place.1).max().unwrap_or_default();
        Err(match seen.get(used) {
            // What followed it may have been seen wrong, so that no order with it came to the end.
            Some(extra) => {
                let missing = furthest.tell("nothing is missing".to_owned());
                format!("{missing}; or extra: {}", describe(extra))
            }
            None => furthest.tell("a change of the zone should have made it leave".to_owned()),
        })
    }

    /// The first version that the request's fixes may be judged by.
    fn must_be_seen_at(&self, request: &Request) -> usize {
        let before = |version: &Version| version.answered.is_some_and(|answered| answered < request.sent);
        self.versions.iter().rposition(before).unwrap_or(0)
    }

    /// Adds the orders in which later versions come now.
    fn turn_versions(
        &self,
        orders: &mut Orders,
        seen: &[&Transition],
        number: usize,
        furthest: &mut Furthest,
    ) {
        let mut turned = Vec::new();
        for ((version, used, counted), reference) in &*orders {
            for (later, next) in self.versions.iter().enumerate().skip(version + 1) {
                let mut reference = reference.clone();
                let said = reference.zone_changed(next.zone.clone());
                if let Some(used) = matched(&said, seen, *used, number, furthest) {
                    turned.push(((later, used, *counted), reference));
                }
            }
        }
        for (place, reference) in turned {
            orders.entry(place).or_insert(reference);
        }
    }

    fn evaluate(
        &self,
        orders: Orders,
        request: &Request,
        number: usize,
        seen: &[&Transition],
        furthest: &mut Furthest,
    ) -> Orders {
        let mut fixes: Vec<_> = request.fixes.iter().collect();
        fixes.sort_by_key(|fix| fix.time.0);
        let mut next = Orders::new();
        for ((version, used, counted), mut reference) in orders {
            if request.fate == Fate::Unknown {
                next.entry((version, used, counted)).or_insert_with(|| reference.clone());
            }
            let said: Vec<_> =
                fixes.iter().flat_map(|fix| reference.fix(self.device, fix, UnixMillis(0))).collect();
            if let Some(used) = matched(&said, seen, used, number, furthest) {
                next.entry((version, used, number)).or_insert(reference);
            }
        }
        next
    }
}

/// How much of what was seen is explained with this; `None` when it was not seen.
fn matched(
    said: &[Transition],
    seen: &[&Transition],
    used: usize,
    request: usize,
    furthest: &mut Furthest,
) -> Option<usize> {
    for (place, said) in (used..).zip(said) {
        match seen.get(place) {
            Some(seen) if is_same(said, seen) => {}
            other => {
                furthest
                    .note(request, place, || difference(said, other.copied(), &seen[used.min(seen.len())..]));
                return None;
            }
        }
    }
    Some(used + said.len())
}

impl Furthest {
    fn note(&mut self, request: usize, explained: usize, why: impl FnOnce() -> String) {
        if self.why.is_empty() || (explained, request) > (self.explained, self.request) {
            *self = Self { request, explained, why: why() };
        }
    }

    fn tell(self, otherwise: String) -> String {
        if self.why.is_empty() { otherwise } else { format!("{} (request {})", self.why, self.request) }
    }
}

fn difference(said: &Transition, seen: Option<&Transition>, rest: &[&Transition]) -> String {
    match seen {
        None => format!("missing: {}", describe(said)),
        Some(seen) if rest.iter().any(|later| later.id == said.id && later.id != seen.id) => {
            format!("extra: {}, before {}", describe(seen), describe(said))
        }
        Some(seen) if seen.id == said.id => {
            format!("wrong: {} differs in {}", describe(seen), members(said, seen))
        }
        Some(seen) => format!("missing: {}; there is {} instead", describe(said), describe(seen)),
    }
}

/// What may differ from the reference: `seq`, which is checked over all zones, and what only the system knows.
fn is_same(said: &Transition, seen: &Transition) -> bool {
    members(said, seen).is_empty()
}

/// The names of the members that differ.
fn members(a: &Transition, b: &Transition) -> String {
    let table = [
        ("id", a.id == b.id),
        ("kind or reason", a.kind == b.kind),
        ("at", a.at == b.at),
        ("fix", a.fix == b.fix),
        ("initial", a.initial == b.initial),
        ("dwell_s", a.dwell_s == b.dwell_s),
        ("zone_version", a.zone_version == b.zone_version),
        ("zone_external_id", a.zone_external_id == b.zone_external_id),
    ];
    let differ: Vec<_> = table.iter().filter(|row| !row.1).map(|row| row.0).collect();
    differ.join(", ")
}

/// A transition in a line.
pub fn describe(t: &Transition) -> String {
    let zone = t.zone_external_id.as_deref().unwrap_or("a zone");
    let reason = t.kind.reason().map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
    let (kind, at, version, fix) = (t.kind.as_str(), t.at.0, t.zone_version, t.fix.time.0);
    format!("{kind}{reason} {zone} v{version} at {at} by the fix of {fix}, seq {}", t.seq)
}
