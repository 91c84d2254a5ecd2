//! Stages on a broker that stops, sleeps and dies: what they published is still one output for each input.

// A claim that can't go on has failed; clippy knows tests by their attribute alone.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use geopush_fleet::Kafka;
use geopush_log::{
    AppendError, Cursor, KafkaLog, KafkaOptions, Record, SharedLog, Slice, Stage, StageError, Topic, Until,
    run_stage,
};
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 4;
const INPUTS: &[Topic] = &[Topic::Pings, Topic::Jobs];
/// Longer than anything takes unless it is broken: the brokers let a member go after 6 s and a transaction after 10 s.
const PATIENCE: Duration = Duration::from_secs(90);
const WAIT: Duration = Duration::from_secs(1);

/// Answers each record with its place, numbered; the number is its state, kept in a changelog and in the note.
struct Numbering;

#[async_trait]
impl Stage for Numbering {
    fn group(&self) -> &'static str {
        "numbering"
    }

    fn inputs(&self) -> &'static [Topic] {
        INPUTS
    }

    async fn run(&self, mut slice: Slice) -> Result<(), StageError> {
        let mut number = last_number(&slice).await?;
        let note = if slice.note().is_empty() { "0" } else { slice.note() };
        assert_eq!(note, number.to_string(), "note and changelog are of one commit");
        let mut positions = slice.positions().to_vec();
        while let Some(batch) = slice.next().await {
            let mut outputs = Vec::new();
            for record in &batch.records {
                number += 1;
                let place = format!("{number} {} {}", batch.input, record.offset);
                outputs.push(Record::new(Topic::Transitions, "k", place).at(slice.number()));
            }
            outputs.push(Record::new(Topic::PlanState, "number", number.to_string()).at(slice.number()));
            positions[batch.input] = batch.next;
            slice.commit(positions.clone(), number.to_string(), outputs).await?;
        }
        Ok(())
    }
}

async fn last_number(slice: &Slice) -> Result<u64, StageError> {
    let cursor = Cursor { topic: Topic::PlanState, partition: slice.number(), offset: 0 };
    let mut reader = slice.log().read(vec![cursor], Until::Now).await?;
    let mut last = 0;
    while !reader.done() {
        if let Some((_, records)) = reader.next(WAIT).await? {
            let text = records.last().and_then(|record| record.value.clone()).unwrap();
            last = std::str::from_utf8(&text).unwrap().parse().unwrap();
        }
    }
    Ok(last)
}

async fn texts(log: &SharedLog, topic: Topic, partition: u32) -> Vec<(u64, String)> {
    let cursor = Cursor { topic, partition, offset: 0 };
    let mut reader = log.read(vec![cursor], Until::Now).await.unwrap();
    let mut all = Vec::new();
    while !reader.done() {
        if let Some((_, records)) = reader.next(WAIT).await.unwrap() {
            all.extend(
                records.into_iter().map(|record| {
                    (record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap())
                }),
            );
        }
    }
    all
}

/// A process's log with a member on it, until it is told to leave.
struct Process {
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), StageError>>,
}

impl Process {
    async fn start(options: &KafkaOptions) -> Self {
        let log: SharedLog = Arc::new(KafkaLog::open(options.clone()).await.unwrap());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(run_stage(log, Arc::new(Numbering), shutdown.clone()));
        Self { shutdown, running }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("a member did not leave").unwrap().unwrap();
    }
}

/// Appends records, and again what was not taken, until it is told to end. What may have been taken is written again
/// as well: the stage sees two inputs then, and both must be answered.
async fn feed(log: SharedLog, end: CancellationToken) {
    let mut n: u32 = 0;
    while !end.is_cancelled() {
        let record =
            |n: u32| Record::new(INPUTS[(n % 2) as usize], "k", n.to_string()).at(n / 2 % PARTITIONS);
        match log.append((n..n + 10).map(record).collect()).await {
            Ok(()) => n += 10,
            Err(AppendError::Full | AppendError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until every input is answered, and compares.
async fn every_input_is_answered_once(log: &SharedLog) {
    for partition in 0..PARTITIONS {
        let mut inputs = Vec::new();
        for (input, topic) in INPUTS.iter().enumerate() {
            inputs.extend(texts(log, *topic, partition).await.iter().map(|(offset, _)| (input, *offset)));
        }
        let answered = async {
            loop {
                let outputs = texts(log, Topic::Transitions, partition).await;
                if outputs.len() >= inputs.len() {
                    return outputs;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let outputs =
            tokio::time::timeout(PATIENCE, answered).await.expect("inputs were left without an answer");
        let mut by_input: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for (number, (_, text)) in (1_u64..).zip(&outputs) {
            let mut fields = text.split(' ').map(|field| field.parse::<u64>().unwrap());
            assert_eq!(
                fields.next(),
                Some(number),
                "the numbers of partition {partition} have a gap or a repeat"
            );
            by_input.entry(fields.next().unwrap() as usize).or_default().push(fields.next().unwrap());
        }
        let answers: Vec<(usize, u64)> = by_input
            .into_iter()
            .flat_map(|(input, offsets)| offsets.into_iter().map(move |offset| (input, offset)))
            .collect();
        assert_eq!(answers, inputs, "partition {partition}");
        assert!(!inputs.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_sleeps_and_dies_costs_time_and_nothing_else() {
    let kafka = Arc::new(tokio::task::spawn_blocking(|| Kafka::start(1).unwrap()).await.unwrap());
    let options = KafkaOptions {
        brokers: kafka.brokers(),
        prefix: String::new(),
        partitions: PARTITIONS,
        replication: 1,
        properties: BTreeMap::new(),
    };
    let first = Process::start(&options).await;
    let log: SharedLog = Arc::new(KafkaLog::open(options.clone()).await.unwrap());
    let end = CancellationToken::new();
    let feeding = tokio::spawn(feed(log.clone(), end.clone()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let second = Process::start(&options).await;
    // Shorter than a member's session; longer than it, and than a transaction; and a death.
    for asleep in [3, 13] {
        kafka.pause(0).unwrap();
        tokio::time::sleep(Duration::from_secs(asleep)).await;
        kafka.resume(0).unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    kafka.kill(0).unwrap();
    let restarting = Arc::clone(&kafka);
    tokio::task::spawn_blocking(move || restarting.start_node(0).unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    end.cancel();
    tokio::time::timeout(PATIENCE, feeding).await.expect("appends hang").unwrap();
    every_input_is_answered_once(&log).await;
    first.stop().await;
    second.stop().await;
    every_input_is_answered_once(&log).await;
}
