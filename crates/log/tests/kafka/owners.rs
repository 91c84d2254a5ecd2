//! What an owner before has left, and what was removed meanwhile.

use geopush_log::{Commit, Event, Given, Group, Record, SharedLog, Topic};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::transactions::transactional;
use crate::{PATIENCE, foreign, open, options, read_all};

async fn join(log: &SharedLog) -> (Box<dyn Group>, Vec<Given>) {
    let mut group = log.join("g", &[Topic::Pings]).await.unwrap();
    let mut all = Vec::new();
    while all.len() < 4 {
        let event = tokio::time::timeout(PATIENCE, group.next()).await.expect("nothing was given").unwrap();
        if let Event::Given(given) = event {
            all.extend(given);
        }
    }
    all.sort_by_key(|given| given.slice);
    (group, all)
}

/// Foreign producers play the two of the owner that was killed: the transaction of one stays open for a minute by its own
/// timeout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_owner_left_open_is_ended_by_the_next() {
    for producer in [0, 1] {
        left_open_by(producer).await;
    }
}

async fn left_open_by(left: usize) {
    let options = options();
    let log = open(&options).await;
    let [pings, outputs] = ["pings", "transitions"].map(|name| format!("{}geopush.{name}", options.prefix));
    let killed = format!("{}killed", options.prefix);
    let mut config = foreign();
    let owner: BaseConsumer =
        config.set("group.id", format!("{}geopush.g", options.prefix)).create().unwrap();
    let standing = owner.group_metadata().unwrap();
    let positions = |position: i64, note: &str| {
        let mut list = TopicPartitionList::new();
        let mut place = list.add_partition(&pings, 2);
        place.set_offset(rdkafka::Offset::Offset(position)).unwrap();
        place.set_metadata(format!("{killed}\n{note}"));
        list
    };
    let producers = [transactional(&killed), transactional(&format!("{killed}+"))];
    producers[0].begin_transaction().unwrap();
    producers[0].send_offsets_to_transaction(&positions(0, "kept"), &standing, PATIENCE).unwrap();
    producers[0].commit_transaction(PATIENCE).unwrap();
    let producer = &producers[left];
    producer.begin_transaction().unwrap();
    producer
        .send(BaseRecord::to(&outputs).partition(2).key("k").payload("half done"))
        .map_err(|(error, _)| error)
        .unwrap();
    producer.flush(PATIENCE).unwrap();
    producer.send_offsets_to_transaction(&positions(5, "half done"), &standing, PATIENCE).unwrap();

    let (_group, slices) = join(&log).await;
    assert_eq!((slices[2].positions[0], &slices[2].note[..]), (0, "kept"));
    assert!(read_all(&log, Topic::Transitions, 2).await.0.is_empty());
    producer.commit_transaction(PATIENCE).unwrap_err();
    assert!(read_all(&log, Topic::Transitions, 2).await.0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slice_goes_on_behind_what_retention_took_before_it_was_consumed() {
    let options = options();
    let log = open(&options).await;
    let records = (0..10).map(|n| Record::new(Topic::Pings, "k", n.to_string()).at(1)).collect();
    log.append(records).await.unwrap();
    let (group, slices) = join(&log).await;
    let Given { slice, lease, .. } = slices[1];
    let commit = Commit { slice, lease, positions: vec![3], note: String::new(), outputs: Vec::new() };
    group.committer().commit(commit).await.unwrap();
    group.leave().await;
    let admin: AdminClient<DefaultClientContext> = foreign().create().unwrap();
    let mut list = TopicPartitionList::new();
    let name = format!("{}geopush.pings", options.prefix);
    list.add_partition_offset(&name, 1, rdkafka::Offset::Offset(7)).unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
    let (_group, slices) = join(&log).await;
    assert_eq!(slices.iter().map(|given| given.positions[0]).collect::<Vec<_>>(), [0, 7, 0, 0]);
}
