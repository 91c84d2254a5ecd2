//! Takes what happened from the log, writes it, and commits once it is durable.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use geopush_log::{Batch, Lost, Offset, Record, Slice, Stage, StageError, Topic, rejected};
use geopush_model::{Delivery, Transition, UnixMillis, Wire};
use geopush_registry::Devices;
use geopush_service::clock::Clock;
use geopush_store::{Store, StoreError, Table};
use tokio::time::MissedTickBehavior;

use super::buckets::{Bucket, BucketRows, WrittenBuckets};
use super::deliveries::{self, DeliveryRows};
use super::positions::PositionChanges;
use super::presence::PresenceChanges;
use super::repeats::Repeats;
use super::totals::Totals;
use super::transitions::{self, TransitionRows};
use super::write::put;
use crate::outage::Patience;

const INPUTS: [Topic; 3] = [Topic::Deliveries, Topic::Transitions, Topic::DeviceState];
/// Nobody waits for this stage's positions, and what is read again is written as it was: so the brokers' transactions
/// are left to the stages that are waited for.
const COMMIT_EVERY: Duration = Duration::from_millis(250);
/// Tokens that are being dropped at once.
const DROPS: usize = 16;

pub(super) struct RecordStage {
    pub(super) store: Store,
    pub(super) devices: Devices,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) patience: Patience,
    pub(super) rows_at_once: usize,
}

#[async_trait]
impl Stage for RecordStage {
    fn group(&self) -> &'static str {
        "record"
    }

    fn inputs(&self) -> &'static [Topic] {
        &INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let delivered = slice.positions().first().copied().unwrap_or_default();
        let mut repeats = Repeats::read(slice.log(), slice.number(), delivered).await?;
        let mut totals = Totals::new(slice.number());
        let mut written = WrittenBuckets::default();
        let mut positions = slice.positions().to_vec();
        let mut outputs = Vec::new();
        let mut commits = tokio::time::interval(COMMIT_EVERY);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let batch = tokio::select! {
                batch = slice.next() => batch,
                _ = commits.tick() => {
                    commit(&mut slice, &positions, &mut outputs).await?;
                    continue;
                }
            };
            let Some(batch) = batch else { break };
            let begun = Instant::now();
            let refused_before = outputs.len();
            let topic = INPUTS[batch.input];
            match topic {
                Topic::Deliveries => {
                    let mut deliveries = decode::<Delivery>(&batch, topic, slice.number(), &mut outputs);
                    let deferred = deliveries.len() - deliveries::ends(&deliveries).count();
                    metrics::counter!("geopush_dispatcher_record_deferred_total").increment(deferred as u64);
                    let repeated = repeats.leave_out(&mut deliveries);
                    metrics::counter!("geopush_dispatcher_record_repeated_total").increment(repeated as u64);
                    self.deliveries(&deliveries, &mut totals, &mut written).await?;
                }
                Topic::Transitions => {
                    let decoded = decode::<Transition>(&batch, topic, slice.number(), &mut outputs);
                    let transitions: Vec<_> = decoded.into_iter().map(|(_, transition)| transition).collect();
                    self.transitions(&transitions, &mut written).await?;
                }
                _ => self.positions(&batch, slice.number(), &mut outputs).await?,
            }
            positions[batch.input] = batch.next;
            let refused = (outputs.len() - refused_before) as u64;
            metrics::counter!("geopush_dispatcher_record_rejected_total", "topic" => topic.name())
                .increment(refused);
            metrics::histogram!("geopush_dispatcher_record_batch_seconds", "topic" => topic.name())
                .record(begun.elapsed().as_secs_f64());
        }
        Ok(commit(&mut slice, &positions, &mut outputs).await?)
    }
}

/// Commits how far the slice has come, if that is further than before.
async fn commit(slice: &mut Slice, positions: &[Offset], outputs: &mut Vec<Record>) -> Result<(), Lost> {
    if slice.positions() == positions {
        return Ok(());
    }
    slice.commit(positions.to_vec(), String::new(), std::mem::take(outputs)).await
}

impl RecordStage {
    async fn deliveries(
        &self,
        deliveries: &[(Offset, Delivery)],
        totals: &mut Totals,
        written: &mut WrittenBuckets,
    ) -> Result<(), StageError> {
        let rows = DeliveryRows::of(deliveries);
        let buckets = written.missing(deliveries::buckets_of(deliveries), self.clock.now_ms());
        let bucket_rows: BucketRows = buckets.iter().cloned().collect();
        self.patience
            .with("write deliveries", async || {
                // The lists of buckets come first: a row that no list leads to would not be found.
                futures::try_join!(
                    self.put(&bucket_rows.source_hours),
                    self.put(&bucket_rows.device_months),
                    self.put(&bucket_rows.dead_letter_hours)
                )?;
                futures::try_join!(
                    self.put(&rows.by_source),
                    self.put(&rows.by_device),
                    self.put(&rows.by_id),
                    self.put(&rows.dead_letters),
                    self.drop_tokens(deliveries)
                )
            })
            .await?;
        written.written(buckets);
        self.count(deliveries, totals).await
    }

