//! What was decided about the devices of a slice so far, and when something that is held is due.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use geopush_log::{Cursor, LogError, Slice, Topic, Until};
use geopush_model::{DeviceKey, PlanState, UnixMillis, Wire as _};

/// How long a read of the changelog waits for more before it looks at its end.
const RESTORE_WAIT: Duration = Duration::from_secs(5);

/// What was decided about the devices of a slice so far.
#[derive(Debug, Default)]
pub(super) struct States {
    devices: HashMap<DeviceKey, PlanState>,
    /// When something may be due of which device: a look that comes too often finds nothing.
    due: BTreeSet<(UnixMillis, DeviceKey)>,
    held: i64,
}

impl States {
    /// The states as the changelog has them.
    pub(super) async fn restore(slice: &Slice) -> Result<Self, LogError> {
        let begun = Instant::now();
        let mut states = Self::default();
        let from = Cursor { topic: Topic::PlanState, partition: slice.number(), offset: 0 };
        let mut reader = slice.log().read(vec![from], Until::Now).await?;
        while !reader.done() {
            let Some((_, records)) = reader.next(RESTORE_WAIT).await? else { continue };
            for record in records {
                let Some(key) = DeviceKey::parse(&record.key) else { continue };
                match record.value.as_deref().map(PlanState::decode) {
                    Some(Ok(state)) => drop(states.devices.insert(key, state)),
                    None => drop(states.devices.remove(&key)),
                    Some(Err(error)) => {
                        metrics::counter!("geopush_dispatcher_plan_undecodable_total", "topic" => Topic::PlanState.name())
                            .increment(1);
                        tracing::error!(
                            %error, slice = slice.number(), offset = record.offset,
                            "a device's state can't be read and begins anew; its cooldowns are lost"
                        );
                    }
                }
            }
        }
        for (key, state) in &states.devices {
            states.due.extend(state.held.iter().map(|held| (held.until, key.clone())));
            states.held += i64::try_from(state.held.len()).unwrap_or(i64::MAX);
        }
        gauge(states.held);
        metrics::histogram!("geopush_dispatcher_plan_restore_seconds").record(begun.elapsed().as_secs_f64());
        tracing::info!(slice = slice.number(), devices = states.devices.len(), "plan's state is restored");
        Ok(states)
    }

    /// What was decided about a device, if anything was.
    pub(super) fn get(&self, key: &DeviceKey) -> Option<&PlanState> {
        self.devices.get(key)
    }

    /// Changes what was decided about a device, if `change` says that it did; an untouched device gets no state.
    pub(super) fn change<T>(
        &mut self,
        key: &DeviceKey,
        change: impl FnOnce(&mut PlanState) -> (T, bool),
    ) -> T {
        let Some(state) = self.devices.get_mut(key) else {
            let mut state = PlanState::default();
            let (result, changed) = change(&mut state);
            if changed {
                self.due.extend(state.held.iter().map(|held| (held.until, key.clone())));
                self.count(held_in(&state));
                self.devices.insert(key.clone(), state);
            }
            return result;
        };
        let before = held_in(state);
        let (result, _) = change(state);
        let after = held_in(state);
        if after > 0 {
            self.due.extend(state.held.iter().map(|held| (held.until, key.clone())));
        }
        self.count(after - before);
        result
    }

    /// Forgets a device; says whether there was anything.
    pub(super) fn remove(&mut self, key: &DeviceKey) -> bool {
        let Some(state) = self.devices.remove(key) else { return false };
        self.count(-held_in(&state));
        true
    }

    /// When to look again for what is due.
    pub(super) fn next_due(&self) -> Option<UnixMillis> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Devices of which something may be due, the earliest first; not asked for again.
    pub(super) fn take_due(&mut self, now: UnixMillis, most: usize) -> BTreeSet<DeviceKey> {
        let mut devices = BTreeSet::new();
        while devices.len() < most
            && let Some((until, _)) = self.due.first()
            && *until <= now
        {
            devices.extend(self.due.pop_first().map(|(_, key)| key));
        }
        devices
    }

    fn count(&mut self, held: i64) {
        if held != 0 {
            self.held += held;
            gauge(held);
        }
    }
}

impl Drop for States {
    fn drop(&mut self) {
        gauge(-self.held);
    }
}

fn held_in(state: &PlanState) -> i64 {
    i64::try_from(state.held.len()).unwrap_or(i64::MAX)
}

fn gauge(held: i64) {
    metrics::gauge!("geopush_dispatcher_plan_held").increment(held as f64);
}
