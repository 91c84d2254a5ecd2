//! How long each part of the way took, reckoned from what was seen.
//!
//! Every latency `due → …` begins when the request of the fix that caused it was due, whenever it was really sent: a
//! system that stalls for a second is slow for everyone who wanted something in that second, also for those whom the
//! stall kept from asking.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use geopush_model::{CauseId, Outcome, PushId, Transition, TransitionId};

use super::load::Load;
use super::observe::{Observed, Seen};
use super::schedule::Schedule;
use super::town::step_of;
use crate::latency::{Latencies, Latency};
use crate::report::Series;

/// The latencies of all stages, in their order.
pub fn latencies(schedule: Schedule, load: &Load, observed: &Observed) -> Vec<Latency> {
    let due = |transition: &Transition| {
        let (phone, step) = step_of(&transition.device, &transition.fix)?;
        let request = schedule.request_of(phone, step)?;
        schedule.is_measured(request).then(|| load.began + schedule.due(request))
    };
    let mut transition = Latencies::default();
    let mut causes: HashMap<TransitionId, Cause> = HashMap::new();
    for Seen { at, what } in &observed.transitions {
        if let Some(due) = due(what) {
            transition.record(at.saturating_duration_since(due));
            causes.entry(what.id).or_insert(Cause { due, seen: *at });
        }
    }
    let cause_of = |cause: CauseId| causes.get(&TransitionId(cause.0));
    let mut push = Latencies::default();
    let mut pushes: HashMap<PushId, (Instant, Cause)> = HashMap::new();
    for Seen { at, what: (id, cause) } in &observed.pushes {
        if let Some(cause) = cause_of(*cause) {
            push.record(at.saturating_duration_since(cause.seen));
            pushes.entry(*id).or_insert((*at, *cause));
        }
    }
    let (mut sent, mut whole) = (Latencies::default(), Latencies::default());
    for Seen { at, what } in &observed.sent {
        if let Some((decided, cause)) = what.push.and_then(|push| pushes.get(&push)) {
            sent.record(at.saturating_duration_since(*decided));
            whole.record(at.saturating_duration_since(cause.due));
        }
    }
    let mut delivery = Latencies::default();
    for Seen { at, what } in observed.deliveries.iter().filter(|seen| seen.what.outcome == Outcome::Accepted)
    {
        if let Some(cause) = cause_of(what.origin.cause) {
            delivery.record(at.saturating_duration_since(cause.due));
        }
    }
    vec![
        load.begun.summary("due → request sent"),
        load.answered.summary("due → 202"),
        transition.summary("due → transition committed"),
        push.summary("transition → push decided"),
        sent.summary("push decided → provider took it"),
        whole.summary("due → provider took it"),
        delivery.summary("due → delivery committed"),
    ]
}

/// From a ping's 202 to the moment at which the provider had its push, of the requests that are measured.
pub fn accepted_to_sent(schedule: Schedule, load: &Load, observed: &Observed) -> Latencies {
    let accepted_at = |transition: &Transition| {
        let (phone, step) = step_of(&transition.device, &transition.fix)?;
        let request = schedule.request_of(phone, step).filter(|request| schedule.is_measured(*request))?;
        load.accepted_at[request]
    };
    let causes: HashMap<CauseId, Instant> = observed
        .transitions
        .iter()
        .filter_map(|seen| Some((CauseId(seen.what.id.0), accepted_at(&seen.what)?)))
        .collect();
    let causes_of: HashMap<PushId, CauseId> = observed.pushes.iter().map(|seen| seen.what).collect();
    let mut all = Latencies::default();
    for Seen { at, what } in &observed.sent {
        let cause = what.push.and_then(|push| causes_of.get(&push));
        if let Some(accepted) = cause.and_then(|cause| causes.get(cause)) {
            all.record(at.saturating_duration_since(*accepted));
        }
    }
    all
}

#[derive(Clone, Copy)]
struct Cause {
    due: Instant,
    seen: Instant,
}

/// Throughput by the second, from the end of the warm-up on.
pub fn series(schedule: Schedule, load: &Load, observed: &Observed) -> Vec<Series> {
    let from = load.began + schedule.warmup;
    let series = |name: &str, values: Vec<u64>| Series {
        name: name.to_owned(),
        unit: "a second".to_owned(),
        every_s: 1.0,
        values: values.into_iter().map(|value| value as f64).collect(),
    };
    let seconds = |moments: &mut dyn Iterator<Item = Instant>| by_second(from, schedule.duration, moments);
    vec![
        series("fixes accepted", load.accepted_by_second.clone()),
        series("transitions", seconds(&mut observed.transitions.iter().map(|seen| seen.at))),
        series("pushes that a provider took", seconds(&mut observed.sent.iter().map(|seen| seen.at))),
    ]
}

fn by_second(from: Instant, duration: Duration, moments: &mut dyn Iterator<Item = Instant>) -> Vec<u64> {
    let mut seconds = vec![0; duration.as_secs_f64().ceil() as usize];
    for moment in moments {
        let second =
            moment.checked_duration_since(from).and_then(|since| usize::try_from(since.as_secs()).ok());
        if let Some(count) = second.and_then(|second| seconds.get_mut(second)) {
            *count += 1;
        }
    }
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_outside_the_measurement_are_in_no_second() {
        let from = Instant::now();
        let after = |ms| from + Duration::from_millis(ms);
        let moments = [after(0), after(999), after(1_000), after(2_500), after(9_000)];
        assert_eq!(by_second(after(0), Duration::from_millis(2_600), &mut moments.into_iter()), [2, 1, 1]);
        assert_eq!(by_second(after(1), Duration::from_secs(1), &mut moments.into_iter()), [2]);
    }
}