    async fn count(&self, deliveries: &[(Offset, Delivery)], totals: &mut Totals) -> Result<(), StageError> {
        self.load(deliveries, totals).await?;
        let rows = totals.count(deliveries);
        self.patience.with("write the totals of deliveries", || self.put(&rows)).await
    }

    /// Like [`Patience::with`], for work that changes what it is given.
    async fn load(&self, deliveries: &[(Offset, Delivery)], totals: &mut Totals) -> Result<(), StageError> {
        let totals = tokio::sync::Mutex::new(totals);
        self.patience
            .with("read the totals of deliveries", async || {
                totals.lock().await.load(&self.store, deliveries).await
            })
            .await
    }

    async fn transitions(
        &self,
        transitions: &[Transition],
        written: &mut WrittenBuckets,
    ) -> Result<(), StageError> {
        let rows = TransitionRows::of(transitions);
        let presence = PresenceChanges::of(transitions);
        let buckets: HashSet<Bucket> =
            written.missing(transitions::buckets_of(transitions), self.clock.now_ms());
        let bucket_rows: BucketRows = buckets.iter().cloned().collect();
        self.patience
            .with("write transitions and presence", async || {
                futures::try_join!(self.put(&bucket_rows.zone_days), self.put(&bucket_rows.device_months))?;
                futures::try_join!(
                    self.put(&rows.by_zone),
                    self.put(&rows.by_device),
                    self.put(&presence.by_device),
                    self.put(&presence.by_zone),
                    presence.remove(&self.store),
                )
            })
            .await?;
        written.written(buckets);
        Ok(())
    }

    async fn positions(
        &self,
        batch: &Batch,
        slice: u32,
        outputs: &mut Vec<Record>,
    ) -> Result<(), StageError> {
        let mut changes = PositionChanges::default();
        for record in &batch.records {
            if let Err(error) = changes.take(record) {
                outputs.push(rejected(Topic::DeviceState, slice, record, &error.to_string()));
            }
        }
        let rows = changes.rows();
        self.patience
            .with("write positions", async || {
                futures::try_join!(self.put(&rows), changes.remove(&self.store)).map(drop)
            })
            .await
    }

    async fn put<T: Table + Clone>(&self, rows: &[T]) -> Result<(), StoreError> {
        put(&self.store, rows, self.rows_at_once).await
    }

    /// Drops the tokens that providers called dead, where they are still the devices' and were not
    /// registered since.
    async fn drop_tokens(&self, deliveries: &[(Offset, Delivery)]) -> Result<(), StoreError> {
        let dead = deliveries.iter().filter_map(|(_, d)| Some((d, d.dead_token.as_ref()?)));
        let now = UnixMillis(self.clock.now_ms());
        stream::iter(dead)
            .map(Ok)
            .try_for_each_concurrent(DROPS, async |(delivery, dead)| {
                let dropped = self.devices.drop_token_if(delivery.tenant, &delivery.device, dead, now).await;
                let outcome = match dropped {
                    Ok(true) => "dropped",
                    Ok(false) => "replaced_before",
                    // It can't be read, so nothing will be sent to it either.
                    Err(StoreError::Corrupt { .. }) => "unreadable_device",
                    Err(error) => return Err(error),
                };
                metrics::counter!("geopush_dispatcher_record_dead_tokens_total", "outcome" => outcome)
                    .increment(1);
                Ok(())
            })
            .await
    }
}

/// The values of a batch with their offsets; what can't be read goes to [`Topic::Rejected`], and tombstones say
/// nothing here.
fn decode<T: Wire>(batch: &Batch, topic: Topic, slice: u32, outputs: &mut Vec<Record>) -> Vec<(Offset, T)> {
    let mut decoded = Vec::with_capacity(batch.records.len());
    for record in &batch.records {
        match record.value.as_deref().map(T::decode) {
            None => {}
            Some(Ok(value)) => decoded.push((record.offset, value)),
            Some(Err(error)) => {
                outputs.push(rejected(topic, slice, record, &error.to_string()));
            }
        }
    }
    decoded
}
