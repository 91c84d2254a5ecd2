//! Takes causes from the log, has them decided on, and publishes the decisions with the state after them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use geopush_log::{Cursor, Received, Record, Slice, Stage, StageError, Topic, TraceId, Until, rejected};
use geopush_model::{
    DeviceKey, ExitReason, PlanState, PushRequest, Transition, TransitionKind, UnixMillis, Wire as _,
    WireError,
};
use geopush_registry::{Device, Devices, Directory};
use geopush_service::clock::Clock;
use geopush_store::{Store, StoreError};

use super::Followed;
use super::decide::{Decision, Facts, Verdict, decide_request, decide_transition};
use super::index::Planned;
use crate::outage::Patience;
use crate::visits::{Asked, Moment, Past, past_of};

const INPUTS: [Topic; 2] = [Topic::Transitions, Topic::PushRequests];
/// Devices' rows asked for at once.
const ROWS_AT_ONCE: usize = 500;
/// So many decisions in one commit are enough: however many campaigns a batch meets, it stays small for the log.
const ENOUGH: usize = 2_000;
/// How long a read of the changelog waits for more before it looks at its end.
const RESTORE_WAIT: Duration = Duration::from_secs(5);

pub(super) struct PlanStage {
    pub(super) store: Store,
    pub(super) devices: Devices,
    pub(super) directory: Arc<Directory>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) followed: Followed,
    pub(super) patience: Patience,
    pub(super) ttl_ms: i64,
}

/// What was decided about the devices of a slice so far.
type States = HashMap<DeviceKey, PlanState>;

/// Something to decide on.
enum Cause {
    Transition {
        transition: Transition,
        /// As they were after the read barrier: what is read for them is what they are decided by.
        triggered: Vec<Arc<Planned>>,
        visits: Past,
    },
    Request(PushRequest),
}

impl Cause {
    fn key(&self) -> DeviceKey {
        match self {
            Self::Transition { transition, .. } => transition.key(),
            Self::Request(request) => request.key(),
        }
    }

    /// Whether the device's row matters.
    fn needs_device(&self) -> bool {
        match self {
            Self::Transition { triggered, .. } => !triggered.is_empty(),
            Self::Request(_) => true,
        }
    }

    /// How many it leads to.
    fn decisions(&self) -> usize {
        match self {
            Self::Transition { triggered, .. } => triggered.len(),
            Self::Request(_) => 1,
        }
    }

    fn is_removal(&self) -> bool {
        match self {
            Self::Transition { transition, .. } => {
                transition.kind == TransitionKind::Exit(ExitReason::DeviceRemoved)
            }
            Self::Request(_) => false,
        }
    }
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
        let mut states = restore(&slice).await?;
        while let Some(batch) = slice.next().await {
            let mut rest = &batch.records[..];
            while !rest.is_empty() {
                let begun = Instant::now();
                let mut outputs =
                    Outputs { slice: slice.number(), records: Vec::new(), counts: BTreeMap::new() };
                let causes = self.read(INPUTS[batch.input], &mut rest, &mut outputs).await?;
                let devices = self.devices_of(&causes).await?;
                self.decide(causes, &devices, &mut states, &mut outputs);
                let mut positions = slice.positions().to_vec();
                positions[batch.input] = rest.first().map_or(batch.next, |record| record.offset);
                slice.commit(positions, String::new(), outputs.records).await?;
                // Counted once they are published: what was lost is decided on again.
                for (outcome, count) in outputs.counts {
                    metrics::counter!("geopush_dispatcher_plan_causes_total", "outcome" => outcome)
                        .increment(count);
                }
                metrics::histogram!("geopush_dispatcher_plan_batch_seconds")
                    .record(begun.elapsed().as_secs_f64());
            }
        }
        Ok(())
    }
}

