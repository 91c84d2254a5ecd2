//! The work on one slice while it is owned.

use std::sync::Arc;
use std::time::{Duration, Instant};

use geopush_log::{Batch, Offset, Received, Record, Slice, StageError, Topic, rejected};
use geopush_model::{DeviceKey, Ping, UnixMillis, Wire as _, ZoneId};
use tokio::time::MissedTickBehavior;

use super::effects::Effects;
use super::gauges::Gauges;
use super::note::Note;
use super::pace::Turn;
use super::restore::restore;
use super::serve::Geofence;
use super::state::{InHand, SliceState};
use super::zone_changes::ZoneChanges;
use super::zone_feed::{News, Zones};
use crate::engine::ZoneChange;

/// A position that moved without effects is committed after this time,
const COMMIT_AFTER: Duration = Duration::from_secs(1);
/// or this many pings. Until then a crash means that they are evaluated again, to no effect again.
const COMMIT_AFTER_PINGS: usize = 5_000;
/// So many pings are decoded before they are evaluated together.
const GROUP: usize = 64;
/// A flush interval has this many steps.
const FLUSH_STEPS: u32 = 32;
/// How often silences are looked for.
const TICK: Duration = Duration::from_millis(500);
/// How long a batch waits for the zones.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(30);

/// A slice, its state, and how far it is.
pub(super) struct Work<'a> {
    stage: &'a Geofence,
    slice: Slice,
    state: SliceState,
    gauges: Gauges,
    /// Every ping before this has had its effect on the state.
    position: Offset,
    zone_changes: ZoneChanges,
    committed_at: Instant,
    uncommitted_pings: usize,
    flush: FlushClock,
}

impl<'a> Work<'a> {
    /// Restores the slice's state, and publishes what happened to its zones meanwhile.
    pub(super) async fn restore(stage: &'a Geofence, slice: Slice) -> Result<Self, StageError> {
        let (state, note) = restore(&slice, stage.config.rules()).await?;
        let mut work = Self {
            stage,
            position: slice.positions()[0],
            slice,
            state,
            gauges: Gauges::default(),
            zone_changes: ZoneChanges::from(note.zones),
            committed_at: Instant::now(),
            uncommitted_pings: 0,
            flush: FlushClock::new(stage.config.flush_interval),
        };
        work.reconcile_zones(&stage.feed.now());
        Ok(work)
    }

