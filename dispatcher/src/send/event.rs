//! What can happen while sending: each is counted and said in one place. No line holds a token or a message.

use std::time::Duration;

use geopush_model::{Delivery, Outcome, Provider, Push, UnixMillis};
use tokio::time::Instant;

use super::decision::{Decision, Verdict};
use super::provider::CredentialError;

/// A request under way, as the gauge counts it.
pub struct InFlight {
    provider: Provider,
    since: Instant,
    ended: bool,
}

impl InFlight {
    /// It goes out.
    pub fn begin(provider: Provider) -> Self {
        gauge(provider).increment(1.0);
        Self { provider, since: Instant::now(), ended: false }
    }

    /// It has ended: how long it took.
    pub fn end(mut self) -> Duration {
        self.ended = true;
        self.since.elapsed()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        gauge(self.provider).decrement(1.0);
        // Given up with the slice, while its answer was on the way.
        if !self.ended {
            never_seen(self.provider);
        }
    }
}

fn gauge(provider: Provider) -> metrics::Gauge {
    metrics::gauge!("geopush_dispatcher_send_in_flight_requests", "provider" => provider.as_str())
}

fn request(provider: Provider, outcome: &'static str) {
    metrics::counter!(
        "geopush_dispatcher_send_requests_total", "provider" => provider.as_str(), "outcome" => outcome
    )
    .increment(1);
}

fn class(decision: Decision) -> &'static str {
    match decision {
        Decision::Sent => "accepted",
        Decision::Retry(_) | Decision::Reconnect(_) => "retry",
        Decision::DropToken => "dead_token",
        Decision::RenewCredential => "credential_refused",
        Decision::PauseLane(_) => "lane_paused",
        Decision::GiveUp(_) => "refused",
    }
}

/// A provider answered.
pub fn answered(push: &Push, verdict: &Verdict, taken: Duration) {
    let provider = push.provider.as_str();
    request(push.provider, class(verdict.decision));
    metrics::histogram!("geopush_dispatcher_send_seconds", "provider" => provider).record(taken);
    match verdict.decision {
        Decision::Sent => {}
        Decision::PauseLane(pause) => tracing::warn!(
            provider, tenant = %push.tenant, app = push.app, said = verdict.said, ?pause,
            "a provider refuses an app's pushes for now; have the app's keys checked at the provider's console"
        ),
        Decision::GiveUp(reason) => tracing::debug!(
            provider, push = %push.id, said = verdict.said, reason = reason.as_str(), rule = verdict.source,
            "a provider refused a push"
        ),
        decision => {
            tracing::debug!(provider, push = %push.id, said = verdict.said, what = class(decision), "answered");
        }
    }
}

/// A request that the provider did not look at.
pub fn not_processed(push: &Push, why: &str) {
    request(push.provider, "not_processed");
    tracing::debug!(provider = push.provider.as_str(), push = %push.id, why, "a connection did not take a push");
}

/// A request whose answer nobody has seen: it will be sent again, and may reach the phone twice.
pub fn unanswered(push: &Push, why: &str) {
    let provider = push.provider.as_str();
    never_seen(push.provider);
    tracing::debug!(provider, push = %push.id, why, "a push's answer was never seen");
}

fn never_seen(provider: Provider) {
    request(provider, "unanswered");
    metrics::counter!("geopush_dispatcher_send_unanswered_total", "provider" => provider.as_str())
        .increment(1);
}

/// A push that an owner before may have sent without writing down its end: nobody knows, so it goes out.
pub fn uncertain(push: &Push) {
    let provider = push.provider.as_str();
    metrics::counter!("geopush_dispatcher_send_uncertain_total", "provider" => provider).increment(1);
    tracing::debug!(provider, push = %push.id, "a push may have been sent before; it is sent, perhaps again");
}

/// An app has no credential to send with.
pub fn no_credential(push: &Push, error: &CredentialError) {
    let (outcome, why) = match error {
        CredentialError::Refused(why) => ("credential_refused", why),
        CredentialError::Unavailable { why, .. } => ("credential_unavailable", why),
    };
    request(push.provider, outcome);
    tracing::debug!(
        provider = push.provider.as_str(), tenant = %push.tenant, app = push.app, why, outcome,
        "an app has no credential to send with"
    );
}

/// A token endpoint refuses an app's key.
pub fn account_refused(project: &str, why: &str) {
    tracing::warn!(project, why, "a service account is refused; have the app's key file uploaded anew");
}

/// A push waits for its next attempt.
pub fn retry(push: &Push, pause: Duration) {
    let provider = push.provider.as_str();
    metrics::counter!("geopush_dispatcher_send_retries_total", "provider" => provider).increment(1);
    tracing::debug!(provider, push = %push.id, ?pause, "a push is tried again");
}

/// A push has ended.
pub fn ended(push: &Push, delivery: &Delivery) {
    metrics::counter!(
        "geopush_dispatcher_send_pushes_total",
        "provider" => push.provider.as_str(), "outcome" => delivery.outcome.as_str(),
        "reason" => delivery.reason.map_or("", |reason| reason.as_str())
    )
    .increment(1);
    if delivery.outcome == Outcome::Accepted
        && let Some(received_at) = push.received_at
    {
        metrics::histogram!("geopush_dispatcher_fix_to_accepted_seconds")
            .record(seconds(delivery.finished_at, received_at));
    }
}

fn seconds(to: UnixMillis, from: UnixMillis) -> f64 {
    to.since_ms(from).max(0) as f64 / 1000.0
}

/// How many lanes there are.
pub fn lanes(provider: Provider, count: usize) {
    metrics::gauge!("geopush_dispatcher_send_lanes", "provider" => provider.as_str()).set(count as f64);
}

/// A record of the pushes that can't be read.
pub fn rejected(offset: u64, reason: &str) {
    metrics::counter!("geopush_dispatcher_send_rejected_total").increment(1);
    tracing::warn!(offset, reason, "a push could not be read and went to geopush.rejected");
}

/// The log did not take outcomes; they are kept and written again.
pub fn append_failed(error: &geopush_log::AppendError, pause: Duration) {
    metrics::counter!("geopush_dispatcher_send_append_failures_total").increment(1);
    tracing::warn!(%error, ?pause, "outcomes could not be written and are written again; check the log's backend");
}
