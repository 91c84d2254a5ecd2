//! A zone goes that very many devices are in: how soon all have left it, and what it means for everybody else.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use geopush_geometry::{Position, Shape};
use geopush_log::{Cursor, Reader, Record, Topic, Until};
use geopush_model::{DeviceKey, Fix, Ping, PingKind, Removal, UnixMillis, Wire as _, Zone, ZoneId};
use geopush_service::BoxError;
use indicatif::ProgressBar;

use super::{PATIENCE, Site, device, now};
use crate::goal::Goal;
use crate::latency::Latencies;
use crate::report::{Check, Report};

/// Everybody has left by then.
const ALL_LEFT_MS: f64 = 5_000.0;
/// What others may wait longer than usual.
const OTHERS_MS: f64 = 50.0;
/// How often somebody else comes or goes.
const VISIT: Duration = Duration::from_millis(10);
/// How long others are watched before the zone goes.
const BEFORE: Duration = Duration::from_secs(4);

const STADIUM: (f64, f64) = (2.12, 41.38);
const SHOP: (f64, f64) = (2.30, 41.45);
const ELSEWHERE: (f64, f64) = (2.40, 41.45);

pub(super) async fn run(
    members: usize,
    site: &Site,
    bar: &ProgressBar,
    report: &mut Report,
) -> Result<(), BoxError> {
    bar.set_message(format!("{}: they come in", site.name));
    let stadium = zone(site, "stadium", STADIUM)?;
    let zones = [&stadium, &zone(site, "shop", SHOP)?].map(record_of_zone);
    site.log.append(zones.to_vec()).await?;
    let mut crowd = Vec::with_capacity(members);
    for number in 0..members {
        crowd.push(ping(site, &format!("fan-{number:06}"), STADIUM, now())?);
    }
    site.append(&crowd, bar).await?;
    let running = site.run();
    let mut watch = Watch::new(site, members).await?;
    while watch.entered < members {
        watch.next().await?;
    }

    bar.set_message(format!("{}: the zone goes", site.name));
    let usual = visits(site, &mut watch, |began, _| began.elapsed() < BEFORE).await?;
    let removed = Zone {
        version: 2,
        deleted: true,
        updated_at: now(),
        removal: Some(Removal { version: 2, at: now() }),
        ..stadium
    };
    site.log.append(vec![record_of_zone(&removed)]).await?;
    let gone = Instant::now();
    let meanwhile = visits(site, &mut watch, |_, watch| watch.left < members).await?;
    let all_left_ms = gone.elapsed().as_secs_f64() * 1e3;
    bar.inc(members as u64);
    running.stop().await?;

    let name = site.name;
    let p99 = |all: &Latencies| all.summary("").p99_us as f64 / 1e3;
    report.goals.push(Goal::at_most(
        &format!("{members} exits of a removed zone, {name}"),
        "ms",
        all_left_ms,
        ALL_LEFT_MS,
    ));
    report.goals.push(Goal::at_most(
        &format!("others' pings held up meanwhile, p99, {name}"),
        "ms",
        p99(&meanwhile) - p99(&usual),
        OTHERS_MS,
    ));
    report.latencies.push(usual.summary(&format!("{name}: a ping's transition, usually")));
    report.latencies.push(meanwhile.summary(&format!("{name}: while a zone's members leave")));
    let mut once = Check::new(&format!("{name}: every member left the removed zone once"));
    once.compare((watch.left != members).then_some(|| format!("{} of {members} left", watch.left)));
    report.checks.push(once);
    Ok(())
}

/// Somebody comes or goes every few milliseconds; how long it takes until that is a transition.
async fn visits(
    site: &Site,
    watch: &mut Watch,
    go_on: impl Fn(Instant, &Watch) -> bool,
) -> Result<Latencies, BoxError> {
    let began = Instant::now();
    let mut latencies = Latencies::default();
    let mut ticks = tokio::time::interval(VISIT);
    let mut sent: HashMap<String, Instant> = HashMap::new();
    while go_on(began, watch) || !sent.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if go_on(began, watch) => {
                watch.visits += 1;
                // Everybody comes once: what is in hand of one device would make the next wait.
                let name = format!("visitor-{:06}", watch.visits);
                let arrives = watch.visits.is_multiple_of(2);
                let place = if arrives { SHOP } else { ELSEWHERE };
                let record = ping(site, &name, place, now())?;
                if arrives {
                    sent.insert(name, Instant::now());
                }
                site.log.append(vec![record]).await?;
            }
            visitors = watch.next() => {
                for visitor in visitors? {
                    if let Some(sent) = sent.remove(&visitor) {
                        latencies.record(sent.elapsed());
                    }
                }
            }
        }
    }
    Ok(latencies)
}

/// Reads the transitions.
struct Watch {
    reader: Box<dyn Reader>,
    members: usize,
    entered: usize,
    left: usize,
    visits: u64,
}

impl Watch {
    async fn new(site: &Site, members: usize) -> Result<Self, BoxError> {
        let from = |partition| Cursor { topic: Topic::Transitions, partition, offset: 0 };
        let partitions = 0..site.log.partitions(Topic::Transitions);
        let reader = site.log.read(partitions.map(from).collect(), Until::Never).await?;
        Ok(Self { reader, members, entered: 0, left: 0, visits: 0 })
    }

    /// The visitors among the next transitions. Safe to drop while waiting.
    async fn next(&mut self) -> Result<Vec<String>, BoxError> {
        let Some((_, records)) = self.reader.next(PATIENCE).await? else {
            return Err(format!(
                "no transition for {PATIENCE:?}; {} came in, {} left",
                self.entered, self.left
            )
            .into());
        };
        let mut visitors = Vec::new();
        for record in records {
            let key = DeviceKey::parse(&record.key).ok_or("a transition's key is its device's")?;
            if key.device.as_str().starts_with("visitor") {
                visitors.push(key.device.to_string());
            } else if self.entered < self.members {
                self.entered += 1;
            } else {
                // Not decoded: a slow reader would be measured for a slow evaluator.
                self.left += 1;
            }
        }
        Ok(visitors)
    }
}

fn zone(site: &Site, name: &str, (lon, lat): (f64, f64)) -> Result<Zone, BoxError> {
    let centre = Position::new(lon, lat).ok_or("a place on earth")?;
    let shape = Shape::circle(centre, 400.0).map_err(|error| format!("{error:?}"))?;
    Ok(Zone {
        external_id: Some(name.to_owned()),
        ..Zone::new(site.tenant, ZoneId::of_external(site.tenant, name), name, shape, now())
    })
}

fn record_of_zone(zone: &Zone) -> Record {
    Record::new(Topic::Zones, zone.id.to_string(), zone.encode())
}

fn ping(site: &Site, name: &str, (lon, lat): (f64, f64), at: UnixMillis) -> Result<Record, BoxError> {
    let fix = Fix::at(Position::new(lon, lat).ok_or("a place on earth")?, at);
    let kind = PingKind::Fixes(vec![fix]);
    let ping = Ping { tenant: site.tenant, device: device(name)?, received_at: at, kind };
    Ok(Record::new(Topic::Pings, ping.key().to_bytes(), ping.encode()))
}
