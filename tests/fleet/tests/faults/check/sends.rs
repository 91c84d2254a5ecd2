//! What was told of sends: the sum holds whenever one looks, and every target ends in exactly one way.

use super::{Kind, Violations};
use crate::history::{History, Totals};

pub fn check(history: &History, found: &mut Violations) {
    for send in &history.asked.sends {
        let id = send.id;
        for told in &send.told {
            let Totals { targeted, pending, accepted, failed, suppressed, expired } = *told;
            let sum = pending + accepted + failed + suppressed + expired;
            if targeted != sum || pending < 0 {
                found.add(Kind::Totals, format!("send {id}: does not add up: {told:?}"));
            }
        }
        let wants = |device| history.asked.phones.get(device).is_some_and(|phone| phone.wants_pushes);
        let accepted = send.to.iter().filter(|device| wants(*device)).count() as i64;
        let targeted = send.to.len() as i64;
        let right = Totals { targeted, accepted, suppressed: targeted - accepted, ..Totals::default() };
        if send.told.last() != Some(&right) {
            let told = send.told.last();
            found.add(Kind::Totals, format!("send {id}: must come to {right:?}; last told: {told:?}"));
        }
    }
}
