//! One run: the scene is set, everything walks and dies, comes to rest, and is judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use geopush_model::{DeviceId, TenantId};
use geopush_sandbox::{Options, Sandbox};
use geopush_service::clock::{Clock as _, SystemClock};

use crate::check::{Violation, check, told};
use crate::history::{Asked, History, Phone, Seen};
use crate::http::Client;
use crate::merchant::Merchant;
use crate::nemesis::{Done, Hardness, Part, carry_out, plan};
use crate::observe;
use crate::phones::{Counts, Walk, doors, phone};
use crate::scene::{Route, random};
use crate::tally::Tally;
use crate::topology::{Shape, Topology};

/// How often somebody looks where processes listen, and what dispatchers count.
const LOOK: Duration = Duration::from_millis(100);
/// The purposes of chance.
const NEMESIS: u64 = 1;
const MERCHANT: u64 = 2;
const PAUSES: u64 = 100_000;

/// What is run.
pub struct Run {
    pub shape: Shape,
    pub seed: u64,
    pub hardness: Hardness,
    pub phones: usize,
    pub zones: usize,
    /// See [`Seen::handover_ms`].
    pub handover_ms: i64,
}

impl Run {
    /// Runs it; fails with what is wrong, and leaves the logs of the processes behind then.
    pub fn judge(self) {
        let dir = self.dir();
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        let (name, seed) = (self.shape.name(), self.seed);
        say(&format!("{name}: FAULTS_SEED={seed} FAULTS_KILLS={}", self.hardness.kills));
        let outcome = std::panic::catch_unwind(|| self.run());
        let (done, history, violations) = outcome.unwrap_or_else(|panic| {
            say(&format!("{name}, seed {seed}: the processes' logs are in {}", dir.display()));
            std::panic::resume_unwind(panic)
        });
        let tally = Tally::of(name, seed, done, &history, violations.len());
        say(&tally.to_string());
        tally.keep_if_asked();
        if violations.is_empty() {
            fs::remove_dir_all(&dir).expect("the directory goes");
            return;
        }
        let report = told(&violations);
        fs::write(dir.join("violations.txt"), &report).expect("a report");
        panic!(
            "{name}, FAULTS_SEED={seed}: {} violations; logs are in {}:\n{report}",
            violations.len(),
            dir.display()
        );
    }

    fn dir(&self) -> PathBuf {
        let target = geopush_fleet::home().parent().map(PathBuf::from).expect("a target directory");
        target.join("faults").join(format!("{}-{}", self.shape.name(), self.seed))
    }

    fn run(&self) -> (Done, History, Vec<Violation>) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let sandbox = runtime.block_on(Sandbox::start(Options::default())).expect("the sandbox starts");
        let topology = Topology::start(self.shape, sandbox, &self.dir());
        let began = Instant::now();
        let api = Client::new(&topology.api(), Some(&topology.keys.secret));
        let tenant = TenantId(topology.keys.tenant.parse().expect("a UUID"));
        let merchant = Merchant::open(
            &api,
            tenant,
            &topology.sandbox.app_json(),
            self.zones,
            began,
            random(self.seed, MERCHANT),
        );
        let mut phones: BTreeMap<DeviceId, Phone> = BTreeMap::new();
        for number in 0..self.phones {
            let (device, phone, body) = phone(number);
            api.insist(201, "PUT", &format!("/v1/devices/{device}"), Some(&body));
            phones.insert(device, phone);
        }
        let names: BTreeSet<DeviceId> = phones.keys().cloned().collect();

        let (done, merchant) = self.go(&topology, &mut phones, &names, merchant, began);
        let Merchant { zones, campaigns, mut sends, .. } = merchant;
        observe::wait_for_rest(&api, &names, &mut sends);
        let told = observe::told(&api, &names);
        topology.terminate();
        let topics = runtime.block_on(async {
            let log = topology.log().await;
            let topics = observe::topics(&log).await;
            log.close().await;
            topics
        });
        let seen = Seen {
            told,
            taken: observe::taken(&topology.sandbox),
            uncertain: topology.uncertain(),
            handover_ms: self.handover_ms,
            ..topics
        };
        let history = History { asked: Asked { tenant, phones, zones, campaigns, sends }, seen };
        let violations = check(&history);
        (done, history, violations)
    }

    /// Everybody walks until the last fault is over; what phones did is added to them.
    fn go<'a>(
        &self,
        topology: &Topology,
        phones: &mut BTreeMap<DeviceId, Phone>,
        names: &BTreeSet<DeviceId>,
        merchant: Merchant<'a>,
        began: Instant,
    ) -> (Done, Merchant<'a>) {
        let parts: Vec<Part> = topology.processes.iter().map(|member| member.part).collect();
        let plan = plan(&parts, self.hardness, &mut random(self.seed, NEMESIS));
        let (counts, stop, is_over) = (Counts::default(), AtomicBool::new(false), AtomicBool::new(false));
        let doors = doors(&topology.doors(), &topology.keys.publishable);
        let walk = Walk { doors: &doors, counts: &counts, stop: &stop, began };
        let now_ms = SystemClock.now_ms();
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    topology.look();
                    std::thread::sleep(LOOK);
                }
            });
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    topology.scrape();
                    std::thread::sleep(LOOK);
                }
            });
            let walking: Vec<_> = (0..)
                .zip(phones.iter_mut())
                .map(|(number, (device, phone))| {
                    let route = Route::new(self.seed, number, now_ms);
                    let random = random(self.seed, PAUSES + number);
                    let walk = &walk;
                    threads.spawn(move || phone.requests = walk.go(device, route, random))
                })
                .collect();
            let trading = threads.spawn(|| merchant.go(names, &stop));
            // Whatever fails, everybody must be told to go home.
            let faults = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                carry_out(&plan, topology, |act, process| {
                    let requests = counts.requests.load(Ordering::Relaxed);
                    let again = counts.tries_again.load(Ordering::Relaxed);
                    let seconds = began.elapsed().as_secs();
                    say(&format!(
                        "{seconds:4} s: {:?} {process} ({requests} requests, {again} tries again)",
                        act.what
                    ));
                })
            }));
            stop.store(true, Ordering::Relaxed);
            let walked: Vec<_> = walking.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            let traded = trading.join();
            is_over.store(true, Ordering::Relaxed);
            let done = faults.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for walked in walked {
                walked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            }
            topology.scrape();
            (done, traded.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }
}

/// Past the capture of tests' output: a run takes minutes.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
