//! Zones that a device passed between two fixes, of which neither lies inside: it came in and went out unseen.
//!
//! A fix in its device's safe box shows none. The fix before it lies in the box that the safe box was cut from: that is
//! convex, so it holds the line between the two, and no zone comes into it but those that the device is in. So lines
//! are looked at only where the zones are asked about the fix, too.

use std::sync::Arc;

use geopush_geometry::{Position, geodesic_distance_m};
use geopush_model::{ExitReason, Fix, TransitionKind, UnixMillis};

use super::{Device, PreparedZone, Said};

/// The straight line between two fixes that are near enough to each other for the device to have gone along it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg<'a> {
    from: Position,
    from_time: UnixMillis,
    to: &'a Fix,
}

/// A zone that was passed, and when.
#[derive(Clone, Debug)]
pub(super) struct Crossing {
    zone: Arc<PreparedZone>,
    enter: UnixMillis,
    exit: UnixMillis,
}

impl<'a> Leg<'a> {
    const MOST_MS: i64 = 120_000;
    const MOST_METRES_PER_SECOND: f64 = 70.0;

    /// From a fix to a later one.
    pub(super) fn between(from: Position, from_time: UnixMillis, to: &'a Fix) -> Option<Self> {
        let taken_ms = to.time.since_ms(from_time);
        let most_m = Self::MOST_METRES_PER_SECOND * taken_ms as f64 / 1_000.0;
        let near =
            (1..=Self::MOST_MS).contains(&taken_ms) && geodesic_distance_m(from, to.position) <= most_m;
        near.then_some(Self { from, from_time, to })
    }

    /// Its ends.
    pub(super) fn ends(&self) -> (Position, Position) {
        (self.from, self.to.position)
    }

    /// Those of the zones that were passed by a device that was in none of them.
    pub(super) fn crossings(&self, zones: Vec<Arc<PreparedZone>>) -> Vec<Crossing> {
        let crossing = |zone: Arc<PreparedZone>| {
            let (from, to) = self.ends();
            if !zone.admits(self.to) || zone.contains(from) || zone.contains(to) {
                return None;
            }
            let (first, last) = zone.shape.passes(from, to)?;
            Some(Crossing { enter: self.time_at(first), exit: self.time_at(last), zone })
        };
        zones.into_iter().filter_map(crossing).collect()
    }

    fn time_at(&self, part: f64) -> UnixMillis {
        let taken_ms = self.to.time.since_ms(self.from_time) as f64;
        self.from_time.plus_ms((part * taken_ms) as i64)
    }
}

impl Device {
    /// It passed these zones on the way to its last fix; but those that it is in it has not left. Since it is in none of
    /// the others afterwards, there is always room for them.
    pub(super) fn cross(&mut self, crossings: &[Crossing], received_at: UnixMillis, out: &mut Vec<Said>) {
        let passed = crossings.iter().filter(|crossing| self.stay(crossing.zone.id).is_none());
        let mut both: Vec<_> = passed
            .flat_map(|crossing| [(crossing.enter, false, crossing), (crossing.exit, true, crossing)])
            .collect();
        both.sort_unstable_by_key(|(at, is_exit, crossing)| (*at, crossing.zone.id, *is_exit));
        for (at, is_exit, Crossing { zone, enter, .. }) in both {
            let kind = if is_exit { TransitionKind::Exit(ExitReason::Left) } else { TransitionKind::Enter };
            let occasion = self.occasion(at, Some(received_at));
            self.emit(zone.stay_since(*enter), kind, zone.version, &occasion, out);
        }
    }
}
