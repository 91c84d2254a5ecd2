//! Commits.

use geopush_log::{Commit, Event, Record, Topic};

use crate::harness::{
    GLIMPSE, Harness, PATIENCE, commit_of, event, given, put, read_all, read_topic, records_of, texts,
};

const INPUTS: &[Topic] = &[Topic::Pings, Topic::Pushes];

pub async fn outputs_and_positions_appear_together_or_not_at_all(harness: &dyn Harness) {
    let log = harness.log();
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, log.partitions(Topic::Pings) as usize).await;
    let committer = group.committer();
    let watching = tokio::spawn({
        let log = log.clone();
        async move {
            loop {
                let first = read_all(&log, Topic::Transitions, 0).await.len();
                // What goes with them was committed by then, and is waited for.
                let second = read_all(&log, Topic::Deliveries, 0).await.len();
                assert!(second >= first, "{first} first outputs were seen, then {second} second ones");
                if first == 100 {
                    return;
                }
            }
        }
    });
    for n in 0..100 {
        let outputs = vec![
            Record::new(Topic::Transitions, "k", n.to_string()).at(0),
            Record::new(Topic::Deliveries, "k", n.to_string()).at(0),
        ];
        committer.commit(commit_of(&slices[0], &n.to_string(), outputs)).await.unwrap();
    }
    tokio::time::timeout(PATIENCE, watching).await.expect("the last commit was never seen").unwrap();
}

pub async fn positions_and_note_come_back_with_the_slice(harness: &dyn Harness) {
    let log = harness.log();
    let count = log.partitions(Topic::Pings) as usize;
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, count).await;
    assert!(slices.iter().all(|slice| slice.positions == [0, 0] && slice.note.is_empty()));
    let note = "nöte ".repeat(Commit::MAX_NOTE / 6);
    let commit = Commit { positions: vec![0, 7], ..commit_of(&slices[1], &note, Vec::new()) };
    group.committer().commit(commit).await.unwrap();
    group.leave().await;
    let mut again = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut again, count).await;
    assert_eq!((&slices[1].positions[..], &slices[1].note), (&[0, 7][..], &note));
    assert_eq!((&slices[0].positions[..], &slices[0].note[..]), (&[0, 0][..], ""));
    let mut other = log.join("another group", INPUTS).await.unwrap();
    assert!(given(&mut other, count).await.iter().all(|slice| slice.positions == [0, 0]));
}

pub async fn a_commit_may_leave_the_positions_as_they_were(harness: &dyn Harness) {
    let log = harness.log();
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, log.partitions(Topic::Pings) as usize).await;
    let committer = group.committer();
    for note in ["a timer's", "", "another"] {
        committer
            .commit(commit_of(&slices[2], note, vec![Record::new(Topic::Pings, "k", note)]))
            .await
            .unwrap();
    }
    assert_eq!(read_topic(&log, Topic::Pings).await.len(), 3);
}

pub async fn commits_of_a_slice_happen_in_order_and_without_waiting(harness: &dyn Harness) {
    let log = harness.log();
    let count = log.partitions(Topic::Pings) as usize;
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, count).await;
    let committer = group.committer();
    for n in 0..200 {
        let outputs = vec![Record::new(Topic::Pushes, "k", n.to_string()).at(0)];
        drop(committer.commit(commit_of(&slices[3], &n.to_string(), outputs)));
    }
    committer.commit(commit_of(&slices[3], "last", Vec::new())).await.unwrap();
    let seen = texts(&read_all(&log, Topic::Pushes, 0).await);
    assert_eq!(seen, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

pub async fn a_commit_that_cannot_be_kept_is_lost_whole_and_the_slice_comes_again(harness: &dyn Harness) {
    let log = harness.log();
    let mut group = log.join("g", INPUTS).await.unwrap();
    let mut slice = given(&mut group, log.partitions(Topic::Pings) as usize).await.remove(0);
    let committer = group.committer();
    committer.commit(commit_of(&slice, "kept", Vec::new())).await.unwrap();
    let output = Record::new(Topic::Pushes, "k", "x");
    let too_large = Record::new(Topic::Pushes, "k", vec![0; Record::MAX_BYTES + 1]);
    for bad in 0..3 {
        let mut commit = commit_of(&slice, "lost", vec![output.clone()]);
        match bad {
            0 => commit.note = "n".repeat(Commit::MAX_NOTE + 1),
            1 => commit.outputs.push(too_large.clone()),
            _ => commit.positions.push(0),
        }
        committer.commit(commit).await.unwrap_err();
        // What was under way behind it is lost as well.
        committer.commit(commit_of(&slice, "behind it", vec![output.clone()])).await.unwrap_err();
        assert!(matches!(event(&mut group).await, Event::Taken(slices) if slices == [slice.slice]));
        let again = given(&mut group, 1).await.remove(0);
        assert_eq!((again.slice, &again.note[..]), (slice.slice, "kept"));
        assert_ne!(again.lease, slice.lease);
        slice = again;
    }
    assert!(read_topic(&log, Topic::Pushes).await.is_empty());
    committer.commit(commit_of(&slice, "works again", vec![output])).await.unwrap();
    assert_eq!(read_topic(&log, Topic::Pushes).await.len(), 1);
    let nothing_more = tokio::time::timeout(GLIMPSE, async {
        while !matches!(event(&mut group).await, Event::Taken(_) | Event::Given(_)) {}
    });
    assert!(nothing_more.await.is_err());
}

pub async fn commits_of_all_slices_at_once_all_arrive(harness: &dyn Harness) {
    let log = harness.log();
    let count = log.partitions(Topic::Pings) as usize;
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, count).await;
    let tasks: Vec<_> = slices
        .into_iter()
        .map(|slice| {
            let (committer, log) = (group.committer(), log.clone());
            tokio::spawn(async move {
                for n in 0..50 {
                    let outputs = vec![Record::new(Topic::Transitions, "k", n.to_string()).at(slice.slice)];
                    committer.commit(commit_of(&slice, "", outputs)).await.unwrap();
                    put(&log, Topic::Deliveries, &slice.slice.to_string(), &n.to_string()).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for partition in 0..count as u32 {
        let seen = texts(&read_all(&log, Topic::Transitions, partition).await);
        assert_eq!(seen, (0..50).map(|n| n.to_string()).collect::<Vec<_>>());
    }
    assert_eq!(read_topic(&log, Topic::Deliveries).await.len(), 50 * count);
}

pub async fn progress_survives_a_crash(harness: &dyn Harness) {
    let log = harness.log();
    let count = log.partitions(Topic::Pings) as usize;
    let records = (0..10).map(|n| Record::new(Topic::Pings, "k", n.to_string()).at(1)).collect();
    log.append(records).await.unwrap();
    let mut group = log.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, count).await;
    let (records, next) = records_of(&mut group, 1, 10).await;
    let middle = records[6].offset;
    assert!(next > middle);
    let commit = Commit { positions: vec![middle, 0], ..commit_of(&slices[1], "six", Vec::new()) };
    group.committer().commit(commit).await.unwrap();
    let after = harness.after_a_crash().await;
    let mut group = after.join("g", INPUTS).await.unwrap();
    let slices = given(&mut group, count).await;
    assert_eq!((slices[1].positions[0], &slices[1].note[..]), (middle, "six"));
    let (records, _) = records_of(&mut group, 1, 4).await;
    assert_eq!(texts(&records), ["6", "7", "8", "9"]);
}
