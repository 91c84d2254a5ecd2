//! Groups: who has which slice.

use std::collections::BTreeMap;

use geopush_log::{Event, Group, Record, SharedLog, Topic};

use crate::harness::{
    GLIMPSE, Harness, PATIENCE, batch_of, commit_of, event, given, read_topic, records_of, texts,
};

const INPUTS: &[Topic] = &[Topic::Pings, Topic::Pushes];

fn slices_of(log: &SharedLog) -> u32 {
    log.partitions(Topic::Pings)
}

/// Closes what is asked back until so many slices were taken.
async fn give_back(group: &mut Box<dyn Group>, count: usize) -> Vec<u32> {
    let mut taken = Vec::new();
    while taken.len() < count {
        match event(group).await {
            Event::Closing(slices) => slices.into_iter().for_each(|slice| group.closed(slice)),
            Event::Taken(slices) => taken.extend(slices),
            Event::Given(_) | Event::Batch { .. } | Event::Reached { .. } => {}
        }
    }
    taken
}

pub async fn every_slice_is_given_once_with_all_its_records(harness: &dyn Harness) {
    let log = harness.log();
    for n in 0..100_u32 {
        let partition = n % slices_of(&log);
        let topic = INPUTS[(n % 2) as usize];
        log.append(vec![Record::new(topic, "k", n.to_string()).at(partition)]).await.unwrap();
    }
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, slices_of(&log) as usize).await;
    assert!(slices.iter().zip(0..).all(|(given, number)| given.slice == number));
    let mut seen = BTreeMap::<u32, (u32, usize)>::new();
    while seen.len() < 100 {
        let Event::Batch { slice, lease, batch } = event(&mut group).await else { continue };
        assert_eq!(lease, slices[slice as usize].lease);
        assert!(batch.next > batch.records.last().unwrap().offset);
        for value in texts(&batch.records) {
            let twice = seen.insert(value.parse().unwrap(), (slice, batch.input));
            assert!(twice.is_none());
        }
    }
    assert!(
        seen.iter()
            .all(|(n, (slice, input))| { n % slices_of(&log) == *slice && (n % 2) as usize == *input })
    );
    // Committed or not, nothing comes twice under one lease, and what is new comes.
    log.append(vec![Record::new(Topic::Pings, "k", "new").at(2)]).await.unwrap();
    assert_eq!(texts(&batch_of(&mut group, 2).await.records), ["new"]);
}

pub async fn a_second_member_takes_half_and_the_other_half_stays(harness: &dyn Harness) {
    let log = harness.log();
    let (count, half) = (slices_of(&log) as usize, slices_of(&log) as usize / 2);
    let mut first = log.join("g", INPUTS).await.unwrap();
    let mine = given(&mut first, count).await;
    let mut second = log.join("g", INPUTS).await.unwrap();
    let taken = give_back(&mut first, half).await;
    let theirs = given(&mut second, half).await;
    let mut numbers: Vec<u32> = theirs.iter().map(|given| given.slice).collect();
    assert_eq!(taken.len(), half);
    numbers.retain(|slice| !taken.contains(slice));
    assert!(numbers.is_empty(), "given without having been taken: {numbers:?}");
    let (first_committer, second_committer) = (first.committer(), second.committer());
    for given in &mine {
        let kept = first_committer.commit(commit_of(given, "first", Vec::new())).await;
        assert_eq!(kept.is_ok(), !taken.contains(&given.slice), "slice {}", given.slice);
    }
    for given in &theirs {
        second_committer.commit(commit_of(given, "second", Vec::new())).await.unwrap();
    }
}

pub async fn a_member_that_leaves_hands_its_slices_on(harness: &dyn Harness) {
    let log = harness.log();
    let count = slices_of(&log) as usize;
    let mut first = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut first, count).await;
    first.committer().commit(commit_of(&slices[0], "from the first", Vec::new())).await.unwrap();
    let mut second = log.join("g", INPUTS).await.unwrap();
    first.leave().await;
    let all = given(&mut second, count).await;
    assert_eq!(all[0].note, "from the first");
    drop(second);
    let mut third = log.join("g", INPUTS).await.unwrap();
    given(&mut third, count).await;
}

