//! Tenants contend for stages that take so many a second, in the order in which they come.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::pace::Counts;
use super::*;

const TICK: Duration = Duration::from_millis(10);
/// As a job that waits for room asks again.
const ROOM: u64 = 5;
const PAGE: usize = 500;
const WINDOW: u64 = 16_384;
/// What a page, and what two looks at the contest, may add to a window.
const QUANTUM: u64 = 2 * PAGE as u64;

/// A tenant with a send that never ends.
#[derive(Clone, Copy, Debug)]
struct Sender {
    weight: u32,
    /// When it begins, in ticks.
    begins: u64,
    /// How many its own provider takes a second; none: any.
    lane: Option<u64>,
}

impl Sender {
    fn of(weight: u32) -> Self {
        Self { weight, begins: 0, lane: None }
    }
}

/// The stages behind expand: everybody's pushes in one line, then each tenant's in its own.
struct Stages {
    turns: Turns,
    senders: Vec<Sender>,
    begun: Instant,
    tick: u64,
    /// Pushes in the common line: whose, and how many.
    line: VecDeque<(usize, u64)>,
    in_lane: Vec<u64>,
    asked: Vec<u64>,
    ended: Vec<u64>,
    /// Of each tenant's jobs, when it asks again.
    jobs: Vec<[u64; 8]>,
    longest: u64,
}

impl Stages {
    fn new(senders: &[Sender]) -> Self {
        let none = vec![0; senders.len()];
        Self {
            turns: Turns::default(),
            senders: senders.to_vec(),
            begun: Instant::now(),
            tick: 0,
            line: VecDeque::new(),
            in_lane: none.clone(),
            asked: none.clone(),
            ended: none,
            jobs: vec![[0, 1, 2, 3, 4, 5, 6, 7]; senders.len()],
            longest: 0,
        }
    }

    /// So many ticks pass, in which the stages take `a_second`; what ended of each tenant's meanwhile.
    fn pass(&mut self, ticks: u64, a_second: u64) -> Vec<u64> {
        let before = self.ended.clone();
        for _ in 0..ticks {
            let now = self.begun + TICK * u32::try_from(self.tick).unwrap();
            for n in 0..self.senders.len() {
                if self.tick >= self.senders[n].begins {
                    self.ask(n, now);
                }
            }
            self.longest = self.longest.max(self.line.iter().map(|(_, count)| count).sum());
            let mut room = a_second / 100;
            while let Some((n, count)) = self.line.front_mut().filter(|_| room > 0) {
                let taken = room.min(*count);
                (*count, room) = (*count - taken, room - taken);
                self.in_lane[*n] += taken;
                if *count == 0 {
                    self.line.pop_front();
                }
            }
            for (n, sender) in self.senders.iter().enumerate() {
                let gone = self.in_lane[n].min(sender.lane.map_or(u64::MAX, |a_second| a_second / 100));
                self.in_lane[n] -= gone;
                self.ended[n] += gone;
            }
            self.tick += 1;
        }
        self.ended.iter().zip(before).map(|(ended, before)| ended - before).collect()
    }

    fn ask(&mut self, n: usize, now: Instant) {
        let (tenant, source) = (TenantId(Uuid::from_u128(n as u128)), Uuid::from_u128(n as u128));
        let weight = Weight::new(self.senders[n].weight).unwrap();
        for job in 0..self.jobs[n].len() {
            if self.jobs[n][job] > self.tick {
                continue;
            }
            let pace = self.turns.of(tenant, weight, now);
            if pace.is_to_read(source, now) {
                pace.read(
                    source,
                    Counts { asked: self.asked[n], ended: self.ended[n], put_off: 0 },
                    true,
                    now,
                );
            }
            match self.turns.grant(tenant, source, PAGE, WINDOW, now) {
                Some(page) => {
                    self.asked[n] += page as u64;
                    self.line.push_back((n, page as u64));
                }
                None => self.jobs[n][job] = self.tick + ROOM,
            }
        }
    }
}

