//! Fixes that may change something: the state machine decides, and where the next ones will not is found anew.

use geopush_geometry::Position;
use geopush_model::Fix;

use super::take::{Arrival, Outcomes};
use super::{Devices, Slot};
use crate::engine::crossings::{Crossing, Leg};
use crate::engine::index::Near;
use crate::engine::safe_box::Safe;
use crate::engine::{Device, FixOutcome, ZoneIndex};

/// Which of a device's fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Further,
}

impl Devices {
    pub(super) fn judge(
        &mut self,
        (zones, near): (&ZoneIndex, &Near<'_>),
        slot: Slot,
        (number, arrival): (usize, &Arrival<'_>),
        (which, fix): (Which, &Fix),
        out: &mut Outcomes,
    ) {
        let crossings = match which {
            Which::Further if arrival.detect_crossings => self.crossings(zones, slot, (arrival, fix), out),
            Which::First | Which::Further => Vec::new(),
        };
        let counts = &mut out.counts;
        let before = match which {
            Which::First => fix.position,
            Which::Further => self.lines[slot.0].position,
        };
        let mut said = std::mem::take(&mut self.scratch);
        self.change(
            slot,
            || arrival.key(),
            &mut said,
            |device, rules, out| {
                let (outcome, met) = match which {
                    Which::First => {
                        *device = Device::new(arrival.key(), fix.clone(), arrival.received_at);
                        (FixOutcome::Applied, device.on_first_fix(near, out))
                    }
                    Which::Further => device.on_fix(fix, arrival.received_at, &crossings, near, rules, out),
                };
                counts.count(outcome);
                counts.inaccurate += u64::from(met.inaccurate);
                counts.exact_tests += met.exact_tests;
                match outcome {
                    FixOutcome::Applied if came_far(before, fix.position) => Safe::unknown(near.around()),
                    FixOutcome::Applied => Safe::of(device, near, &met, before),
                    // The zones that were asked are not those round its last fix.
                    FixOutcome::Late | FixOutcome::Duplicate => Safe::NOWHERE,
                }
            },
        );
        out.transitions.extend(said.drain(..).map(|said| (number, said)));
        self.scratch = said;
    }

    /// The zones that the line from a device's last fix to this one passes.
    fn crossings(
        &self,
        zones: &ZoneIndex,
        slot: Slot,
        (arrival, fix): (&Arrival<'_>, &Fix),
        out: &mut Outcomes,
    ) -> Vec<Crossing> {
        let line = &self.lines[slot.0];
        let Some(leg) = Leg::between(line.position, line.fixed_at(), fix) else { return Vec::new() };
        let (from, to) = leg.ends();
        let near = zones.along(arrival.tenant, from, to, line.tile());
        out.counts.exact_tests += near.len() as u64;
        leg.crossings(near)
    }
}

/// Whether a device came so far since its last fix that it will hardly be near here at the next one: some 3 km, or less at
/// high latitudes. Then to look for a box costs more than to be asked once more.
fn came_far(from: Position, to: Position) -> bool {
    const FAR: f64 = 1.0 / 32.0;
    let across = (from.lon - to.lon).abs();
    (from.lat - to.lat).abs() > FAR || across.min(360.0 - across) > FAR
}
