//! Stages, run whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use geopush_log::{Cursor, Offset, Record, SharedLog, Slice, Stage, StageError, Topic, Until, run_stage};
use rand::RngExt as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::harness::{GLIMPSE, Harness, PATIENCE, read_topic, text};

const INPUTS: &[Topic] = &[Topic::Pings, Topic::PushRequests];

/// Counts records by key, the counts in a compacted topic, and fails in every way there is.
struct Counting {
    /// Failures that are still to happen.
    failures: AtomicU32,
}

#[async_trait]
impl Stage for Counting {
    fn group(&self) -> &'static str {
        "counting"
    }

    fn inputs(&self) -> &'static [Topic] {
        INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let mut counts = restore(&slice).await?;
        let mut consumed: u64 = slice.note().parse().unwrap_or(0);
        assert_eq!(consumed, counts.values().sum::<u64>(), "note and changelog are of one commit");
        let mut positions = slice.positions().to_vec();
        while let Some(batch) = slice.next().await {
            let mut outputs = Vec::new();
            for record in &batch.records {
                let count = counts.entry(record.key.clone()).or_default();
                *count += 1;
                consumed += 1;
                let state = Record::new(Topic::PlanState, record.key.clone(), count.to_string());
                outputs.push(state.at(slice.number()));
                let event = Record::new(Topic::Transitions, record.key.clone(), count.to_string());
                outputs.push(event.at(slice.number()));
            }
            positions[batch.input] = batch.next;
            self.fail(&mut outputs)?;
            slice.commit(positions.clone(), consumed.to_string(), outputs).await?;
            self.fail(&mut Vec::new())?;
        }
        Ok(())
    }
}