impl PlanStage {
    /// The causes at the front of `rest`, as many as one commit should decide on, with what their campaigns ask for,
    /// after everything that was answered before them is known.
    async fn read(
        &self,
        topic: Topic,
        rest: &mut &[Received],
        outputs: &mut Outputs,
    ) -> Result<Vec<(Option<TraceId>, Cause)>, StageError> {
        futures::try_join!(self.followed.barrier(), self.directory.barrier())?;
        let mut causes = Vec::with_capacity(rest.len());
        let mut decisions = 0;
        while decisions < ENOUGH
            && let Some((record, others)) = rest.split_first()
        {
            *rest = others;
            match self.cause(topic, record) {
                Ok(cause) => {
                    decisions += cause.decisions();
                    causes.push((record.trace, cause));
                }
                Err(error) => outputs.reject(topic, record, &error.to_string()),
            }
        }
        for (_, cause) in &mut causes {
            let Cause::Transition { transition, triggered, visits } = cause else { continue };
            let mut asked = Asked::default();
            triggered
                .iter()
                .filter_map(|p| p.audience())
                .for_each(|audience| asked.asks.merge(audience.asks()));
            if asked.is_nothing() {
                continue;
            }
            let (key, moment) = (transition.key(), Moment::of(transition));
            let has_tag = |zone, tag: &str| {
                let zone_tags = self.followed.zone_tags.read().unwrap_or_else(PoisonError::into_inner);
                zone_tags.of(zone).iter().any(|other| other == tag)
            };
            *visits = self
                .patience
                .with("read a device's visits", || past_of(&self.store, &key, &asked, moment, has_tag))
                .await?;
        }
        Ok(causes)
    }

    fn cause(&self, topic: Topic, record: &Received) -> Result<Cause, WireError> {
        let value = record.value.as_deref().ok_or(WireError::Member("value"))?;
        if topic == Topic::PushRequests {
            return PushRequest::decode(value).map(Cause::Request);
        }
        let transition = Transition::decode(value)?;
        let campaigns = self.followed.campaigns.read().unwrap_or_else(PoisonError::into_inner);
        let zone_tags = self.followed.zone_tags.read().unwrap_or_else(PoisonError::into_inner);
        let triggered = campaigns.triggered_by(&transition, zone_tags.of(transition.zone));
        Ok(Cause::Transition { transition, triggered, visits: Past::default() })
    }

    /// The devices that are decided on, as they are now.
    async fn devices_of(
        &self,
        causes: &[(Option<TraceId>, Cause)],
    ) -> Result<HashMap<DeviceKey, Device>, StageError> {
        let needed: BTreeSet<DeviceKey> =
            causes.iter().filter(|(_, cause)| cause.needs_device()).map(|(_, cause)| cause.key()).collect();
        let needed: Vec<DeviceKey> = needed.into_iter().collect();
        let mut devices = HashMap::with_capacity(needed.len());
        for keys in needed.chunks(ROWS_AT_ONCE) {
            let found = self.patience.with("read devices", || read_devices(&self.devices, keys)).await?;
            devices.extend(keys.iter().cloned().zip(found).filter_map(|(key, device)| Some((key, device?))));
        }
        Ok(devices)
    }

    fn decide(
        &self,
        causes: Vec<(Option<TraceId>, Cause)>,
        devices: &HashMap<DeviceKey, Device>,
        states: &mut States,
        outputs: &mut Outputs,
    ) {
        let campaigns = self.followed.campaigns.read().unwrap_or_else(PoisonError::into_inner);
        let cooldown_s = |id| campaigns.get(id).map(|planned| planned.campaign.cooldown_s);
        let now = UnixMillis(self.clock.now_ms());
        let mut changed = BTreeSet::new();
        for (trace, cause) in causes {
            let key = cause.key();
            let no_visits = Past::default();
            let facts = Facts {
                now,
                ttl_ms: self.ttl_ms,
                device: devices.get(&key),
                visits: if let Cause::Transition { visits, .. } = &cause { visits } else { &no_visits },
                providers: &|app| self.directory.app_providers(key.tenant, app),
                cooldown_s: &cooldown_s,
            };
            let state = states.entry(key.clone()).or_default();
            let verdict = match &cause {
                Cause::Transition { transition, triggered, .. } => {
                    decide_transition(state, transition, triggered, &facts)
                }
                Cause::Request(request) => decide_request(state, request, &facts),
            };
            match verdict {
                Verdict::Seen => outputs.count("seen"),
                Verdict::Decided(decisions) => {
                    if decisions.is_empty() {
                        outputs.count("untriggered");
                    }
                    for decision in decisions {
                        outputs.decided(decision, trace);
                    }
                    if cause.is_removal() {
                        states.remove(&key);
                    }
                    changed.insert(key);
                }
            }
        }
        for key in changed {
            outputs.state(&key, states.get(&key));
        }
    }
}

