//! Fixes that may change something: the state machine decides, and where the next ones will not is found anew.

use geopush_model::Fix;

use super::take::{Arrival, Outcomes};
use super::{Devices, Slot};
use crate::engine::safe_box::Safe;
use crate::engine::{Device, FixOutcome, Stamp, ZoneIndex};

/// Which of a device's fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Further,
}

impl Devices {
    pub(super) fn judge(
        &mut self,
        zones: &ZoneIndex,
        slot: Slot,
        (number, arrival): (usize, &Arrival<'_>),
        (which, fix): (Which, &Fix),
        out: &mut Outcomes,
    ) {
        let stamp = self.lines[slot.0].stamp;
        let last_tile = (stamp != Stamp::NONE).then_some(stamp.tile);
        let around = zones.around(arrival.tenant, fix.position, last_tile);
        let counts = &mut out.counts;
        let mut transitions = Vec::new();
        self.change(slot, arrival.key(), &mut transitions, |device, rules, out| {
            let (outcome, met) = match which {
                Which::First => {
                    *device = Device::new(arrival.key(), fix.clone(), arrival.received_at);
                    (FixOutcome::Applied, device.on_first_fix(&around, out))
                }
                Which::Further => device.on_fix(fix, arrival.received_at, &around, rules, out),
            };
            counts.count(outcome);
            counts.inaccurate += u64::from(met.inaccurate);
            counts.exact_tests += met.exact_tests;
            match outcome {
                FixOutcome::Applied => Safe::of(device, &around),
                // The zones that were asked are not those round its last fix.
                FixOutcome::Late | FixOutcome::Duplicate => Safe::NOWHERE,
            }
        });
        out.transitions.extend(transitions.into_iter().map(|transition| (number, transition)));
    }
}
