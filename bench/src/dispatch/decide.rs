//! How fast the decision alone is, on one thread: transitions in memory to pushes in memory.

use std::collections::BTreeMap;
use std::time::Instant;

use geopush_dispatcher::plan::decide::{Cause, Decision, Facts, Verdict, ZoneFacts, decide};
use geopush_dispatcher::plan::index::Campaigns;
use geopush_model::{
    Caps, DailyWindow, DeviceId, PlanState, QuietHours, QuietHoursThen, TenantSettings, TimeOfDay,
    UnixMillis, ZoneId,
};
use geopush_registry::{AppProviders, Device, Platform};
use geopush_service::BoxError;

use super::plan::{CAMPAIGNS, TENANT, campaign, enter};
use crate::goal::Goal;
use crate::report::{Check, Report};

/// Devices that the causes are of.
const DEVICES: u64 = 10_000;
/// Causes that are made at once, before the clock runs.
const BATCH: u64 = 10_000;

/// Decides on so many causes.
///
/// # Errors
/// When the causes can't be made.
pub fn run(causes: u64, report: &mut Report) -> Result<(), BoxError> {
    let now = UnixMillis(1_767_225_600_000);
    let mut campaigns = Campaigns::default();
    (0..CAMPAIGNS).for_each(|number| campaigns.put(campaign(number, now)));
    let devices = (0..DEVICES).map(|number| device(number, now)).collect::<Result<Vec<_>, _>>()?;
    let mut states = vec![PlanState::default(); devices.len()];
    let minutes = |minutes| TimeOfDay::of_minutes(minutes).ok_or("a time of the day");
    let window = DailyWindow { from: minutes(22 * 60)?, to: minutes(23 * 60)? };
    let settings = TenantSettings {
        timezone: Some("Europe/Madrid".to_owned()),
        quiet_hours: Some(QuietHours { window, then: QuietHoursThen::Hold }),
        caps: Caps { per_hour: Some(50), per_day: Some(200), per_week: None },
        ..TenantSettings::default()
    };
    let no_visits = BTreeMap::<ZoneId, UnixMillis>::new();
    let (mut done, mut pushes, mut seconds) = (0, 0_u64, 0.0);
    while done < causes {
        let batch = (done..causes.min(done + BATCH)).map(|cause| {
            let which = usize::try_from(cause % DEVICES)?;
            let seq = cause / DEVICES + 1;
            // Each time another campaign, so that none cools down.
            let zone = (cause + seq) % CAMPAIGNS;
            Ok((which, Cause::Transition(enter(&devices[which].device, seq, zone, now)?)))
        });
        let batch = batch.collect::<Result<Vec<_>, BoxError>>()?;
        let begun = Instant::now();
        for (which, cause) in &batch {
            let Cause::Transition(transition) = cause else { continue };
            let triggered = campaigns.triggered_by(transition, &[]);
            let facts = Facts {
                // Nobody is pushed to more often than caps and cooldowns allow.
                now: now.plus_ms(i64::try_from(transition.seq)? * 600_000),
                ttl_ms: 86_400_000,
                settings: &settings,
                device: Some(&devices[*which]),
                visits: &no_visits,
                zone: ZoneFacts::default(),
                providers: &|_| Some(AppProviders { fcm: true, apns: false }),
                campaigns: &campaigns,
                sent: None,
                is_cancelled: false,
                quota: None,
            };
            if let Verdict::Decided(decisions) = decide(&mut states[*which], cause, &triggered, &facts) {
                let of_batch = decisions.iter().filter(|decision| matches!(decision, Decision::Push(_)));
                pushes += of_batch.count() as u64;
            }
        }
        seconds += begun.elapsed().as_secs_f64();
        done += batch.len() as u64;
    }
    let mut check = Check::new("decide made a push of most causes");
    check.compare((pushes * 2 < causes).then_some(|| format!("{pushes} pushes of {causes}")));
    report.checks.push(check);
    let rate = causes as f64 / seconds;
    report.number("plan: decide alone, one thread, 1,000 active campaigns", "causes/s", rate);
    report.goals.push(Goal::at_least("decide alone", "causes/s a core", rate, 200_000.0));
    Ok(())
}

fn device(number: u64, now: UnixMillis) -> Result<Device, BoxError> {
    let mut device = Device::new(TENANT, DeviceId::new(&format!("device-{number:07}"))?, now);
    device.platform = Some(Platform::Android);
    device.push_token = Some(format!("fZ1{number:060}:APA91bE{number:080}"));
    Ok(device)
}
