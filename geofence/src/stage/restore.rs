//! Reads what a slice's state is restored from.

use std::time::{Duration, Instant};

use geopush_log::{Cursor, Log, Received, Slice, StageError, Topic, Until};
use geopush_model::{Ping, Wire};

use super::note::Note;
use super::replay::Changelog;
use super::state::SliceState;
use crate::engine::Rules;

/// How long a read may be without a record before the restore is begun again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The state of a slice as of its last commit, and that commit's note.
pub(super) async fn restore(slice: &Slice, rules: Rules) -> Result<(SliceState, Note), StageError> {
    let begun = Instant::now();
    let partition = slice.number();
    let position = slice.positions()[0];
    let note = match slice.note() {
        "" => Note { replay_from: position, zones: 0 },
        text => text.parse().map_err(|error| StageError::Dependency(format!("{error}")))?,
    };

    let mut changelog = Changelog::default();
    let from = Cursor { topic: Topic::DeviceState, partition, offset: 0 };
    for_each(slice.log().as_ref(), from, Until::Now, |record| {
        if let Err(error) = changelog.take(&record.key, record.value.as_deref()) {
            metrics::counter!("geopush_geofence_undecodable_states_total").increment(1);
            tracing::error!(
                partition, offset = record.offset, %error,
                "a device's state could not be decoded and is left out; run the version that wrote it"
            );
        }
    })
    .await?;

    let mut replay = changelog.end(rules);
    let from = Cursor { topic: Topic::Pings, partition, offset: note.replay_from };
    for_each(slice.log().as_ref(), from, Until::Offsets(vec![position]), |record| {
        // What can't be decoded was rejected when it was consumed.
        if let Some(Ok(ping)) = record.value.as_deref().map(Ping::decode) {
            replay.take(record.offset, &ping);
        }
    })
    .await?;

    let state = replay.end(partition);
    let (devices, members) = state.size();
    let took = begun.elapsed();
    metrics::histogram!("geopush_geofence_restore_seconds").record(took.as_secs_f64());
    tracing::info!(
        slice = partition,
        devices,
        members,
        replayed = position.saturating_sub(note.replay_from),
        ?took,
        "restored"
    );
    Ok((state, note))
}

async fn for_each(
    log: &dyn Log,
    from: Cursor,
    until: Until,
    mut take: impl FnMut(&Received),
) -> Result<(), StageError> {
    let mut reader = log.read(vec![from], until).await?;
    while !reader.done() {
        match reader.next(PATIENCE).await? {
            Some((_, records)) => records.iter().for_each(&mut take),
            None if reader.done() => break,
            None => {
                let (topic, partition, at) = (from.topic.name(), from.partition, reader.position(0));
                return Err(StageError::Dependency(format!(
                    "{topic}/{partition} gave no record for {PATIENCE:?} at offset {at}, before its end; the restore \
                     begins again; check the log's backend"
                )));
            }
        }
    }
    Ok(())
}
