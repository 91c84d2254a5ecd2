//! Several processes on one cluster.

use futures::future::join_all;
use geopush_store::{Schema, Store, Table, table, tables};
use uuid::Uuid;

use crate::OnCassandra;
use crate::harness::Harness;

table! {
    /// A setting.
    pub struct SwitchRow: "switches" in Config, conditional, ascending {
        partition { owner: String }
        values { holder: i64, version: i64 }
    }
}

const SWITCHES: &[&Schema] = &[&SwitchRow::SCHEMA];

fn switch(holder: i64, version: i64) -> SwitchRow {
    SwitchRow { owner: "o".to_owned(), holder, version }
}

/// As many processes as asked, on the same keyspaces.
async fn processes(count: usize) -> Vec<OnCassandra> {
    let first = OnCassandra::start().await;
    let mut all: Vec<_> = join_all((1..count).map(|_| OnCassandra::with(first.options.clone()))).await;
    all.push(first);
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_migrate_at_once_make_one_set_of_tables() {
    let all = processes(3).await;
    let done = join_all(all.iter().map(|process| {
        let store = Store::new(process.backend());
        async move { store.migrate().await }
    }));
    for migrated in done.await {
        migrated.unwrap();
    }
    for process in &all {
        assert!(Store::new(process.backend()).is_migrated().await.unwrap());
    }
    crate::tables::every_table_of_geopush_keeps_a_row(all.into_iter().next().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_version_is_given_out_once_whoever_asks() {
    let all = processes(3).await;
    let stores = join_all(all.iter().map(|process| process.store(SWITCHES))).await;
    assert!(stores[0].put_if_absent(switch(-1, 0)).await.unwrap());
    // A write whose answer was lost is known again by its holder.
    let holders =
        stores.iter().enumerate().flat_map(|(p, store)| (0..4).map(move |n| (p * 4 + n, store.clone())));
    let won = join_all(holders.map(|(holder, store)| async move {
        let mut won = 0;
        while won < 5 {
            let now: SwitchRow = store.get(&("o".to_owned(),), &()).await.unwrap().unwrap();
            match store.put_if_version(switch(holder as i64, now.version + 1), now.version).await {
                Ok(true) => won += 1,
                Ok(false) => {}
                Err(unknown) => {
                    let then: SwitchRow = store.get(&("o".to_owned(),), &()).await.unwrap().unwrap();
                    let is_ours = then.version == now.version + 1 && then.holder == holder as i64;
                    assert!(is_ours || then.version == now.version, "{unknown}: nobody can tell");
                    won += i64::from(is_ours);
                }
            }
        }
        won
    }))
    .await;
    let last: SwitchRow = stores[1].get(&("o".to_owned(),), &()).await.unwrap().unwrap();
    assert_eq!(last.version, won.iter().sum::<i64>());
}

#[tokio::test]
async fn totals_of_a_process_that_was_overtaken_change_nothing() {
    let all = processes(2).await;
    let stores = join_all(all.iter().map(|process| process.store(tables::ALL))).await;
    let (tenant, source) = (Uuid::new_v4(), Uuid::new_v4());
    let totals = |accepted, counted_to| tables::DeliveryTotalsRow {
        tenant,
        source,
        hour: 480_000,
        log_partition: 3,
        accepted,
        failed: 0,
        suppressed: 0,
        expired: 0,
        counted_to,
        put_off: None,
    };
    stores[0].put(totals(10, 100)).await.unwrap();
    stores[1].put(totals(25, 250)).await.unwrap();
    // It does not know yet that the partition is another's.
    stores[0].put(totals(12, 120)).await.unwrap();
    let found = stores[0].get(&(tenant, source), &(480_000, 3)).await.unwrap();
    assert_eq!(found, Some(totals(25, 250)));
}