/// The devices of these keys. One whose row can't be read is taken as not registered, so that it holds up nobody else.
async fn read_devices(devices: &Devices, keys: &[DeviceKey]) -> Result<Vec<Option<Device>>, StoreError> {
    match devices.get_many(keys).await {
        Err(StoreError::Corrupt { .. }) => {}
        found => return found,
    }
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.push(match devices.get(key.tenant, &key.device).await {
            Err(error @ StoreError::Corrupt { .. }) => {
                metrics::counter!("geopush_dispatcher_plan_unreadable_devices_total").increment(1);
                tracing::error!(%error, "a device is taken as not registered; register it again");
                None
            }
            device => device?,
        });
    }
    Ok(found)
}

/// The state as the changelog has it.
async fn restore(slice: &Slice) -> Result<States, StageError> {
    let begun = Instant::now();
    let mut states = States::new();
    let from = Cursor { topic: Topic::PlanState, partition: slice.number(), offset: 0 };
    let mut reader = slice.log().read(vec![from], Until::Now).await?;
    while !reader.done() {
        let Some((_, records)) = reader.next(RESTORE_WAIT).await? else { continue };
        for record in records {
            let Some(key) = DeviceKey::parse(&record.key) else { continue };
            match record.value.as_deref().map(PlanState::decode) {
                Some(Ok(state)) => {
                    states.insert(key, state);
                }
                None => {
                    states.remove(&key);
                }
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
    metrics::histogram!("geopush_dispatcher_plan_restore_seconds").record(begun.elapsed().as_secs_f64());
    tracing::info!(slice = slice.number(), devices = states.len(), "plan's state is restored");
    Ok(states)
}

/// What one commit publishes.
struct Outputs {
    slice: u32,
    records: Vec<Record>,
    /// What became of the causes, by the name that metrics have for it.
    counts: BTreeMap<&'static str, u64>,
}

impl Outputs {
    fn count(&mut self, outcome: &'static str) {
        *self.counts.entry(outcome).or_default() += 1;
    }

    fn reject(&mut self, topic: Topic, record: &Received, reason: &str) {
        self.count("rejected");
        self.records.push(rejected(topic, self.slice, record, reason));
    }

    fn decided(&mut self, decision: Decision, trace: Option<TraceId>) {
        let record = match decision {
            Decision::Push(push) => {
                self.count("push");
                let trace_id = trace.map(tracing::field::display);
                tracing::debug!(trace_id, push = %push.id, source = %push.origin.source.id(), "a push was decided on");
                if let Some(received_at) = push.received_at {
                    let ms = push.created_at.since_ms(received_at).max(0);
                    metrics::histogram!("geopush_dispatcher_plan_received_to_decided_seconds")
                        .record(ms as f64 / 1_000.0);
                }
                Record::new(Topic::Pushes, push.key().to_bytes(), push.encode())
            }
            Decision::Suppressed(delivery) => {
                let reason = delivery.reason.map_or("suppressed", |reason| reason.as_str());
                self.count(reason);
                let trace_id = trace.map(tracing::field::display);
                tracing::debug!(trace_id, push = %delivery.push, reason, "a push was suppressed");
                Record::new(Topic::Deliveries, delivery.key().to_bytes(), delivery.encode())
            }
        };
        self.records.push(record.traced(trace));
    }

    /// To the slice's own partition of the changelog, where it is restored from.
    fn state(&mut self, key: &DeviceKey, state: Option<&PlanState>) {
        let key = key.to_bytes();
        let record = match state {
            Some(state) => Record::new(Topic::PlanState, key, state.encode()),
            None => Record::tombstone(Topic::PlanState, key),
        };
        self.records.push(record.at(self.slice));
    }
}
