//! One tenant's crowd is not another's wait. How many of the crowd are taken before the other's push is counted, as
//! they pass at a known rate; no time is.

use geopush_model::{Provider, TenantId};
use serde_json::json;

use super::world::{Choices, World, apns_token, tenant};

const CROWD: usize = 20_000;
/// The crowd's rate, a second: one of them is a millisecond.
const RATE: u32 = 1_000;
const SINGLES: usize = 15;
/// On a machine that is busy the crowd may have gone before that many; so many must have been sent beside it.
const ENOUGH: usize = 5;
/// What another's single push may wait, in pushes of the crowd, beside a few times what it takes alone: a machine that is
/// slow is slow in both.
const AT_MOST: u64 = 1_200;
const TIMES: u64 = 3;

/// What is under way of a crowd at such a rate, with what two looks and a page may add to it.
const UNDER_WAY: i64 = 4_096 + 1_000;

const MANY: u128 = 1;
const FEW: u128 = 2;

/// What single pushes take, in ms, and how many pushes of a crowd the providers take meanwhile, as long as it stands in
/// line: the medians of several, as the machine has other things to do too.
async fn single_pushes(
    world: &World,
    few: TenantId,
    provider: Provider,
    group: &str,
    stands: impl AsyncFn() -> bool,
) -> (u64, u64) {
    let (mut took, mut passed) = (Vec::new(), Vec::new());
    for n in 0..SINGLES {
        let device = format!("single-{group}-{n}");
        let token = match provider {
            Provider::Fcm => format!("phone-{device}"),
            Provider::Apns => format!("51{n:062x}"),
        };
        let began = std::time::Instant::now();
        world.register(few, &device, provider, &token).await;
        let before = world.sandbox.sent_count();
        world.send_to(few, &device).await;
        let seq = world
            .eventually("the single push", async || {
                let sent = world.sandbox.sent_after(before, usize::MAX);
                Some(sent.iter().find(|sent| sent.token == token)?.seq)
            })
            .await;
        if !stands().await {
            break;
        }
        took.push(began.elapsed().as_millis() as u64);
        passed.push(seq - before - 1);
    }
    took.sort_unstable();
    passed.sort_unstable();
    println!("{group}: {took:?} ms, {passed:?} passed");
    assert!(took.len() >= ENOUGH, "{group}: the crowd has gone already");
    let middle = took.len() / 2;
    (took[middle], passed[middle])
}

/// A crowd of one tenant, standing in line, and the same provider used by another.
async fn beside_a_crowd(crowd: Provider, single: Provider) {
    let world = World::start(Choices::default()).await;
    let (many, few) = (tenant(MANY), tenant(FEW));
    let mut app = world.sandbox.app_json();
    for provider in ["fcm", "apns"] {
        app[provider]["per_minute"] = json!(60 * RATE);
    }
    world.app(many, app).await;
    world.app(few, world.sandbox.app_json()).await;
    world
        .register_all(many, CROWD, |n| match crowd {
            Provider::Fcm => (crowd, format!("phone-{n}")),
            Provider::Apns => (crowd, apns_token(n)),
        })
        .await;
    let (alone_ms, _) = single_pushes(&world, few, single, "alone", async || true).await;
    let send = world.send_to_all(many).await;
    world.eventually("the crowd", async || (world.sandbox.sent_count() > 1_500).then_some(())).await;
    let stands = async || {
        let counts = world.counts(many, send).await;
        let under_way = counts.asked - counts.ended() - counts.put_off;
        assert!(under_way <= UNDER_WAY, "{counts:?}: whoever comes waits behind {under_way}");
        counts.ended() < CROWD as i64
    };
    let (_, passed) = single_pushes(&world, few, single, "beside", stands).await;
    let at_most = AT_MOST + TIMES * alone_ms * u64::from(RATE) / 1_000;
    assert!(passed <= at_most, "{passed} of the crowd went before, and {at_most} might have");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_push_does_not_wait_behind_another_tenants_crowd_in_line_at_the_same_provider() {
    beside_a_crowd(Provider::Fcm, Provider::Fcm).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_behind_one_at_the_other_provider() {
    beside_a_crowd(Provider::Apns, Provider::Fcm).await;
}
