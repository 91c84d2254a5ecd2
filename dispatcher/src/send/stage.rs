//! The stage: pushes come from the log, ends go to the deliveries, and the position follows.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use geopush_log::{
    AppendError, Batch, Hold, Offset, Received, Record, SharedLog, Slice, Stage, StageError, Topic, rejected,
};
use geopush_model::{Push, UnixMillis, Wire as _};
use geopush_service::clock::Clock;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::config::SliceConfig;
use super::deliver::deliver;
use super::event;
use super::lanes::Lanes;
use super::ledger::{Ledger, Note};
use super::progress::Progress;

const INPUTS: &[Topic] = &[Topic::Pushes];

/// The most ends that are appended at once.
const MAX_APPEND: usize = 1_000;
/// A failed append is tried again after this, doubling, for as long as [`APPEND_LIMIT`].
const APPEND_PAUSE: Duration = Duration::from_millis(50);
/// Then the slice starts again, and sends again what could not be written down.
const APPEND_LIMIT: Duration = Duration::from_secs(60);

/// Sends the pushes of its slices.
pub struct SendStage {
    lanes: Arc<Lanes>,
    clock: Arc<dyn Clock>,
    config: SliceConfig,
}

impl SendStage {
    /// Sends by these lanes.
    pub fn new(lanes: Arc<Lanes>, clock: Arc<dyn Clock>, config: SliceConfig) -> Self {
        Self { lanes, clock, config }
    }
}

#[async_trait]
impl Stage for SendStage {
    fn group(&self) -> &'static str {
        "send"
    }

    fn inputs(&self) -> &'static [Topic] {
        INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let _share = self.lanes.share(slice.log().partitions(Topic::Pushes));
        let mut hand = self.restore(&slice).await?;
        let mut commits = tokio::time::interval(self.config.commit_every);
        commits.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked_back = pin!(slice.asked_back());
        loop {
            let wants_more = hand.progress.in_hand() < self.config.in_hand;
            tokio::select! {
                batch = slice.next(), if wants_more => match batch {
                    Some(batch) => hand.take(batch, slice.log(), &self.lanes, &self.clock).await?,
                    None => break,
                },
                // A full hand must not hold the slice back: what it waits for may take hours.
                () = &mut asked_back => break,
                event = hand.event() => hand.apply(event)?,
                _ = commits.tick() => hand.commit(&mut slice).await?,
            }
        }
        hand.drain(self.config.drain).await?;
        hand.commit(&mut slice).await
    }
}

impl SendStage {
    /// The pushes' end is read before the ledger: what an owner before has sent lies before the one, and its ends
    /// are in the other.
    async fn restore(&self, slice: &Slice) -> Result<Hand, StageError> {
        let (log, partition) = (slice.log().clone(), slice.number());
        let position = slice.positions().first().copied().unwrap_or_default();
        let note = Note::parse(slice.note());
        let replay_until = log.end(Topic::Pushes, partition).await?;
        let ledger = match replay_until > position {
            true => Ledger::read(&log, partition, note.ledger_from).await?,
            false => Ledger::default(),
        };
        Ok(Hand {
            partition,
            hold: slice.hold(),
            progress: Progress::restored(position, note.ledger_from, replay_until),
            ledger,
            committed: (position, note),
            sends: JoinSet::new(),
            ended: Vec::new(),
            appending: None,
            stop: CancellationToken::new(),
            log,
        })
    }
}

/// What a slice has in hand.
struct Hand {
    partition: u32,
    log: SharedLog,
    /// A process that stood still must not send what others were given, nor write down ends that are theirs.
    hold: Hold,
    progress: Progress,
    ledger: Ledger,
    committed: (Offset, Note),
    /// Pushes that are sent or wait.
    sends: JoinSet<Option<Ended>>,
    /// Those with an end that is not being written yet.
    ended: Vec<Ended>,
    appending: Option<BoxFuture<'static, Result<Vec<Offset>, AppendError>>>,
    /// Set off to send those who wait away.
    stop: CancellationToken,
}

/// A push's end, to be written.
struct Ended {
    offset: Offset,
    record: Record,
}

enum Happened {
    Send(Result<Option<Ended>, JoinError>),
    Append(Result<Vec<Offset>, AppendError>),
}

