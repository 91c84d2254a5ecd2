//! The load: requests begin when they are due, not when the system is ready for them.
//!
//! Each connection has one request under way, so what is under way is bounded by their number, and a phone's requests
//! arrive in their order. A connection that is still waiting when its next request is due begins that one late; the
//! wait counts, since every latency is measured from when the request was *due*.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use geopush_service::BoxError;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::http::{Answer, Connection};
use super::schedule::Schedule;
use super::town::{SentFix, Town};
use crate::latency::Latencies;

/// What became of a request, as the phone knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// 202, and every fix taken.
    Accepted,
    /// Nothing of it may have been taken.
    Refused,
    /// The phone can't know.
    Unknown,
}

/// How the load went.
pub struct Load {
    /// When the first request was due.
    pub began: Instant,
    /// What became of each request.
    pub fates: Vec<Fate>,
    /// When each request was answered 202, if it was.
    pub accepted_at: Vec<Option<Instant>>,
    /// From when a request was due to when it was sent: the load's own share of every other latency.
    pub begun: Latencies,
    /// From when a request was due to its 202.
    pub answered: Latencies,
    /// Measured requests that were due while their connection was still waiting for an answer.
    pub late: u64,
    /// Requests that were not answered 202, by what came instead.
    pub errors: BTreeMap<String, u64>,
    /// Fixes that were accepted, by the second since the end of the warm-up.
    pub accepted_by_second: Vec<u64>,
}

/// Where the load goes.
#[derive(Clone)]
pub struct Target {
    /// The ingest's address.
    pub ingest: SocketAddr,
    /// A key for it.
    pub key: Arc<str>,
    /// How many requests may be under way.
    pub connections: usize,
}

/// Makes all requests; counts accepted fixes in `progress`.
///
/// # Errors
/// When nobody listens at the beginning.
pub async fn run(
    schedule: Schedule,
    town: &Town,
    target: &Target,
    progress: &Arc<AtomicU64>,
) -> Result<Load, BoxError> {
    let connections = target.connections.min(schedule.phones).max(1);
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::new(target.ingest, &target.key);
        connection.connect().await?;
        open.push(connection);
    }
    // A moment for the tasks to be there when the first request is due.
    let began = Instant::now() + Duration::from_millis(50);
    let mut lanes = JoinSet::new();
    for (index, connection) in open.into_iter().enumerate() {
        let lane = Lane::new(schedule, town, (index, connections), connection, Arc::clone(progress));
        lanes.spawn(lane.run(began));
    }
    let mut load = Load {
        began,
        fates: vec![Fate::Unknown; schedule.requests()],
        accepted_at: vec![None; schedule.requests()],
        begun: Latencies::default(),
        answered: Latencies::default(),
        late: 0,
        errors: BTreeMap::new(),
        accepted_by_second: vec![0; schedule.duration.as_secs_f64().ceil() as usize],
    };
    while let Some(lane) = lanes.join_next().await {
        load.add(lane?);
    }
    Ok(load)
}

impl Load {
    fn add(&mut self, lane: Lane) {
        for (request, fate, at) in lane.fates {
            self.fates[request] = fate;
            self.accepted_at[request] = (fate == Fate::Accepted).then_some(at);
        }
        self.begun.merge(&lane.begun);
        self.answered.merge(&lane.answered);
        self.late += lane.late;
        for (error, count) in lane.errors {
            *self.errors.entry(error).or_default() += count;
        }
        // What is answered after the measurement's end is in no second.
        for (all, fixes) in self.accepted_by_second.iter_mut().zip(lane.accepted_by_second) {
            *all += fixes;
        }
    }
}

type Route = Box<dyn Iterator<Item = SentFix> + Send>;

