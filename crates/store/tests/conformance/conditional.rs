//! Conditional tables: one writer wins, whoever else tries.

use futures::future::try_join_all;
use geopush_store::{Schema, Store, Table, table};

use crate::Harness;

/// How many try at once.
const RACERS: i64 = 50;

table! {
    /// A setting.
    pub struct SettingRow: "settings" in Config, conditional, ascending {
        partition { owner: String }
        clustering { name: String }
        values { value: i64, remark: Option<String>, version: i64 }
    }
}

const TABLES: &[&Schema] = &[&SettingRow::SCHEMA];

fn setting(value: i64, version: i64) -> SettingRow {
    let (owner, name) = ("o".to_owned(), "n".to_owned());
    SettingRow { owner, name, value, remark: (value % 2 == 0).then(|| value.to_string()), version }
}

async fn current(store: &Store) -> Option<SettingRow> {
    store.get(&("o".to_owned(),), &("n".to_owned(),)).await.unwrap()
}

pub async fn only_the_first_put_if_absent_writes(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    assert!(store.put_if_absent(setting(1, 1)).await.unwrap());
    assert!(!store.put_if_absent(setting(2, 1)).await.unwrap());
    assert_eq!(current(&store).await, Some(setting(1, 1)));
    let other = SettingRow { name: "other".to_owned(), ..setting(3, 1) };
    assert!(store.put_if_absent(other).await.unwrap());
}

pub async fn one_of_fifty_creators_wins(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    let winner =
        race(&store, |store, value| async move { store.put_if_absent(setting(value, 1)).await }).await;
    assert_eq!(current(&store).await, Some(setting(winner, 1)));
}

pub async fn one_of_fifty_editors_wins(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    assert!(store.put_if_absent(setting(-1, 1)).await.unwrap());
    let edit = |store: Store, value| async move { store.put_if_version(setting(value, 2), 1).await };
    let winner = race(&store, edit).await;
    assert_eq!(current(&store).await, Some(setting(winner, 2)));
}

/// The number of the one racer that wrote.
async fn race<F>(store: &Store, run: impl Fn(Store, i64) -> F) -> i64
where
    F: Future<Output = Result<bool, geopush_store::StoreError>> + Send + 'static,
{
    let racers = (0..RACERS).map(|racer| tokio::spawn(run(store.clone(), racer)));
    let results = try_join_all(racers).await.unwrap();
    let winners: Vec<_> = (0..RACERS).zip(results).filter(|(_, won)| *won.as_ref().unwrap()).collect();
    assert_eq!(winners.len(), 1);
    winners[0].0
}

pub async fn no_increment_is_lost(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    assert!(store.put_if_absent(setting(0, 1)).await.unwrap());
    let tasks = (0..8).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                loop {
                    let now = current(&store).await.unwrap();
                    let next = setting(now.value + 1, now.version + 1);
                    if store.put_if_version(next, now.version).await.unwrap() {
                        break;
                    }
                }
            }
        })
    });
    try_join_all(tasks).await.unwrap();
    assert_eq!(current(&store).await, Some(setting(80, 81)));
}

pub async fn another_version_changes_nothing(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    assert!(store.put_if_absent(setting(2, 5)).await.unwrap());
    for version in [i64::MIN, -5, 0, 4, 6] {
        assert!(!store.put_if_version(setting(9, 6), version).await.unwrap());
    }
    assert_eq!(current(&store).await, Some(setting(2, 5)));
    // The new row replaces the old one whole, its nulls as well.
    assert!(store.put_if_version(setting(3, 6), 5).await.unwrap());
    assert_eq!(current(&store).await, Some(setting(3, 6)));
}

pub async fn a_missing_row_has_no_version(harness: impl Harness) {
    let store = harness.store(TABLES).await;
    for version in [-1, 0, 1] {
        assert!(!store.put_if_version(setting(1, 1), version).await.unwrap());
    }
    assert_eq!(current(&store).await, None);
}
