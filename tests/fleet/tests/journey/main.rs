//! The roles apart, on real servers: started in any order, waiting for what they need, sharing the work, and living on
//! through their servers' outages. (What a kill of their own does to them is in `faults`.)

#[path = "../faults/binary.rs"]
mod binary;
mod fleet;
#[path = "../faults/http.rs"]
mod http;
#[allow(dead_code, reason = "the faults use the rest")]
#[path = "../faults/process.rs"]
mod process;
mod walk;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fleet::{Fleet, ROLES, Servers, open_shop, readyz, reason, wait_until_ready};
use geopush_fleet::{Cassandra, Kafka, shared_cql, shared_kafka};
use http::{Client, until};
use process::Process;

/// How soon a process must say that a server is gone.
const NOTICED: Duration = Duration::from_secs(30);

#[test]
fn roles_start_in_any_order_wait_for_the_tables_and_work_together() {
    for first in 0..ROLES.len() {
        let fleet = Fleet::new(Servers::new(shared_kafka(), shared_cql()));
        let mut order = ROLES;
        order.rotate_left(first);
        if first % 2 == 1 {
            order.reverse();
        }
        eprintln!("in the order {order:?}");
        let processes = order.map(|role| fleet.process(role, role));
        // The first two wait for tables that nobody has made, but for the evaluator, which needs none.
        for process in &processes[..2] {
            process.start();
        }
        for process in &processes[..2] {
            if process.name == "geofence" {
                wait_until_ready(process);
            } else {
                until("it says what it waits for", || {
                    reason(process, "store").filter(|why| why.contains("geopush migrate"))
                });
                assert_eq!(readyz(process).0, 503);
                let log = fleet.log(process);
                assert!(log.contains("geopush migrate"), "{}: {log}", process.name);
            }
        }
        fleet.command(&["migrate"]);
        fleet.command(&["migrate"]);
        for process in &processes[2..] {
            process.start();
        }
        processes.iter().for_each(wait_until_ready);

        // Made while everything runs, and good at once.
        let keys = fleet.tenant();
        let of_role = |role: &str| processes.iter().find(|p| p.name == role).expect("every role runs");
        let api = Client::new(&of_role("control-api").api, Some(&keys.secret));
        let door = Client::new(&of_role("ingest").ingest, Some(&keys.publishable));
        open_shop(&api, &fleet.sandbox);
        let devices = walk::devices(4);
        walk::register(&api, &devices);
        let stop = AtomicBool::new(true);
        let doors = [door];
        let walks: BTreeMap<_, _> = devices
            .into_iter()
            .map(|device| {
                let walked = walk::walk(&device, &doors, &stop);
                (device, walked)
            })
            .collect();
        walk::check(&api, &fleet.sandbox, &walks);
        processes.iter().for_each(Process::terminate);
    }
}

/// Phones walk while `faults` happen; then everything must be told.
fn walk_through(
    phones: usize,
    fleet: &Fleet,
    api: &Client,
    doors: &[Client],
    faults: impl FnOnce(),
) -> usize {
    let devices = walk::devices(phones);
    walk::register(api, &devices);
    let stop = AtomicBool::new(false);
    let walks: BTreeMap<_, _> = std::thread::scope(|threads| {
        let walking: Vec<_> =
            devices.iter().map(|device| threads.spawn(|| walk::walk(device, doors, &stop))).collect();
        // Whatever fails, the phones must be told to go home.
        let happened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(faults));
        stop.store(true, Ordering::Relaxed);
        let walked: Vec<_> = walking.into_iter().map(|walk| walk.join().expect("it walks home")).collect();
        happened.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        devices.iter().cloned().zip(walked).collect()
    });
    walk::check(api, &fleet.sandbox, &walks)
}

fn goes_unready(process: &Process, part: &str) {
    let began = Instant::now();
    until(&format!("{} says that its {part} is gone", process.name), || reason(process, part));
    assert!(began.elapsed() < NOTICED, "{}: {:?}", process.name, began.elapsed());
}

#[test]
fn servers_that_stand_still_or_die_delay_everything_and_lose_nothing() {
    let kafka = Kafka::start(1).expect("a Kafka");
    let cassandra = Cassandra::start().expect("a Cassandra");
    let fleet = Fleet::new(Servers::new(&kafka.brokers(), &cassandra.address()));
    fleet.command(&["migrate"]);
    let processes = ROLES.map(|role| fleet.process(role, role));
    let [ingest, geofence, dispatcher, control_api] = &processes;
    processes.iter().for_each(Process::start);
    processes.iter().for_each(wait_until_ready);
    let keys = fleet.tenant();
    let api = Client::new(&control_api.api, Some(&keys.secret));
    open_shop(&api, &fleet.sandbox);
    let second = fleet.process("geofence-2", "geofence");
    let door = Client::new(&ingest.ingest, Some(&keys.publishable));

    let visits = walk_through(8, &fleet, &api, &[door], || {
        let moment = Duration::from_secs(3);
        std::thread::sleep(moment);

        cassandra.pause().expect("it stands still");
        goes_unready(control_api, "store");
        goes_unready(dispatcher, "store");
        assert_eq!(readyz(geofence).0, 200, "it needs no tables");
        assert_eq!(readyz(ingest).0, 200, "it goes on with the devices that it knows");
        cassandra.resume().expect("it goes on");
        processes.iter().for_each(wait_until_ready);

        kafka.pause(0).expect("it stands still");
        processes.iter().for_each(|process| goes_unready(process, "log"));
        kafka.resume(0).expect("it goes on");
        processes.iter().for_each(wait_until_ready);
        std::thread::sleep(moment);

        second.start();
        wait_until_ready(&second);
        std::thread::sleep(moment);

        kafka.kill(0).expect("it dies");
        processes.iter().for_each(|process| goes_unready(process, "log"));
        kafka.start_node(0).expect("it starts again");
        processes.iter().for_each(wait_until_ready);
        std::thread::sleep(moment);

        cassandra.kill().expect("it dies");
        goes_unready(dispatcher, "store");
        cassandra.restart().expect("it starts again");
        processes.iter().for_each(wait_until_ready);
        std::thread::sleep(moment);

        second.terminate();
        std::thread::sleep(moment);
    });
    assert!(visits > 8 * 10, "the phones came by again and again: {visits}");
    processes.iter().for_each(Process::terminate);
}
