//! Takes causes from the log, has them decided on, and publishes the decisions with the state after them.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use geopush_log::{Offset, Received, Slice, Stage, StageError, Topic};
use geopush_model::{DeviceKey, UnixMillis};
use geopush_registry::{Device, Devices, Directory};
use geopush_service::clock::Clock;
use geopush_store::Store;

use super::Followed;
use super::decide::{self, Cause, Facts, Verdict, ZoneFacts, decide};
use super::outputs::Outputs;
use super::quota::{self, Leases, Short};
use super::reading::{Item, sends_of};
use super::sends::{self, Sends};
use super::states::States;
use crate::outage::Patience;

const INPUTS: [Topic; 2] = [Topic::Transitions, Topic::PushRequests];
/// So many decisions in one commit are enough: however many campaigns a batch meets, it stays small for the log.
const ENOUGH: usize = 2_000;
/// Devices whose quiet hours are over in one commit: a morning is worked through between the batches.
const DUE_AT_ONCE: usize = 500;
/// How often a slice that holds something looks at the clock, which may be set.
const LOOK_MS: i64 = 500;

pub(super) struct PlanStage {
    pub(super) store: Store,
    pub(super) devices: Devices,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) followed: Followed,
    pub(super) patience: Patience,
    pub(super) ttl_ms: i64,
}

/// What a slice has at hand.
struct Desk {
    states: States,
    leases: Leases,
    sends: Sends,
}

#[async_trait]
impl Stage for PlanStage {
    fn group(&self) -> &'static str {
        "plan"
    }

    fn inputs(&self) -> &'static [Topic] {
        &INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let states = States::restore(&slice).await?;
        let mut desk = Desk { states, leases: Leases::default(), sends: Sends::default() };
        loop {
            let look = desk.states.next_due().map(|due| due.since_ms(self.now()).clamp(0, LOOK_MS));
            let batch = match look {
                None => Some(slice.next().await),
                Some(ms) => tokio::select! {
                    biased;
                    batch = slice.next() => Some(batch),
                    () = tokio::time::sleep(Duration::from_millis(ms.unsigned_abs())) => None,
                },
            };
            match batch {
                Some(None) => return Ok(()),
                Some(Some(batch)) => {
                    let mut rest = &batch.records[..];
                    while !rest.is_empty() {
                        let begun = Instant::now();
                        let mut outputs = Outputs::new(slice.number());
                        let items = self.read(INPUTS[batch.input], &mut rest, &mut outputs).await?;
                        let mut positions = slice.positions().to_vec();
                        positions[batch.input] = rest.first().map_or(batch.next, |record| record.offset);
                        self.settle(&mut slice, &mut desk, items, positions, outputs).await?;
                        metrics::histogram!("geopush_dispatcher_plan_batch_seconds")
                            .record(begun.elapsed().as_secs_f64());
                    }
                }
                None => {}
            }
            self.release(&mut slice, &mut desk).await?;
        }
    }
}

