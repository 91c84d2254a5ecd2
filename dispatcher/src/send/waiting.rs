//! The pushes in hand that wait for something else than their lane: for their retry, or for word of their app.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::lanes::Lanes;
use super::progress::Place;

/// How a push's waiting has ended.
#[derive(Debug)]
pub enum Waited {
    /// It is its time, or there is another lane for it.
    Due,
    /// All apps are known that there were.
    CaughtUp,
    /// It is not to be tried here any more.
    Stopped,
    /// It broke down.
    Broken,
}

/// Those who wait, each in a task of its own.
#[derive(Default)]
pub struct Waiting {
    tasks: JoinSet<Waited>,
    places: HashMap<Id, Place>,
    /// Set off to send them away.
    stop: CancellationToken,
}

impl Waiting {
    /// Waits this long, or until the lane is replaced that is out.
    pub fn rest(&mut self, place: Place, wait: Duration, lane_out: Option<CancellationToken>) {
        self.until(place, async move {
            let replaced = async {
                match &lane_out {
                    Some(replaced) => replaced.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = replaced => {}
                () = tokio::time::sleep(wait) => {}
            }
            Waited::Due
        });
    }

    /// Waits until all apps are known that there are now.
    pub fn catch_up(&mut self, place: Place, lanes: Arc<Lanes>) {
        self.until(place, async move {
            lanes.catch_up().await;
            Waited::CaughtUp
        });
    }

    fn until(&mut self, place: Place, end: impl Future<Output = Waited> + Send + 'static) {
        let stop = self.stop.clone();
        let task = self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => Waited::Stopped,
                waited = end => waited,
            }
        });
        self.places.insert(task.id(), place);
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// The next whose waiting has ended; never, while nobody waits. Safe to drop while waiting.
    pub async fn next(&mut self) -> (Place, Waited) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.ended(ended),
            None => std::future::pending().await,
        }
    }

    /// One whose waiting has ended by now.
    pub fn try_next(&mut self) -> Option<(Place, Waited)> {
        let ended = self.tasks.try_join_next_with_id()?;
        Some(self.ended(ended))
    }

    fn ended(&mut self, ended: Result<(Id, Waited), JoinError>) -> (Place, Waited) {
        let (id, waited) = ended.unwrap_or_else(|error| (error.id(), Waited::Broken));
        (self.places.remove(&id).expect("every task has its place"), waited)
    }

    /// Sends all who wait away, and whoever comes.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Whether they were sent away.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }
}
