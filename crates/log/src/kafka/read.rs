//! Reads, as they are asked for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::try_join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Core;
use super::ends::Bound;
use super::readers::{Chunk, Job, Span};
use crate::{Cursor, LogError, Offset, Reader, Received, Until};

/// Chunks read ahead.
const CHUNKS: usize = 2;

/// [`crate::Log::read`].
pub(super) struct KafkaReader {
    core: Arc<Core>,
    positions: Vec<(Offset, Option<Offset>)>,
    chunks: mpsc::Receiver<Result<Chunk, LogError>>,
}

impl KafkaReader {
    pub(super) async fn new(core: &Arc<Core>, from: Vec<Cursor>, until: Until) -> Result<Self, LogError> {
        let mut seen = HashSet::new();
        for cursor in &from {
            core.check_place(cursor.topic, cursor.partition)?;
            if !seen.insert((cursor.topic, cursor.partition)) {
                return Err(mistake(&format!(
                    "{} {} is read twice at once",
                    cursor.topic.name(),
                    cursor.partition
                )));
            }
        }
        let bound = |cursor: &Cursor, bound| core.ends.get(bound, core.name(cursor.topic), cursor.partition);
        let until: Vec<Option<Offset>> = match until {
            Until::Never => vec![None; from.len()],
            Until::Now => try_join_all(from.iter().map(|cursor| bound(cursor, Bound::High)))
                .await?
                .into_iter()
                .map(Some)
                .collect(),
            Until::Offsets(ends) if ends.len() == from.len() => ends.into_iter().map(Some).collect(),
            Until::Offsets(ends) => {
                return Err(mistake(&format!("{} ends for {} cursors", ends.len(), from.len())));
            }
        };
        // What was there before the first record that is kept is a hole.
        let open =
            |(cursor, until): (&Cursor, &Option<Offset>)| until.is_none_or(|until| cursor.offset < until);
        let firsts = from
            .iter()
            .zip(&until)
            .map(|pair| async move { if open(pair) { bound(pair.0, Bound::First).await } else { Ok(0) } });
        let firsts = try_join_all(firsts).await?;
        let positions: Vec<_> = from
            .iter()
            .zip(firsts)
            .zip(&until)
            .map(|((cursor, first), until)| {
                let first = until.map_or(first, |until| first.min(until));
                (cursor.offset.max(first), *until)
            })
            .collect();
        let (sender, chunks) = mpsc::channel(CHUNKS);
        let reader = Self { core: Arc::clone(core), positions, chunks };
        if !reader.done() {
            let spans = from.iter().zip(&reader.positions).map(|(cursor, (from, until))| Span {
                topic: core.name(cursor.topic).to_owned(),
                partition: cursor.partition.cast_signed(),
                from: *from,
                until: *until,
            });
            core.start_read(Job {
                spans: spans.collect(),
                chunks: sender,
                ends: core.ends.clone(),
                closed: core.closed.clone(),
            })?;
        }
        Ok(reader)
    }
}

fn mistake(what: &str) -> LogError {
    LogError::Backend(format!("{what}; this is a mistake in geopush"))
}

#[async_trait]
impl Reader for KafkaReader {
    async fn next(&mut self, wait: Duration) -> Result<Option<(usize, Vec<Received>)>, LogError> {
        let deadline = Instant::now() + wait;
        loop {
            if self.core.closed.is_cancelled() {
                return Err(LogError::Closed);
            }
            if self.done() {
                return Ok(None);
            }
            let chunk = tokio::select! {
                () = self.core.closed.cancelled() => continue,
                chunk = timeout_at(deadline, self.chunks.recv()) => chunk,
            };
            match chunk {
                Err(_) => return Ok(None),
                Ok(None) => return Err(LogError::Backend("a read has ended; begin it again".to_owned())),
                Ok(Some(chunk)) => {
                    let Chunk { span, records, next } = chunk?;
                    self.positions[span].0 = next;
                    if !records.is_empty() {
                        return Ok(Some((span, records)));
                    }
                }
            }
        }
    }

    fn position(&self, index: usize) -> Offset {
        self.positions[index].0
    }

    fn done(&self) -> bool {
        self.positions.iter().all(|(position, until)| until.is_some_and(|until| *position >= until))
    }
}