impl PlanStage {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.clock.now_ms())
    }

    /// The causes at the front of `rest`, as many as one commit should decide on, after everything that was answered
    /// before them is known.
    async fn read(
        &self,
        topic: Topic,
        rest: &mut &[Received],
        outputs: &mut Outputs,
    ) -> Result<Vec<Item>, StageError> {
        futures::try_join!(self.followed.barrier(), self.directory.barrier())?;
        let mut items = Vec::with_capacity(rest.len().min(ENOUGH));
        let mut decisions = 0;
        while decisions < ENOUGH
            && let Some((record, others)) = rest.split_first()
        {
            *rest = others;
            match self.item(topic, record) {
                Ok(item) => {
                    decisions += item.decisions();
                    items.push(item);
                }
                Err(error) => outputs.reject(topic, record, &error.to_string()),
            }
        }
        Ok(items)
    }

    /// Decides anew on what was held until now, some of it at a time.
    async fn release(&self, slice: &mut Slice, desk: &mut Desk) -> Result<(), StageError> {
        let now = self.now();
        let due = desk.states.take_due(now, DUE_AT_ONCE);
        let mut items = Vec::new();
        for key in due {
            if desk.states.get(&key).is_none_or(|state| state.held.is_empty()) {
                continue;
            }
            let held = desk.states.change(&key, |state| (decide::take_due(state, now), true));
            items.extend(held.into_iter().map(|held| self.held_item(key.clone(), held)));
        }
        if items.is_empty() {
            return Ok(());
        }
        futures::try_join!(self.followed.barrier(), self.directory.barrier())?;
        let positions = slice.positions().to_vec();
        let outputs = Outputs::new(slice.number());
        self.settle(slice, desk, items, positions, outputs).await
    }

    /// Decides on these causes and publishes what was decided.
    async fn settle(
        &self,
        slice: &mut Slice,
        desk: &mut Desk,
        mut items: Vec<Item>,
        positions: Vec<Offset>,
        mut outputs: Outputs,
    ) -> Result<(), StageError> {
        self.read_context(&mut items).await?;
        let devices = self.devices_of(&items).await?;
        for (tenant, send) in desk.sends.unknown_of(sends_of(&items)) {
            let look = || sends::is_cancelled(&self.store, tenant, send);
            let is_cancelled = self.patience.with("read a send", look).await?;
            desk.sends.looked(send, is_cancelled);
        }
        let now = self.now();
        let mut changed = BTreeSet::new();
        let mut items = items.into_iter().peekable();
        while let Some(short) = self.decide(&mut items, &devices, desk, &mut outputs, &mut changed, now) {
            let lease = || quota::lease(&self.store, short);
            let granted = self.patience.with("lease a part of a tenant's quota", lease).await?;
            desk.leases.granted(short, granted);
        }
        for key in changed {
            outputs.state(&key, desk.states.get(&key));
        }
        let (records, counts) = outputs.into_parts();
        slice.commit(positions, String::new(), records).await?;
        counts.publish();
        Ok(())
    }

    /// Decides on one cause after another, until a tenant's quota must be asked for more.
    fn decide(
        &self,
        items: &mut Peekable<std::vec::IntoIter<Item>>,
        devices: &HashMap<DeviceKey, Device>,
        desk: &mut Desk,
        outputs: &mut Outputs,
        changed: &mut BTreeSet<DeviceKey>,
        now: UnixMillis,
    ) -> Option<Short> {
        let campaigns = self.followed.campaigns.read().unwrap_or_else(PoisonError::into_inner);
        let zone_tags = self.followed.zone_tags.read().unwrap_or_else(PoisonError::into_inner);
        while let Some(item) = items.peek() {
            let tenant = item.key.tenant;
            let settings = self.directory.settings(tenant).unwrap_or_default();
            let needed = item.decisions() as u64;
            let quota = settings.quota_per_day.filter(|_| needed > 0);
            if let Some(short) = quota.and_then(|quota| desk.leases.short(tenant, quota, now, needed)) {
                return Some(short);
            }
            let item = items.next()?;
            let Desk { states, leases, sends } = desk;
            let is_cancelled = item.send().is_some_and(|send| sends.is_cancelled(send));
            let facts = Facts {
                now,
                ttl_ms: self.ttl_ms,
                settings: &settings,
                device: devices.get(&item.key),
                visits: &item.past,
                zone: match &item.cause {
                    Cause::Transition(transition) => item.zone(zone_tags.of(transition.zone)),
                    Cause::Request(_) | Cause::Held { .. } => ZoneFacts::default(),
                },
                providers: &|app| self.directory.app_providers(tenant, app),
                campaigns: &campaigns,
                is_cancelled,
                sent: sends.message(&item.cause),
                quota: quota.and_then(|_| leases.left(tenant)),
            };
            let verdict = states.change(&item.key, |state| {
                let verdict = decide(state, &item.cause, &item.campaigns, &facts);
                let has_changed = matches!(verdict, Verdict::Decided(_));
                (verdict, has_changed)
            });
            match verdict {
                Verdict::Seen => outputs.count("seen"),
                Verdict::Untriggered => outputs.count("untriggered"),
                Verdict::Decided(decisions) => {
                    for decision in &decisions {
                        outputs.decided(decision, item.trace);
                    }
                    let is_removal = matches!(&item.cause, Cause::Transition(transition) if decide::is_removal(transition));
                    if is_removal {
                        states.remove(&item.key);
                    }
                    changed.insert(item.key);
                }
            }
        }
        None
    }
}
