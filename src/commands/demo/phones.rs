//! The simulated phones: each sends its fix in its turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use geopush_service::clock::{Clock as _, SystemClock};
use geopush_service::shutdown::Shutdown;
use geopush_simulator::{PhoneFix, PingClient, Walker, Way};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::Tally;
use super::city::City;
use super::merchant::device;

/// Phones that share a request, as an app's own server would put them together.
const PHONES_A_REQUEST: usize = 20;
/// Requests under way at the same time; above it phones wait.
const MOST_UNDER_WAY: usize = 64;

/// Lets `count` phones send a fix each `pace`, evenly spread, until shutdown.
pub async fn drive(
    client: PingClient,
    city: City,
    seed: u64,
    count: u32,
    pace: Duration,
    tally: Arc<Tally>,
    shutdown: Shutdown,
) {
    let way = |i: u32| if i.is_multiple_of(3) { Way::Driving } else { Way::Walking };
    let walker =
        |i: u32| Walker::new(seed.wrapping_add(u64::from(i)), city.centre, city.half_width_m, way(i));
    let mut phones: Vec<(String, Walker)> = (0..count).map(|i| (device(i), walker(i))).collect();
    let groups = phones.len().div_ceil(PHONES_A_REQUEST);
    let mut turn = tokio::time::interval_at(Instant::now(), pace / u32::try_from(groups).unwrap_or(1));
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut under_way = JoinSet::new();
    loop {
        for group in phones.chunks_mut(PHONES_A_REQUEST) {
            tokio::select! {
                _ = turn.tick() => {}
                () = shutdown.requested() => {
                    under_way.shutdown().await;
                    return;
                }
            }
            while under_way.len() >= MOST_UNDER_WAY {
                under_way.join_next().await;
            }
            let time_ms = SystemClock.now_ms();
            let fixes: Vec<(String, PhoneFix)> = group
                .iter_mut()
                .map(|(device, walker)| {
                    let place = walker.step(pace.as_secs_f64());
                    (device.clone(), PhoneFix { time_ms, lat: place.lat, lon: place.lon })
                })
                .collect();
            let (client, tally) = (client.clone(), Arc::clone(&tally));
            under_way.spawn(async move {
                let phones: Vec<(&str, &[PhoneFix])> =
                    fixes.iter().map(|(device, fix)| (device.as_str(), std::slice::from_ref(fix))).collect();
                match client.send(&phones).await {
                    Ok(answer) => tally.fixes.fetch_add(answer.accepted, Ordering::Relaxed),
                    Err(_) => tally.failures.fetch_add(1, Ordering::Relaxed),
                };
            });
            while under_way.try_join_next().is_some() {}
        }
    }
}