impl Counting {
    fn fail(&self, outputs: &mut Vec<Record>) -> Result<(), StageError> {
        let mut random = rand::rng();
        if !random.random_bool(0.15) {
            return Ok(());
        }
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left.map(|_| random.random_range(0..3)) {
            Ok(0) => Err(StageError::Dependency("on purpose".to_owned())),
            Ok(1) => panic!("on purpose"),
            // The commit is refused, and lost.
            Ok(_) => {
                outputs.push(Record::new(Topic::Zones, "nowhere", "x").at(9));
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }
}

async fn restore(slice: &Slice) -> Result<BTreeMap<Bytes, u64>, StageError> {
    let cursor = Cursor { topic: Topic::PlanState, partition: slice.number(), offset: 0 };
    let mut reader = slice.log().read(vec![cursor], Until::Now).await?;
    let mut counts = BTreeMap::new();
    while let Some((_, records)) = reader.next(PATIENCE).await? {
        counts
            .extend(records.iter().map(|record| (record.key.clone(), text(record).parse::<u64>().unwrap())));
    }
    Ok(counts)
}

fn spawn(
    log: &SharedLog,
    stage: &Arc<impl Stage>,
) -> (CancellationToken, tokio::task::JoinHandle<Result<(), StageError>>) {
    let shutdown = CancellationToken::new();
    let stage: Arc<dyn Stage> = stage.clone();
    (shutdown.clone(), tokio::spawn(run_stage(log.clone(), stage, shutdown)))
}

pub async fn counts_are_exact_whatever_fails_and_whoever_joins(harness: &dyn Harness) {
    const RECORDS: u64 = 3_000;
    const KEYS: u64 = 40;
    let log = harness.log();
    let stage = Arc::new(Counting { failures: AtomicU32::new(25) });
    let first = spawn(&log, &stage);
    let feeding = tokio::spawn({
        let log = log.clone();
        async move {
            for n in 0..RECORDS / 10 {
                let record = |n: u64| Record::new(INPUTS[(n % 2) as usize], format!("t/{}", n % KEYS), "x");
                log.append((n * 10..n * 10 + 10).map(record).collect()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let mut others = Vec::new();
    for _ in 0..2 {
        tokio::time::sleep(GLIMPSE).await;
        others.push(spawn(&log, &stage));
        tokio::time::sleep(GLIMPSE).await;
        let (shutdown, running) = others.remove(0);
        shutdown.cancel();
        running.await.unwrap().unwrap();
        others.push(spawn(&log, &stage));
    }
    feeding.await.unwrap();

    let all = async {
        while read_topic(&log, Topic::Transitions).await.len() < RECORDS as usize {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let enough = tokio::time::timeout(PATIENCE, all).await;
    for (shutdown, running) in others.into_iter().chain([first]) {
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }
    let mut counts = BTreeMap::<Bytes, Vec<u64>>::new();
    for record in read_topic(&log, Topic::Transitions).await {
        counts.entry(record.key.clone()).or_default().push(text(&record).parse().unwrap());
    }
    assert!(enough.is_ok(), "only {} of {RECORDS} arrived", counts.values().map(Vec::len).sum::<usize>());
    assert!(stage.failures.load(Ordering::SeqCst) < 25, "nothing failed");
    let expected: Vec<u64> = (1..=RECORDS / KEYS).collect();
    assert_eq!(counts.len() as u64, KEYS);
    for (key, seen) in counts {
        assert_eq!(seen, expected, "{key:?}");
    }
}

/// Takes one batch, then waits to be let go on before it commits.
struct Holding {
    has_batch: Notify,
    go_on: Notify,
    committed: AtomicBool,
}

#[async_trait]
impl Stage for Holding {
    fn group(&self) -> &'static str {
        "holding"
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Pings]
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        while let Some(batch) = slice.next().await {
            self.has_batch.notify_one();
            self.go_on.notified().await;
            slice.commit(vec![batch.next], String::new(), Vec::new()).await?;
            self.committed.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

pub async fn a_shutdown_finishes_what_is_in_hand(harness: &dyn Harness) {
    let log = harness.log();
    let stage = Arc::new(Holding {
        has_batch: Notify::new(),
        go_on: Notify::new(),
        committed: AtomicBool::new(false),
    });
    let (shutdown, running) = spawn(&log, &stage);
    log.append(vec![Record::new(Topic::Pings, "k", "x")]).await.unwrap();
    stage.has_batch.notified().await;
    shutdown.cancel();
    tokio::time::sleep(GLIMPSE).await;
    assert!(!running.is_finished(), "it did not wait for the batch in hand");
    stage.go_on.notify_one();
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
    assert!(stage.committed.load(Ordering::SeqCst));
}

/// Takes nothing until it is let.
struct Idle {
    begin: Notify,
    taken: AtomicUsize,
    all: usize,
    done: Notify,
}

#[async_trait]
impl Stage for Idle {
    fn group(&self) -> &'static str {
        "idle"
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::Pings]
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        if slice.number() == 0 {
            self.begin.notified().await;
        }
        while let Some(batch) = slice.next().await {
            if self.taken.fetch_add(batch.records.len(), Ordering::SeqCst) + batch.records.len() == self.all {
                self.done.notify_one();
            }
        }
        Ok(())
    }
}

/// A slice whose buffer was full goes on to its end, and another is not held up by it.
pub async fn a_slow_slice_holds_up_no_other_and_still_gets_everything(harness: &dyn Harness) {
    const ALL: usize = 20_000;
    let log = harness.log();
    for _ in 0..ALL / 1_000 {
        let records = (0..1_000).map(|_| Record::new(Topic::Pings, "k", "x").at(0)).collect();
        log.append(records).await.unwrap();
    }
    let stage = Arc::new(Idle {
        begin: Notify::new(),
        taken: AtomicUsize::new(0),
        all: ALL + 1,
        done: Notify::new(),
    });
    let (shutdown, running) = spawn(&log, &stage);
    log.append(vec![Record::new(Topic::Pings, "k", "x").at(1)]).await.unwrap();
    let other = async {
        while stage.taken.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, other).await.expect("the other slice was held up");
    stage.begin.notify_one();
    tokio::time::timeout(PATIENCE, stage.done.notified()).await.expect("the slow slice never got everything");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// Says once it has caught up, with how many records it had seen.
struct CatchingUp {
    seen: AtomicUsize,
    caught_up: Notify,
    /// What it had seen when it was told that it had caught up.
    then: AtomicUsize,
}

#[async_trait]
impl Stage for CatchingUp {
    fn group(&self) -> &'static str {
        "catching up"
    }

    fn inputs(&self) -> &'static [Topic] {
        &[Topic::DeviceState]
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        if slice.number() != 0 {
            return slice.next().await.map_or(Ok(()), |_| Err(StageError::Dependency("not mine".to_owned())));
        }
        let mut last: Option<Offset> = None;
        loop {
            if slice.is_caught_up().await? {
                self.then.store(self.seen.load(Ordering::SeqCst), Ordering::SeqCst);
                self.caught_up.notify_one();
            }
            let Some(batch) = slice.next().await else { return Ok(()) };
            assert!(last.is_none_or(|last| batch.records[0].offset > last));
            last = batch.records.last().map(|record| record.offset);
            self.seen.fetch_add(batch.records.len(), Ordering::SeqCst);
        }
    }
}

pub async fn a_stage_knows_when_it_has_caught_up(harness: &dyn Harness) {
    let log = harness.log();
    for n in 0..2_500 / 50 {
        let records = (0..50).map(|i| Record::new(Topic::DeviceState, format!("{}", n * 50 + i), "x").at(0));
        log.append(records.collect()).await.unwrap();
    }
    let stage = Arc::new(CatchingUp {
        seen: AtomicUsize::new(0),
        caught_up: Notify::new(),
        then: AtomicUsize::new(0),
    });
    let (shutdown, running) = spawn(&log, &stage);
    tokio::time::timeout(PATIENCE, stage.caught_up.notified()).await.expect("it never caught up");
    assert_eq!(stage.then.load(Ordering::SeqCst), 2_500);
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// Holds its second input back from the first record on, until it is told to let it go on.
struct HoldingBack {
    /// Records taken, by input.
    taken: [AtomicUsize; 2],
    changed: Notify,
    go_on: CancellationToken,
}

#[async_trait]
impl Stage for HoldingBack {
    fn group(&self) -> &'static str {
        "holding-back"
    }

    fn inputs(&self) -> &'static [Topic] {
        INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let mut goes_on = false;
        loop {
            tokio::select! {
                batch = slice.next() => {
                    let Some(batch) = batch else { return Ok(()) };
                    if batch.input == 1 && self.taken[1].fetch_add(batch.records.len(), Ordering::SeqCst) == 0 {
                        slice.pause(1, true);
                    } else if batch.input == 0 {
                        self.taken[0].fetch_add(batch.records.len(), Ordering::SeqCst);
                    }
                    self.changed.notify_one();
                }
                () = self.go_on.cancelled(), if !goes_on => {
                    goes_on = true;
                    slice.pause(1, false);
                }
            }
        }
    }
}

pub async fn an_input_that_a_stage_holds_back_waits_while_the_others_go_on(harness: &dyn Harness) {
    const HELD: usize = 40_000;
    let log = harness.log();
    let records = |topic, count| (0..count).map(|_| Record::new(topic, "k", "x").at(0)).collect::<Vec<_>>();
    for _ in 0..HELD / 4_000 {
        log.append(records(INPUTS[1], 4_000)).await.unwrap();
    }
    let stage = Arc::new(HoldingBack {
        taken: Default::default(),
        changed: Notify::new(),
        go_on: CancellationToken::new(),
    });
    let (shutdown, running) = spawn(&log, &stage);
    let until = async |input: usize, count: usize| {
        let reached = async {
            while stage.taken[input].load(Ordering::SeqCst) < count {
                stage.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.unwrap();
    };
    until(1, 1).await;
    for n in 1..=30 {
        log.append(records(INPUTS[0], 1)).await.unwrap();
        until(0, n).await;
    }
    let come = stage.taken[1].load(Ordering::SeqCst);
    assert!(come < HELD / 2, "{come} records of an input that is held back came");
    stage.go_on.cancel();
    until(1, HELD).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