/// One connection and its phones.
struct Lane {
    schedule: Schedule,
    requests: Vec<usize>,
    routes: BTreeMap<usize, Route>,
    connection: Option<Connection>,
    progress: Arc<AtomicU64>,
    fates: Vec<(usize, Fate, Instant)>,
    begun: Latencies,
    answered: Latencies,
    late: u64,
    errors: BTreeMap<String, u64>,
    accepted_by_second: Vec<u64>,
}

/// The part of ingest's answer that tells whether all was taken.
#[derive(Deserialize)]
struct Taken {
    accepted: usize,
}

impl Lane {
    fn new(
        schedule: Schedule,
        town: &Town,
        (index, of): (usize, usize),
        connection: Connection,
        progress: Arc<AtomicU64>,
    ) -> Self {
        let phones = (index..schedule.phones).step_by(of);
        let made = schedule.first_round * schedule.batch;
        Self {
            schedule,
            requests: schedule.of_connection(index, of).collect(),
            routes: phones.map(|phone| (phone, Box::new(town.route(phone).skip(made)) as Route)).collect(),
            connection: Some(connection),
            progress,
            fates: Vec::new(),
            begun: Latencies::default(),
            answered: Latencies::default(),
            late: 0,
            errors: BTreeMap::new(),
            accepted_by_second: Vec::new(),
        }
    }

    async fn run(mut self, began: Instant) -> Self {
        let Some(mut connection) = self.connection.take() else { return self };
        for request in std::mem::take(&mut self.requests) {
            let body = self.body(request);
            let due = began + self.schedule.due(request);
            let measured = self.schedule.is_measured(request);
            if Instant::now() > due {
                self.late += u64::from(measured);
            } else {
                tokio::time::sleep_until(due.into()).await;
            }
            let sent = Instant::now();
            let answer = connection.send(Method::POST, "/v1/pings", body).await;
            let now = Instant::now();
            let fate = self.fate(answer);
            self.fates.push((request, fate, now));
            if measured {
                self.begun.record(sent - due);
            }
            if fate == Fate::Accepted {
                self.progress.fetch_add(self.schedule.batch as u64, Ordering::Relaxed);
                self.count(now.checked_duration_since(began + self.schedule.warmup));
                if measured {
                    self.answered.record(now - due);
                }
            }
        }
        self
    }

    fn body(&mut self, request: usize) -> Bytes {
        let (phone, _) = self.schedule.content(request);
        let fixes = self.routes.get_mut(&phone).into_iter().flatten().take(self.schedule.batch);
        let pings: Vec<Value> = fixes.map(|fix| fix.json()).collect();
        Bytes::from(json!({"device_id": Town::phone(phone).device, "pings": pings}).to_string())
    }

    fn fate(&mut self, answer: Result<Answer, BoxError>) -> Fate {
        let (fate, error) = match answer {
            Ok(Answer { status: StatusCode::ACCEPTED, body }) => {
                let taken: Result<Taken, _> = serde_json::from_slice(&body);
                match taken {
                    Ok(taken) if taken.accepted == self.schedule.batch => return Fate::Accepted,
                    _ => (Fate::Unknown, "fixes were rejected".to_owned()),
                }
            }
            Ok(Answer { status, .. }) if status.is_client_error() => (Fate::Refused, status.to_string()),
            Ok(Answer { status, .. }) => (Fate::Unknown, status.to_string()),
            Err(error) => (Fate::Unknown, error.to_string()),
        };
        *self.errors.entry(error).or_default() += 1;
        fate
    }

    fn count(&mut self, since: Option<Duration>) {
        let Some(since) = since else { return };
        let second = usize::try_from(since.as_secs()).unwrap_or(usize::MAX);
        // Seconds beyond the measurement are left out when the lanes are added up; this bounds them here.
        if second < self.schedule.duration.as_secs_f64().ceil() as usize {
            let needed = self.accepted_by_second.len().max(second + 1);
            self.accepted_by_second.resize(needed, 0);
            self.accepted_by_second[second] += self.schedule.batch as u64;
        }
    }
}
