//! The backlog that is worked off: zones, and the pings of phones among them, most of which stand.

use geopush_log::{AppendError, Record, SharedLog, Topic, TraceId};
use geopush_model::{DeviceId, Fix, Ping, PingKind, TenantId, UnixMillis, Wire as _, Zone};
use geopush_service::BoxError;
use indicatif::ProgressBar;
use uuid::Uuid;

use crate::e2e::town::{SentFix, Town};

/// Of ten phones so many stand, as in `geofence`'s realistic traffic.
const STANDING_OF_TEN: usize = 6;
/// Records appended at once.
const AT_ONCE: usize = 10_000;

/// What is in the log when a run begins.
pub struct Backlog {
    /// Whose zones and phones they are.
    pub tenant: TenantId,
    /// All zones.
    pub zones: Vec<Zone>,
    /// All pings, each of one fix, phone after phone, again and again.
    pub pings: Vec<Ping>,
    records: Vec<Record>,
}

impl Backlog {
    /// The pings of so many phones until there are enough: a ping each in turn.
    pub fn new(town: &Town, phones: usize, pings: usize, now: UnixMillis) -> Result<Self, BoxError> {
        let tenant = TenantId(Uuid::new_v4());
        let zones = town.zones(tenant)?;
        let devices: Vec<DeviceId> = (0..phones)
            .map(|phone| DeviceId::new(&Town::phone(phone).device).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        let mut ways: Vec<Box<dyn Iterator<Item = SentFix>>> = (0..phones)
            .map(|phone| match phone % 10 {
                ..STANDING_OF_TEN => Box::new(town.stay(phone)) as _,
                _ => Box::new(town.route(phone)) as _,
            })
            .collect();
        let mut all = Vec::with_capacity(pings);
        for index in 0..pings {
            let fix: Fix =
                ways[index % phones].next().and_then(|sent| sent.fix()).ok_or("a way has an end")?;
            let device = devices[index % phones].clone();
            all.push(Ping { tenant, device, received_at: now, kind: PingKind::Fixes(vec![fix]) });
        }
        let records = (0u128..).zip(&all).map(|(index, ping)| {
            let trace = TraceId((index + 1).to_be_bytes());
            Record::new(Topic::Pings, ping.key().to_bytes(), ping.encode()).traced(Some(trace))
        });
        Ok(Self { tenant, zones, records: records.collect(), pings: all })
    }

    /// Appends zones and pings to a log that is empty.
    ///
    /// # Errors
    /// When the log does not take them.
    pub async fn fill(&self, log: &SharedLog, bar: &ProgressBar) -> Result<(), BoxError> {
        let zone = |zone: &Zone| Record::new(Topic::Zones, zone.id.to_string(), zone.encode());
        log.append(self.zones.iter().map(zone).collect()).await?;
        for records in self.records.chunks(AT_ONCE) {
            append(log, records).await?;
            bar.inc(records.len() as u64);
        }
        Ok(())
    }
}

/// Appends records; smaller pieces are tried where the log has no room for so many at once.
async fn append(log: &SharedLog, records: &[Record]) -> Result<(), BoxError> {
    match log.append(records.to_vec()).await {
        Err(AppendError::Full) if records.len() > 1 => {
            let (first, second) = records.split_at(records.len() / 2);
            Box::pin(append(log, first)).await?;
            Box::pin(append(log, second)).await
        }
        done => Ok(done?),
    }
}
