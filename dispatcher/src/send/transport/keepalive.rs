//! When a connection is asked whether it lives: pure.

use std::time::Duration;

use tokio::time::Instant;

/// Apple asks for a PING after an hour without requests: what stands between forgets idle connections.
const IDLE: Duration = Duration::from_secs(3600);

/// What to do at a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing.
    Nothing,
    /// Send a PING.
    Ping,
    /// It does not answer: it is dead.
    Dead,
}

/// Watches over one connection.
#[derive(Debug)]
pub struct KeepAlive {
    every: Duration,
    used_at: Instant,
    asked: bool,
}

impl KeepAlive {
    /// A PING `every` so often while requests are under way, and after an idle hour; each is to be answered by the next
    /// tick.
    pub fn new(every: Duration, now: Instant) -> Self {
        Self { every, used_at: now, asked: false }
    }

    /// How often to call [`KeepAlive::tick`].
    pub fn period(&self) -> Duration {
        self.every
    }

    /// Called every [`KeepAlive::period`].
    pub fn tick(&mut self, busy: bool, now: Instant) -> Tick {
        if self.asked {
            return Tick::Dead;
        }
        if !busy && now.saturating_duration_since(self.used_at) < IDLE {
            return Tick::Nothing;
        }
        self.used_at = now;
        self.asked = true;
        Tick::Ping
    }

    /// The PING was answered.
    pub fn answered(&mut self) {
        self.asked = false;
    }

    /// Whether a PING is out.
    pub fn waits(&self) -> bool {
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);

    #[test]
    fn a_busy_connection_is_asked_at_each_tick_and_dead_if_it_does_not_answer() {
        let now = Instant::now();
        let mut keep_alive = KeepAlive::new(EVERY, now);
        for n in 1..5 {
            assert_eq!(keep_alive.tick(true, now + EVERY * n), Tick::Ping);
            keep_alive.answered();
        }
        assert_eq!(keep_alive.tick(true, now + EVERY * 5), Tick::Ping);
        assert_eq!(keep_alive.tick(false, now + EVERY * 6), Tick::Dead);
    }

    #[test]
    fn an_idle_connection_is_asked_once_an_hour() {
        let now = Instant::now();
        let mut keep_alive = KeepAlive::new(EVERY, now);
        let mut asked = Vec::new();
        for n in 1..=600 {
            if keep_alive.tick(false, now + EVERY * n) == Tick::Ping {
                asked.push(n);
                keep_alive.answered();
            }
        }
        assert_eq!(asked, [240, 480]);
    }
}