impl Hand {
    async fn take(
        &mut self,
        batch: Batch,
        log: &SharedLog,
        lanes: &Arc<Lanes>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(), StageError> {
        let deliveries_end = log.end(Topic::Deliveries, self.partition).await?;
        let offsets = batch.records.iter().map(|record| record.offset);
        self.progress.take(offsets, batch.next, deliveries_end);
        for received in batch.records {
            match read(&received) {
                Ok(push) if self.ledger.settle(push.id) => self.progress.finish(received.offset),
                Ok(push) => {
                    if self.progress.may_have_been_sent(received.offset) {
                        event::uncertain(&push);
                    }
                    self.send(&received, push, lanes, clock);
                }
                Err(reason) => {
                    event::rejected(received.offset, &reason);
                    let record = rejected(Topic::Pushes, self.partition, &received, &reason);
                    self.ended.push(Ended { offset: received.offset, record });
                }
            }
        }
        if !self.progress.is_replaying() {
            self.ledger.close();
        }
        self.append()
    }

    fn send(&mut self, received: &Received, push: Push, lanes: &Arc<Lanes>, clock: &Arc<dyn Clock>) {
        let (lanes, clock, stop) = (Arc::clone(lanes), Arc::clone(clock), self.stop.clone());
        let (partition, offset, trace) = (self.partition, received.offset, received.trace);
        let hold = self.hold.clone();
        self.sends.spawn(async move {
            let ending = deliver(&push, &lanes, &*clock, &stop, || hold.is_sure()).await?;
            let delivery = ending.delivery(&push, UnixMillis(clock.now_ms()));
            event::ended(&push, &delivery);
            if let Some(trace) = trace {
                let outcome = delivery.outcome.as_str();
                tracing::debug!(trace_id = %trace, push = %push.id, outcome, "a push has ended");
            }
            // Beside the push itself, so that the ledger of this slice is this partition.
            let record = Record::new(Topic::Deliveries, delivery.key().to_bytes(), delivery.encode());
            Some(Ended { offset, record: record.at(partition).traced(trace) })
        });
    }

    /// The next thing that happens to what is in hand. Safe to drop while waiting.
    async fn event(&mut self) -> Happened {
        let appending = async {
            match &mut self.appending {
                Some(appending) => appending.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            appended = appending => Happened::Append(appended),
            Some(sent) = self.sends.join_next(), if !self.sends.is_empty() => Happened::Send(sent),
            else => std::future::pending().await,
        }
    }

    fn apply(&mut self, happened: Happened) -> Result<(), StageError> {
        match happened {
            Happened::Send(Ok(ended)) => {
                self.ended.extend(ended);
                while let Some(Ok(ended)) = self.sends.try_join_next() {
                    self.ended.extend(ended);
                }
            }
            Happened::Send(Err(panicked)) => {
                return Err(StageError::Dependency(format!("sending a push ended badly: {panicked}")));
            }
            Happened::Append(appended) => {
                self.appending = None;
                let offsets = appended.map_err(|error| StageError::Dependency(error.to_string()))?;
                for offset in offsets {
                    self.progress.finish(offset);
                }
            }
        }
        self.append()
    }

    /// One append at a time: what ends meanwhile goes together with the next.
    fn append(&mut self) -> Result<(), StageError> {
        if self.appending.is_some() || self.ended.is_empty() {
            return Ok(());
        }
        if !self.hold.is_sure() {
            return Err(StageError::Dependency(
                "this process stood still, and others may have its pushes; what they know comes first"
                    .to_owned(),
            ));
        }
        let ended: Vec<Ended> = self.ended.drain(..self.ended.len().min(MAX_APPEND)).collect();
        let (offsets, records) = ended.into_iter().map(|ended| (ended.offset, ended.record)).unzip();
        self.appending = Some(Box::pin(append(self.log.clone(), self.hold.clone(), offsets, records)));
        Ok(())
    }

    /// Those who wait are sent away, to be sent after the restart; answers under way are waited for.
    async fn drain(&mut self, limit: Duration) -> Result<(), StageError> {
        self.stop.cancel();
        let deadline = Instant::now() + limit;
        while !self.sends.is_empty() || self.appending.is_some() {
            match tokio::time::timeout_at(deadline, self.event()).await {
                Ok(happened) => self.apply(happened)?,
                Err(_) => {
                    let left = self.sends.len();
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

    /// Commits how far the slice has come, if that is further than before.
    async fn commit(&mut self, slice: &mut Slice) -> Result<(), StageError> {
        if self.progress.position() == self.committed.0 {
            return Ok(());
        }
        if self.progress.is_idle() && !self.progress.is_replaying() {
            let end = self.log.end(Topic::Deliveries, self.partition).await?;
            self.progress.advance_ledger(end);
        }
        let position = self.progress.position();
        let note = Note { ledger_from: self.progress.ledger_from() };
        slice.commit(vec![position], note.to_string(), Vec::new()).await?;
        self.committed = (position, note);
        Ok(())
    }
}

fn read(received: &Received) -> Result<Push, String> {
    let value = received.value.as_ref().ok_or("a push must have a value")?;
    Push::decode(value).map_err(|error| error.to_string())
}

/// Appends until it is sure that the records are there. They may be there twice then: whoever reads deliveries goes
/// by the push's id.
async fn append(
    log: SharedLog,
    hold: Hold,
    offsets: Vec<Offset>,
    records: Vec<Record>,
) -> Result<Vec<Offset>, AppendError> {
    let began = Instant::now();
    let mut pause = APPEND_PAUSE;
    loop {
        match log.append(records.clone()).await {
            Ok(()) => return Ok(offsets),
            Err(error @ AppendError::Refused(_)) => return Err(error),
            Err(error) if began.elapsed() > APPEND_LIMIT || !hold.is_sure() => return Err(error),
            Err(error) => {
                event::append_failed(&error, pause);
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(Duration::from_secs(5));
            }
        }
    }
}
