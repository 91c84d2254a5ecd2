//! The stage: pushes come from the log, ends go to the deliveries, and the positions follow.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use geopush_log::{Slice, Stage, StageError, Topic};
use geopush_model::PushReader;
use geopush_service::clock::Clock;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};

use super::config::SliceConfig;
use super::hand::Tools;
use super::intake::INPUTS;
use super::lanes::Lanes;
use super::ledger::{Ledger, Note};
use super::progress::Progress;
use super::work::Work;

/// Sends the pushes of its slices.
pub struct SendStage {
    lanes: Arc<Lanes>,
    clock: Arc<dyn Clock>,
    config: SliceConfig,
    reader: Arc<PushReader>,
}

impl SendStage {
    /// Sends by these lanes.
    pub fn new(lanes: Arc<Lanes>, clock: Arc<dyn Clock>, config: SliceConfig) -> Self {
        Self { lanes, clock, config, reader: Arc::default() }
    }
}

#[async_trait]
impl Stage for SendStage {
    fn group(&self) -> &'static str {
        "send"
    }

    fn inputs(&self) -> &'static [Topic] {
        &INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let _share = self.lanes.share(slice.log().partitions(Topic::Pushes));
        let mut work = self.restore(&slice).await?;
        let mut commits = tokio::time::interval(self.config.commit_every);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked_back = pin!(slice.asked_back());
        loop {
            let again_at = work.admit(&mut slice).await?;
            tokio::select! {
                batch = slice.next(), if work.wants_more() => match batch {
                    Some(batch) => work.put(batch, &slice),
                    None => break,
                },
                // A full hand must not hold the slice back: what it waits for may take hours.
                () = &mut asked_back => break,
                happened = work.hand.event() => work.apply(happened)?,
                _ = commits.tick() => work.commit(&mut slice).await?,
                () = sleep_until(again_at) => {}
            }
        }
        self.drain(&mut work).await?;
        work.commit(&mut slice).await
    }
}

impl SendStage {
    /// The pushes' end is read before the ledger: what an owner before has sent lies before the one, and what became
    /// of it is in the other. Of retries the note says how far owners before have sent them.
    async fn restore(&self, slice: &Slice) -> Result<Work, StageError> {
        let (log, partition) = (slice.log().clone(), slice.number());
        let note = Note::parse(slice.note());
        let mut taken = note.as_ref().map(|note| note.taken.clone()).unwrap_or_default();
        let ledger_from = note.as_ref().map_or(0, |note| note.ledger_from);
        let mut inputs = Vec::with_capacity(INPUTS.len());
        for (input, topic) in INPUTS.into_iter().enumerate() {
            let position = slice.positions().get(input).copied().unwrap_or_default();
            let replay_until = match (input.checked_sub(1), &note) {
                // Without a note of ours nothing is known.
                (None, _) | (_, None) => log.end(topic, partition).await?,
                (Some(retries), Some(_)) => taken.get(retries).copied().unwrap_or(position).max(position),
            };
            inputs.push((position, replay_until));
        }
        taken = inputs[1..].iter().map(|(_, replay_until)| *replay_until).collect();
        let progress = Progress::restored(inputs, ledger_from);
        let ledger = match progress.is_replaying() {
            true => Ledger::read(&log, partition, ledger_from).await?,
            false => Ledger::default(),
        };
        let tools = Tools {
            reader: Arc::clone(&self.reader),
            lanes: Arc::clone(&self.lanes),
            clock: Arc::clone(&self.clock),
            waits: self.config.waits,
            log,
            hold: slice.hold(),
            partition,
        };
        Ok(Work::new(tools, self.config.in_hand, progress, ledger, taken, slice))
    }

    /// Those who wait are sent away, to be sent after the restart; answers under way are waited for.
    async fn drain(&self, work: &mut Work) -> Result<(), StageError> {
        let limit: Duration = self.config.drain;
        work.hand.stop();
        let deadline = Instant::now() + limit;
        while !work.hand.is_still() {
            match tokio::time::timeout_at(deadline, work.hand.event()).await {
                Ok(happened) => work.apply(happened)?,
                Err(_) => {
                    let left = work.hand.pushes();
                    tracing::warn!(
                        left,
                        ?limit,
                        "providers did not answer in time; these pushes are sent again, with the same ids"
                    );
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