/// By how much of its part of all a tenant had more or less, at most: 0.1 is a tenth. Beside that a hundredth of all is
/// nobody's: the smallest parts are a few of the smallest pages.
fn unfairness(senders: &[Sender], ended: &[u64]) -> f64 {
    let all: u64 = ended.iter().sum();
    let weights: u32 = senders.iter().map(|sender| sender.weight).sum();
    let off = |(sender, ended): (&Sender, &u64)| {
        let part = all as f64 * f64::from(sender.weight) / f64::from(weights);
        ((*ended as f64 - part).abs() - all as f64 / 100.0).max(0.0) / part
    };
    senders.iter().zip(ended).map(off).fold(0.0, f64::max)
}

#[test]
fn tenants_have_their_parts_while_they_contend() {
    for (weights, a_second) in [
        (&[1, 1][..], 10_000),
        (&[1, 3], 10_000),
        (&[3, 1], 2_000),
        (&[1, 3], 60_000),
        (&[2, 5, 1], 20_000),
        (&[1, 100], 20_000),
        (&[7; 10], 20_000),
    ] {
        let senders: Vec<_> = weights.iter().copied().map(Sender::of).collect();
        let mut stages = Stages::new(&senders);
        stages.pass(500, a_second);
        let ended = stages.pass(2_000, a_second);
        let off = unfairness(&senders, &ended);
        println!("{weights:?} {a_second} {ended:?} {off}");
        assert!(off < 0.15, "{weights:?} at {a_second} a second: {ended:?}");
        let all: u64 = ended.iter().sum();
        assert!(all >= a_second * 20 * 9 / 10, "{weights:?}: no more than {all} at {a_second} a second");
    }
}

#[test]
fn what_others_wait_behind_does_not_grow_with_tenants_or_weights() {
    for weights in [&[1][..], &[100], &[1, 100], &[100, 100], &[100; 20]] {
        let senders: Vec<_> = weights.iter().copied().map(Sender::of).collect();
        let mut stages = Stages::new(&senders);
        stages.pass(500, 10_000);
        stages.longest = 0;
        stages.pass(500, 10_000);
        println!("{weights:?} {}", stages.longest);
        assert!(stages.longest <= LEAST + QUANTUM, "{weights:?}: {} in line", stages.longest);
    }
}

#[test]
fn who_was_idle_has_saved_up_nothing() {
    let senders = [Sender::of(1), Sender { begins: 2_000, ..Sender::of(3) }];
    let mut stages = Stages::new(&senders);
    let alone = stages.pass(2_000, 10_000);
    assert!(alone[0] > 180_000 && alone[1] == 0, "{alone:?}: alone it has all");
    stages.pass(100, 10_000);
    let ended = stages.pass(500, 10_000);
    assert!(unfairness(&senders, &ended) < 0.15, "{ended:?}");
}

#[test]
fn who_waits_for_its_own_provider_takes_nothing_from_others() {
    for weight in [1, 100] {
        let senders = [Sender { lane: Some(1_000), ..Sender::of(weight) }, Sender::of(1)];
        let mut stages = Stages::new(&senders);
        stages.pass(500, 20_000);
        let ended = stages.pass(1_000, 20_000);
        println!("{weight}: {ended:?}");
        assert!(ended[0] >= 9_000 && ended[1] >= 170_000, "{weight}: {ended:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever comes when, and however much passes: soon after all are there, each has its part. It takes as long as
    /// what is in line takes some times over, so that it takes longer where less passes.
    #[test]
    fn each_has_its_part_whoever_comes_when(
        arrivals in prop::collection::vec((1_u32..=10, 0_u64..1_000), 2..6),
        thousands in 5_u64..60,
    ) {
        let senders: Vec<_> =
            arrivals.iter().map(|(weight, begins)| Sender { begins: *begins, ..Sender::of(*weight) }).collect();
        let mut stages = Stages::new(&senders);
        stages.pass(1_500, thousands * 1_000);
        let ended = stages.pass(1_500, thousands * 1_000);
        prop_assert!(unfairness(&senders, &ended) < 0.2, "{:?}: {:?} of {}000", senders, ended, thousands);
    }
}
