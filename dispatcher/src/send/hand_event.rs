//! What can happen to pushes in a slice's hand: counted and said in one place. No line holds a token or a message.

use geopush_log::Topic;
use geopush_model::{Delivery, Push};

/// Why a push is put off to a topic of retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOff {
    /// It was tried, and is to be tried again later.
    Retry,
    /// Its lane takes nothing.
    LaneOut,
    /// Its lane has its share of the hand, and is slow.
    Overflow,
    /// The longest topic was not long enough.
    NotYet,
}

impl PutOff {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::LaneOut => "lane_out",
            Self::Overflow => "overflow",
            Self::NotYet => "not_yet",
        }
    }
}

/// A push is put off to a topic of retries.
pub fn deferred(push: &Push, topic: Topic, why: PutOff, deferrals: u32) {
    let (provider, topic, why) = (push.provider.as_str(), topic.name(), why.as_str());
    metrics::counter!(
        "geopush_dispatcher_send_deferred_total", "provider" => provider, "topic" => topic, "why" => why
    )
    .increment(1);
    tracing::debug!(provider, push = %push.id, topic, why, deferrals, "a push is put off");
}

/// A push has ended so that somebody may want to send it anew.
pub fn dead_letter(delivery: &Delivery) {
    if delivery.dead_letter.is_some() {
        let reason = delivery.reason.map_or("", |reason| reason.as_str());
        metrics::counter!("geopush_dispatcher_send_dead_letters_total", "reason" => reason).increment(1);
    }
}

/// Sending a push panicked: it ends, and the others go on.
pub fn poison(push: &Push) {
    let provider = push.provider.as_str();
    metrics::counter!("geopush_dispatcher_send_poison_total", "provider" => provider).increment(1);
    tracing::error!(
        provider, push = %push.id, tenant = %push.tenant,
        "sending a push broke down; it is a dead letter now; please report this, with the panic's message above"
    );
}

/// What a hand holds, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Pushes that wait for their turn, or for their answer.
    pub sending: usize,
    /// Pushes that wait for their retry.
    pub waiting: usize,
    /// Pushes whose end, or whose retry, is being written.
    pub writing: usize,
}

/// What a hand holds, as the gauges were told. Dropped, it takes that back.
#[derive(Debug, Default)]
pub struct Held(Holdings);

impl Held {
    /// It holds this now.
    pub fn is(&mut self, now: Holdings) {
        let before = std::mem::replace(&mut self.0, now);
        if before == now {
            return;
        }
        for (kind, before, now) in [
            ("sending", before.sending, now.sending),
            ("waiting", before.waiting, now.waiting),
            ("writing", before.writing, now.writing),
        ] {
            let gauge = metrics::gauge!("geopush_dispatcher_send_in_hand_pushes", "kind" => kind);
            gauge.increment(now as f64 - before as f64);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.is(Holdings::default());
    }
}
