//! One lane's trouble is no other's: what a single push has to wait beside fifty thousand of another app.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use geopush_model::{Provider, Push, TenantId, UnixMillis};
use geopush_registry::AppCredentials;
use geopush_sandbox::{Options, Sandbox};
use geopush_service::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::SendConfig;
use super::decision::Decision;
use super::lane::{Attempt, Errand, Outcome};
use super::lanes::{Apps, Lanes};
use super::service::Services;
use super::testing::push;
use super::transport::{Connector, client_config};

const BACKLOG: usize = 50_000;
const SINGLES: usize = 20;
const AT_MOST: Duration = Duration::from_millis(100);
/// One test at a time: each fills the processors.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct KnownApps(HashMap<String, Arc<AppCredentials>>);

#[async_trait]
impl Apps for KnownApps {
    fn app(&self, _tenant: TenantId, app: &str) -> Option<(i64, Arc<AppCredentials>)> {
        Some((1, Arc::clone(self.0.get(app)?)))
    }

    async fn catch_up(&self) {}
}

/// Lanes of two apps, `busy` and `single`, and the providers of the latter. `change` makes the busy one's trouble.
async fn two_apps(change: impl FnOnce(&mut Value)) -> (Arc<Lanes>, Sandbox) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let mut busy = sandbox.app_json();
    change(&mut busy);
    let read = |app| Arc::new(serde_json::from_value(app).unwrap());
    let apps = [("busy", busy), ("single", sandbox.app_json())];
    let apps = KnownApps(apps.into_iter().map(|(name, app)| (name.to_owned(), read(app))).collect());
    let mut config = SendConfig::default();
    config.lanes.allow_provider_urls = true;
    let tls = client_config(Some(sandbox.ca_pem().as_bytes())).unwrap();
    let lanes =
        Lanes::new(Arc::new(apps), Services::default(), Connector::new(tls, config.timeouts), config.lanes);
    (Arc::new(lanes), sandbox)
}

fn of(app: &str, number: usize) -> Push {
    let mut push = push(&format!("a0{number:062x}"));
    push.app = app.into();
    push.provider = Provider::Apns;
    push.expires_at = UnixMillis(i64::MAX);
    push
}

/// A push that somebody waits for.
struct Watched {
    push: Push,
    outcome: UnboundedSender<Outcome>,
}

impl Errand for Watched {
    fn push(&self) -> &Push {
        &self.push
    }

    fn has_left(&self) -> bool {
        false
    }

    fn begin(&self) -> Option<UnixMillis> {
        Some(UnixMillis(SystemClock.now_ms()))
    }

    fn end(&self, outcome: Outcome) {
        // Whoever began it may have seen enough.
        let _ = self.outcome.send(outcome);
    }
}

/// A push that only tells that its turn came.
struct Numbered(usize, Push, UnboundedSender<usize>);

impl Errand for Numbered {
    fn push(&self) -> &Push {
        &self.1
    }

    fn has_left(&self) -> bool {
        false
    }

    fn begin(&self) -> Option<UnixMillis> {
        self.2.send(self.0).unwrap();
        None
    }

    fn end(&self, outcome: Outcome) {
        panic!("it did not begin: {outcome:?}");
    }
}

/// Gives a push to its lane.
fn carry(lanes: &Lanes, push: Push) -> UnboundedReceiver<Outcome> {
    let (outcome, outcomes) = unbounded_channel();
    lanes.lane(&push).unwrap().carry(Arc::new(Watched { push, outcome }));
    outcomes
}

/// Fifty thousand pushes of the busy app.
fn backlog(lanes: &Arc<Lanes>) -> Vec<UnboundedReceiver<Outcome>> {
    (0..BACKLOG).map(|n| carry(lanes, of("busy", n))).collect()
}

/// How long single pushes take, one after the other: the median, as the machine has other things to do too.
async fn single_pushes(lanes: &Lanes) -> Duration {
    let mut took = Vec::new();
    for n in 0..SINGLES {
        let began = Instant::now();
        let outcome = carry(lanes, of("single", n)).recv().await.unwrap();
        let Outcome::Tried(Attempt::Answered(verdict)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(verdict.decision, Decision::Sent);
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort_unstable();
    took[SINGLES / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_thousand_in_one_line_do_not_delay_a_push_in_another() {
    let _machine = MACHINE.lock().await;
    let (lanes, _sandbox) = two_apps(|busy| busy["apns"]["per_minute"] = json!(60 * 500)).await;
    single_pushes(&lanes).await;
    let waiting = backlog(&lanes);
    let took = single_pushes(&lanes).await;
    assert!(took < AT_MOST, "{took:?}");
    assert!(waiting.len() == BACKLOG);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_does_not_answer_delays_nobody_else() {
    // Connections come to it, and nothing ever comes back.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let _machine = MACHINE.lock().await;
    let (lanes, _sandbox) = two_apps(|busy| busy["apns"]["base_url"] = json!(url)).await;
    single_pushes(&lanes).await;
    let _waiting = backlog(&lanes);
    let took = single_pushes(&lanes).await;
    assert!(took < AT_MOST, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_lane_goes_out_all_who_wait_are_told_and_delay_nobody() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("https://{closed}");
    let _machine = MACHINE.lock().await;
    let (lanes, _sandbox) = two_apps(|busy| busy["apns"]["base_url"] = json!(url)).await;
    single_pushes(&lanes).await;
    let waiting = backlog(&lanes);
    let took = single_pushes(&lanes).await;
    assert!(took < AT_MOST, "{took:?}");
    for mut outcome in waiting {
        let outcome = outcome.recv().await.unwrap();
        assert!(matches!(outcome, Outcome::Tried(Attempt::Unreachable(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn turns_come_in_the_order_in_which_they_were_asked_for() {
    let _machine = MACHINE.lock().await;
    let (lanes, _sandbox) = two_apps(|busy| busy["apns"]["per_minute"] = json!(60 * 1_000)).await;
    let lane = lanes.lane(&of("busy", 0)).unwrap();
    lane.set_rate(
        NonZeroU32::new(60 * 1_000)
            .map(|per_minute| super::Rate { per_minute, burst: Duration::from_millis(1) }),
    );
    let (sender, mut order) = unbounded_channel();
    for n in 0..300 {
        lane.carry(Arc::new(Numbered(n, of("busy", n), sender.clone())));
    }
    drop(sender);
    let mut last = None;
    while let Some(n) = order.recv().await {
        assert!(last < Some(n), "{n} came after {last:?}");
        last = Some(n);
    }
    assert_eq!(last, Some(299));
}
