//! How fast pushes go out over TLS to a provider in another process: against `h2load`, at half of what goes, and with
//! another app whose provider refuses one of ten.

use std::path::Path;

use geopush_service::BoxError;

use super::child::Provider;
use super::h2load;
use super::sender::{Sending, send};
use crate::goal::Goal;
use crate::pipeline::timeline::median;
use crate::progress;
use crate::report::{Check, Report};

/// What to send, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Pushes of each run.
    pub pushes: u64,
    /// Rounds of the comparison, after one that is not counted.
    pub rounds: usize,
    /// Connections of an app.
    pub connections: usize,
    /// Requests under way on each.
    pub streams: usize,
}

const GOOD: &str = "shop";
const BAD: &str = "shop-bad";

impl Plan {
    fn sending(&self, apps: &[&'static str], rate: Option<f64>) -> Sending {
        let Self { pushes, connections, streams, .. } = *self;
        let looks = rate.is_some() || apps.len() > 1;
        Sending { pushes, rate, looks, apps: apps.to_vec(), connections, streams }
    }
}

/// Runs this part, and adds what it found to the report.
///
/// # Errors
/// When the provider's process can't be used.
pub async fn run(plan: Plan, program: &Path, report: &mut Report) -> Result<(), BoxError> {
    let provider = Provider::start(program)?;
    let bar = progress::bar("pushes", (plan.rounds as u64 + 4) * plan.pushes)?;
    let (mut rates, mut ratios, mut a_core) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = None;
    for round in 0..=plan.rounds {
        let sent = send(&plan.sending(&[GOOD], None), &provider, &bar).await?;
        let rate = sent.timeline.rate();
        let at_best = h2load::rate(&provider, plan.pushes, plan.connections, plan.streams)?;
        if round == 0 {
            continue;
        }
        rates.push(rate);
        a_core.push(sent.timeline.total() as f64 / sent.cpu_s);
        match at_best {
            Some(at_best) => {
                report.number(&format!("send: stage / h2load, round {round}"), "", rate / at_best);
                ratios.push((rate / at_best, at_best));
            }
            None => bar
                .println("h2load is not installed (Debian: nghttp2-client), so nothing is compared with it"),
        }
        last = Some(sent);
    }
    let rate = median(rates);
    report.number("send: pushes", "pushes/s", rate);
    report.number(
        "send: pushes a second of this process's processor time",
        "pushes/s",
        median(a_core.clone()),
    );
    report.number("send: h2load", "requests/s", median(ratios.iter().map(|pair| pair.1).collect()));
    report.series.extend(last.map(|sent| sent.timeline.series("send stage", "pushes/s")));
    let ratio = if ratios.is_empty() { f64::NAN } else { median(ratios.iter().map(|pair| pair.0).collect()) };
    report.goals.push(Goal::at_least("pushes sent, stage / h2load", "", ratio, 0.7));
    report.goals.push(Goal::at_least("pushes a second and core", "pushes/s", median(a_core), 20_000.0));
    half(plan, rate / 2.0, &provider, &bar, report).await?;
    bar.finish_and_clear();
    Ok(())
}

/// At half of the rate that goes: how long a push takes; and what an app loses to another whose provider refuses.
async fn half(
    plan: Plan,
    rate: f64,
    provider: &Provider,
    bar: &indicatif::ProgressBar,
    report: &mut Report,
) -> Result<(), BoxError> {
    let alone = send(&plan.sending(&[GOOD], Some(rate)), provider, bar).await?;
    report.number("send: half load", "pushes/s", rate);
    let told = alone.looked[GOOD].latencies.summary("due → end durable, at half load");
    let p99_ms = told.p99_us as f64 / 1e3;
    report.latencies.push(told);
    report.goals.push(Goal::at_most("a push at half load, p99", "ms", p99_ms, 50.0));
    // As many as go: the healthy app's share of the work must not become less because another is refused.
    let calm = send(&plan.sending(&[GOOD, "other"], None), provider, bar).await?;
    let torn = send(&plan.sending(&[GOOD, BAD], None), provider, bar).await?;
    let lost = 1.0 - torn.rate_of(GOOD) / calm.rate_of(GOOD);
    report.number("send: a healthy app beside another", "pushes/s", calm.rate_of(GOOD));
    report.number("send: a healthy app beside one that is refused 1 of 10", "pushes/s", torn.rate_of(GOOD));
    report.goals.push(Goal::at_most("what a healthy app loses to one with errors", "", lost.max(0.0), 0.05));
    let mut check = Check::new("every push has one end, and ends accepted");
    for (sent, apps) in [(&alone, 1), (&calm, 2), (&torn, 2)] {
        let ended: u64 = sent.looked.values().map(|looked| looked.accepted + looked.others).sum();
        let others: u64 = sent.looked.values().map(|looked| looked.others).sum();
        let differs = ended != plan.pushes || others > 0 || sent.looked.len() != apps;
        check.compare(
            differs.then_some(|| format!("{ended} of {} ended, {others} not accepted", plan.pushes)),
        );
    }
    report.checks.push(check);
    Ok(())
}