    /// Takes batches, zone changes and silences until the slice is asked back.
    pub(super) async fn run(mut self) -> Result<(), StageError> {
        let mut zones_changed = self.stage.feed.watch();
        // Something may have come since the restore looked.
        zones_changed.mark_changed();
        let mut ticks = tokio::time::interval(TICK.min(self.flush.step));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (devices, members) = self.state.size();
            self.gauges.set(devices, members, self.zone_changes.len());
            let portion = self.zone_changes.portion();
            tokio::select! {
                _ = ticks.tick() => self.tick().await?,
                batch = self.slice.next() => match batch {
                    Some(batch) => self.take_batch(&batch).await?,
                    None => break,
                },
                turn = self.stage.pace.turn(portion) => self.judge_members(turn).await?,
                Ok(()) = zones_changed.changed() => self.catch_up(),
            }
        }
        if self.uncommitted_pings > 0 {
            self.commit(Effects::default(), Vec::new()).await?;
        }
        Ok(())
    }

    async fn take_batch(&mut self, batch: &Batch) -> Result<(), StageError> {
        let begun = Instant::now();
        self.wait_for_zones().await?;
        let mut effects = Effects::default();
        let mut group = Vec::with_capacity(GROUP);
        for record in &batch.records {
            let Some(ping) = self.decode(record, &mut effects) else { continue };
            // Time, in a backlog, is that of the record in hand.
            let now = ping.received_at;
            if group.len() == GROUP || effects.are_enough() || self.state.may_expire(now) {
                self.take(&mut group, record.offset, &mut effects).await?;
                self.expire(now, &mut effects).await?;
            }
            group.push(InHand { offset: record.offset, trace: record.trace, ping });
        }
        self.take(&mut group, batch.next, &mut effects).await?;
        metrics::histogram!("geopush_geofence_batch_seconds").record(begun.elapsed().as_secs_f64());
        if !effects.is_empty() {
            return self.commit(effects, Vec::new()).await;
        }
        effects.report(self.now());
        self.commit_position_if_due().await
    }

    fn decode(&self, record: &Received, effects: &mut Effects) -> Option<Ping> {
        let decoded = match &record.value {
            Some(value) => Ping::decode(value).map_err(|error| error.to_string()),
            None => Err("a ping has a value".to_owned()),
        };
        let rejected = |reason: String| {
            let (slice, offset) = (self.slice.number(), record.offset);
            tracing::warn!(slice, offset, reason, "a ping could not be decoded; it goes to geopush.rejected");
            effects.reject(rejected(Topic::Pings, slice, record, &reason));
        };
        decoded.map_err(rejected).ok()
    }

    /// Takes the pings in hand, which are all before `next`.
    async fn take(
        &mut self,
        group: &mut Vec<InHand>,
        next: Offset,
        effects: &mut Effects,
    ) -> Result<(), StageError> {
        self.judge(group, effects);
        self.uncommitted_pings += group.len();
        self.position = next;
        group.clear();
        self.commit_if_enough(effects).await
    }

    /// Judges pings by the zones of one moment, and before that their devices by every change that led to it.
    fn judge(&mut self, group: &[InHand], effects: &mut Effects) {
        self.catch_up();
        let zones = self.stage.feed.now();
        self.catch_up_with(&zones);
        if !self.zone_changes.is_empty() {
            for InHand { ping, .. } in group {
                self.zone_changes.apply_to(&ping.key(), &mut self.state, effects);
            }
        }
        self.state.take(zones.index(), &self.stage.settings, group, effects);
    }

    /// Ends the stays of devices that had been silent for too long at a time.
    async fn expire(&mut self, now: UnixMillis, effects: &mut Effects) -> Result<(), StageError> {
        while self.state.may_expire(now) {
            self.state.expire(now, effects);
            self.commit_if_enough(effects).await?;
        }
        Ok(())
    }

    async fn commit_if_enough(&mut self, effects: &mut Effects) -> Result<(), StageError> {
        if effects.are_enough() { self.commit(std::mem::take(effects), Vec::new()).await } else { Ok(()) }
    }

    /// The read barrier: what was answered to a merchant of zones and settings is seen by every ping that came later.
    async fn wait_for_zones(&self) -> Result<(), StageError> {
        match tokio::time::timeout(BARRIER_TIMEOUT, self.stage.follower.barrier()).await {
            Ok(reached) => Ok(reached?),
            Err(_) => Err(StageError::Dependency(format!(
                "zones and settings could not be read for {BARRIER_TIMEOUT:?}; check the log's backend"
            ))),
        }
    }

    /// Takes in the zone changes since the last time. It takes a while to find who is in a zone, and others may go on
    /// changing zones meanwhile.
    fn catch_up(&mut self) {
        let zones = self.stage.feed.now();
        let next = zones.next();
        let News::Changes(changes) = zones.since(self.zone_changes.taken()) else {
            return self.reconcile_zones(&zones);
        };
        drop(zones);
        self.zone_changes.take(changes, next, &self.state);
    }

    /// Takes in what is left of them, so that this slice is where these zones are.
    fn catch_up_with(&mut self, zones: &Zones<'_>) {
        let taken = self.zone_changes.taken();
        if taken >= zones.next() {
            return;
        }
        match zones.since(taken) {
            News::Changes(changes) => self.zone_changes.take(changes, zones.next(), &self.state),
            News::TooMany => self.reconcile_zones(zones),
        }
    }

    /// Takes in the latest version of every zone that has members, where it is news.
    fn reconcile_zones(&mut self, zones: &Zones<'_>) {
        let from = self.zone_changes.taken();
        let news = |(zone, member): (ZoneId, &DeviceKey)| match zones.latest(zone) {
            None => Some((from, Arc::new(ZoneChange::vanished(member.tenant, zone)))),
            Some((offset, change)) => (offset >= from).then_some((offset, change)),
        };
        let mut changes: Vec<_> = self.state.zones_with_members().filter_map(news).collect();
        changes.sort_by_key(|(offset, _)| *offset);
        self.zone_changes.take(changes, zones.next(), &self.state);
    }

    /// Judges some of the members that zone changes wait for.
    async fn judge_members(&mut self, turn: Turn<'_>) -> Result<(), StageError> {
        let mut effects = Effects::default();
        self.zone_changes.apply_some(turn.members, &mut self.state, &mut effects);
        if !effects.is_empty() {
            let begun = Instant::now();
            self.commit(effects, Vec::new()).await?;
            turn.committed(begun.elapsed());
        }
        Ok(())
    }

    async fn tick(&mut self) -> Result<(), StageError> {
        let now = self.now();
        let buckets = self.flush.due(Instant::now());
        let mut caught_up = None;
        if self.state.may_expire(now) || !buckets.is_empty() {
            caught_up = self.slice.is_caught_up().await?.then_some(now);
        }
        let mut effects = Effects::default();
        if let Some(now) = caught_up {
            self.expire(now, &mut effects).await?;
        }
        let position = self.position;
        let flushed: Vec<_> =
            buckets.flat_map(|bucket| self.state.flush(bucket, position, caught_up, &mut effects)).collect();
        if !flushed.is_empty() || !effects.is_empty() {
            return self.commit(effects, flushed).await;
        }
        self.commit_position_if_due().await
    }

    async fn commit_position_if_due(&mut self) -> Result<(), StageError> {
        let due = self.uncommitted_pings >= COMMIT_AFTER_PINGS
            || self.uncommitted_pings > 0 && self.committed_at.elapsed() >= COMMIT_AFTER;
        if due { self.commit(Effects::default(), Vec::new()).await } else { Ok(()) }
    }

    async fn commit(&mut self, effects: Effects, flushed: Vec<Record>) -> Result<(), StageError> {
        let mut outputs = effects.records();
        outputs.extend(self.state.own_records(&effects, self.position));
        outputs.extend(flushed);
        let note =
            Note { replay_from: self.state.replay_from(self.position), zones: self.zone_changes.applied() };
        self.slice.commit(vec![self.position], note.to_string(), outputs).await?;
        self.committed_at = Instant::now();
        self.uncommitted_pings = 0;
        effects.report(self.now());
        Ok(())
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(self.stage.clock.now_ms())
    }
}

/// Which buckets are to be flushed when: all in one interval, in equal steps.
struct FlushClock {
    step: Duration,
    next_at: Instant,
    next: u32,
}

impl FlushClock {
    fn new(interval: Duration) -> Self {
        let step = (interval / FLUSH_STEPS).max(Duration::from_millis(1));
        Self { step, next_at: Instant::now() + step, next: 0 }
    }

    fn due(&mut self, now: Instant) -> std::ops::Range<u32> {
        if now < self.next_at {
            return 0..0;
        }
        self.next_at = now + self.step;
        let first = self.next * (SliceState::BUCKETS / FLUSH_STEPS);
        self.next = (self.next + 1) % FLUSH_STEPS;
        first..first + SliceState::BUCKETS / FLUSH_STEPS
    }
}
