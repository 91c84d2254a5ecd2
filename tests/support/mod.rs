//! What tests of the whole system stand on: the real binary, killed and started again; the sandbox; plain HTTP.

#![allow(dead_code, reason = "each test uses its part")]

pub mod client;
pub mod crowd;
pub mod house;
pub mod scene;
pub mod wall_clock;
pub mod world;

use std::time::{Duration, Instant};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; fails when there is none within [`PATIENCE`].
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A seed that `SEED=n` repeats.
pub fn seed() -> u64 {
    let seed = match std::env::var("SEED") {
        Ok(given) => given.parse().expect("SEED is a number"),
        Err(_) => rand::random_range(0..1_000_000),
    };
    println!("SEED={seed} repeats this run");
    seed
}