pub async fn the_commit_of_a_former_owner_is_lost(harness: &dyn Harness) {
    let log = harness.log();
    let count = slices_of(&log) as usize;
    let mut first = log.join("g", INPUTS).await.unwrap();
    let mine = given(&mut first, count).await;
    let zombie = first.committer();
    first.leave().await;
    let mut second = log.join("g", INPUTS).await.unwrap();
    let theirs = given(&mut second, count).await;
    let output = || vec![Record::new(Topic::Transitions, "k", "x")];
    for given in &mine {
        assert!(!zombie.holds(given.slice, given.lease));
        zombie.commit(commit_of(given, "too late", output())).await.unwrap_err();
    }
    assert!(read_topic(&log, Topic::Transitions).await.is_empty());
    for given in &theirs {
        second.committer().commit(commit_of(given, "in time", output())).await.unwrap();
    }
    assert_eq!(read_topic(&log, Topic::Transitions).await.len(), count);
}

pub async fn a_reset_slice_starts_again_from_its_last_commit(harness: &dyn Harness) {
    let log = harness.log();
    let records = (0..5).map(|n| Record::new(Topic::Pings, "k", n.to_string()).at(1)).collect();
    log.append(records).await.unwrap();
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, slices_of(&log) as usize).await;
    let (records, _) = records_of(&mut group, 1, 5).await;
    let mut commit = commit_of(&slices[1], "two", Vec::new());
    commit.positions[0] = records[2].offset;
    group.committer().commit(commit).await.unwrap();
    group.reset(1);
    assert!(matches!(event(&mut group).await, Event::Taken(taken) if taken == [1]));
    let again = given(&mut group, 1).await.remove(0);
    assert_eq!((again.slice, &again.note[..]), (1, "two"));
    assert_ne!(again.lease, slices[1].lease);
    let (records, _) = records_of(&mut group, 1, 3).await;
    assert_eq!(texts(&records), ["2", "3", "4"]);
    assert!(group.committer().holds(1, again.lease) && !group.committer().holds(1, slices[1].lease));
    let stale = commit_of(&slices[1], "under the old lease", Vec::new());
    group.committer().commit(stale).await.unwrap_err();
    group.committer().commit(commit_of(&again, "under the new one", Vec::new())).await.unwrap();
}

pub async fn a_paused_input_is_silent_until_it_is_resumed(harness: &dyn Harness) {
    let log = harness.log();
    let mut group = log.join("g", INPUTS).await.unwrap();
    given(&mut group, slices_of(&log) as usize).await;
    group.pause(0, 0, true);
    // What was read before the pause may still come, so nothing was there to read.
    log.append(vec![Record::new(Topic::Pings, "k", "paused").at(0)]).await.unwrap();
    log.append(vec![Record::new(Topic::Pushes, "k", "other input").at(0)]).await.unwrap();
    log.append(vec![Record::new(Topic::Pings, "k", "other slice").at(1)]).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Event::Batch { batch, .. } = event(&mut group).await {
            seen.extend(texts(&batch.records));
        }
    }
    seen.sort();
    assert_eq!(seen, ["other input", "other slice"]);
    assert!(tokio::time::timeout(GLIMPSE, group.next()).await.is_err());
    group.pause(0, 0, false);
    assert_eq!(texts(&batch_of(&mut group, 0).await.records), ["paused"]);
}

pub async fn batches_are_bounded(harness: &dyn Harness) {
    let log = harness.log();
    for _ in 0..5 {
        let records = (0..1_000).map(|_| Record::new(Topic::Pings, "k", "x").at(0)).collect();
        log.append(records).await.unwrap();
        log.append(vec![Record::new(Topic::Pushes, "k", vec![7; 900_000]).at(0)]).await.unwrap();
    }
    let mut group = log.join("g", INPUTS).await.unwrap();
    let (mut pings, mut pushes) = (0, 0);
    while pings < 5_000 || pushes < 5 {
        let Event::Batch { batch, .. } = event(&mut group).await else { continue };
        assert!(batch.records.len() <= 4_000);
        match batch.input {
            0 => pings += batch.records.len(),
            _ => {
                assert!(batch.records.len() <= 2, "{} large records in one batch", batch.records.len());
                pushes += batch.records.len();
            }
        }
    }
    assert_eq!((pings, pushes), (5_000, 5));
}

pub async fn inputs_that_do_not_match_are_refused(harness: &dyn Harness) {
    let log = harness.log();
    let joined = tokio::time::timeout(PATIENCE, log.join("g", &[Topic::Pings, Topic::Zones])).await.unwrap();
    assert!(joined.is_err());
}
