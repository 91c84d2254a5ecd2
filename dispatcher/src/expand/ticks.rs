//! Which campaigns are due: those on schedules, and the daily looks for absences. Nothing here does I/O.

use std::collections::HashMap;

use geopush_campaign::Schedule;
use geopush_log::partition_of;
use geopush_model::{
    Campaign, CampaignId, CampaignRun, CampaignStatus, Job, TenantId, Trigger, UnixMillis, Work,
};
use geopush_store::tables::DEVICE_BUCKETS;
use jiff::tz::TimeZone;

/// What was due longer ago than this, while nothing ran, is not made up for.
pub(super) const LATE_MS: i64 = 60 * 60 * 1_000;
/// When absences are looked for, by the tenant's clock.
const ABSENCES: &str = "0 10 * * *";

/// The campaigns that go by the clock, of all tenants, each in its newest version.
#[derive(Debug, Default)]
pub(super) struct Clockwork {
    all: HashMap<CampaignId, Timed>,
}

/// A campaign that goes by the clock.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timed {
    pub(super) tenant: TenantId,
    pub(super) id: CampaignId,
    /// `schedule` or `absence`.
    pub(super) kind: &'static str,
    pub(super) active: bool,
    /// None: it can't be read.
    schedule: Option<Schedule>,
    /// Since when it is as it is.
    since: UnixMillis,
    starts_at: Option<UnixMillis>,
    ends_at: Option<UnixMillis>,
    version: i64,
}

impl Clockwork {
    /// Takes a version of a campaign, unless a newer one is known.
    pub(super) fn put(&mut self, campaign: &Campaign) {
        if self.all.get(&campaign.id).is_some_and(|known| known.version > campaign.version) {
            return;
        }
        let cron = match &campaign.trigger {
            Trigger::Schedule { cron } => cron,
            Trigger::Absence { .. } => ABSENCES,
            Trigger::Zone(_) | Trigger::Event { .. } => {
                self.all.remove(&campaign.id);
                return;
            }
        };
        let schedule = Schedule::parse(cron);
        if let Err(error) = &schedule {
            tracing::error!(
                campaign = %campaign.id, version = campaign.version, %error,
                "a schedule can't be read, so the campaign is never due; save the campaign again"
            );
        }
        let timed = Timed {
            tenant: campaign.tenant,
            id: campaign.id,
            kind: campaign.trigger.kind(),
            active: campaign.status == CampaignStatus::Active && !campaign.deleted,
            schedule: schedule.ok(),
            since: campaign.updated_at,
            starts_at: campaign.starts_at,
            ends_at: campaign.ends_at,
            version: campaign.version,
        };
        self.all.insert(campaign.id, timed);
    }

    /// Forgets a campaign altogether.
    pub(super) fn remove(&mut self, id: CampaignId) {
        self.all.remove(&id);
    }

    pub(super) fn get(&self, id: CampaignId) -> Option<&Timed> {
        self.all.get(&id)
    }

    /// The active ones that a slice among so many looks after.
    pub(super) fn of_slice(&self, slice: u32, slices: u32) -> impl Iterator<Item = &Timed> {
        let own = move |id: CampaignId| partition_of(id.to_string().as_bytes(), slices) == slice;
        self.all.values().filter(move |timed| timed.active && own(timed.id))
    }
}

/// A run that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) tenant: TenantId,
    /// `schedule` or `absence`.
    pub(super) kind: &'static str,
    pub(super) run: CampaignRun,
}

/// What a slice knows of its campaigns' times.
#[derive(Debug)]
pub(super) struct Ticks {
    /// What was due up to then has been fired.
    fired_to: UnixMillis,
    /// When each is due next, as far as it was computed.
    next: HashMap<CampaignId, Next>,
}

#[derive(Debug)]
struct Next {
    version: i64,
    zone: TimeZone,
    at: Option<UnixMillis>,
}

/// What a look at the clock shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// To be fired now, in the order of their times.
    pub(super) due: Vec<Due>,
    /// Campaigns that were due so long ago, while nothing ran, that it is not made up for.
    pub(super) missed: usize,
}

impl Ticks {
    /// What was due up to this time has been fired.
    pub(super) fn since(fired_to: UnixMillis) -> Self {
        Self { fired_to, next: HashMap::new() }
    }

    pub(super) fn fired_to(&self) -> UnixMillis {
        self.fired_to
    }

    /// What was due up to this time has been fired.
    pub(super) fn fired(&mut self, now: UnixMillis) {
        self.fired_to = self.fired_to.max(now);
    }

    /// What is due at `now`: every time of each campaign since what was fired before, but none from before it was as
    /// it is, and none that is too long ago. The same until [`Ticks::fired`] says that it was fired.
    pub(super) fn look<'a>(
        &mut self,
        now: UnixMillis,
        campaigns: impl Iterator<Item = &'a Timed>,
        zone_of: impl Fn(TenantId) -> TimeZone,
    ) -> Look {
        let mut look = Look::default();
        if now <= self.fired_to {
            return look;
        }
        let mut seen = 0;
        for timed in campaigns {
            let Some(schedule) = &timed.schedule else { continue };
            seen += 1;
            let zone = zone_of(timed.tenant);
            // A time that is just as the campaign became what it is, counts.
            let since = [
                Some(self.fired_to),
                Some(timed.since.plus_ms(-1)),
                timed.starts_at.map(|at| at.plus_ms(-1)),
            ];
            let since = since.into_iter().flatten().max().unwrap_or(self.fired_to);
            let known =
                self.next.get(&timed.id).filter(|next| next.version == timed.version && next.zone == zone);
            let mut at = match known {
                Some(next) if next.at.is_none_or(|at| at > since) => next.at,
                _ => schedule.next_after(since, &zone),
            };
            self.next.insert(timed.id, Next { version: timed.version, zone: zone.clone(), at });
            if at.is_some_and(|at| now.since_ms(at) > LATE_MS) {
                look.missed += 1;
                at = schedule.next_after(now.plus_ms(-LATE_MS - 1), &zone);
            }
            while let Some(due) = at.filter(|at| *at <= now && timed.ends_at.is_none_or(|end| *at < end)) {
                let run = CampaignRun { campaign: timed.id, at: due, shards: DEVICE_BUCKETS.unsigned_abs() };
                look.due.push(Due { tenant: timed.tenant, kind: timed.kind, run });
                at = schedule.next_after(due, &zone);
            }
        }
        if self.next.len() > 2 * seen + 64 {
            // Most are of campaigns that are gone.
            self.next.clear();
        }
        look.due.sort_by_key(|due| (due.run.at, due.run.campaign));
        look
    }
}

impl Due {
    /// One job a shard.
    pub(super) fn jobs(&self) -> impl Iterator<Item = Job> + use<> {
        let Self { tenant, run, .. } = *self;
        let job = move |shard| Job {
            tenant,
            work: Work::Run(run),
            shard,
            cursor: None,
            expanded: 0,
            not_before: None,
        };
        (0..run.shards).map(job)
    }
}

#[cfg(test)]
mod tests {
    use geopush_model::{Message, TenantId, ZoneChoice};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(1));
    const MINUTE: i64 = 60_000;

    fn at(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn campaign(n: u128, cron: &str, since: UnixMillis) -> Campaign {
        let trigger = Trigger::Schedule { cron: cron.to_owned() };
        let id = CampaignId(Uuid::from_u128(n));
        let draft = Campaign::draft(TENANT, id, "shop", trigger, Message::default(), since);
        Campaign { status: CampaignStatus::Active, ..draft }
    }

    fn clockwork(campaigns: &[Campaign]) -> Clockwork {
        let mut clockwork = Clockwork::default();
        campaigns.iter().for_each(|campaign| clockwork.put(campaign));
        clockwork
    }

    fn zone(name: &str) -> TimeZone {
        geopush_campaign::time_zone(name).unwrap()
    }

    /// The times of all runs, looking every so often from `from` to `to`.
    fn fired(clockwork: &Clockwork, zone: &TimeZone, from: &str, to: &str, every_ms: i64) -> Vec<UnixMillis> {
        let (mut now, to) = (at(from), at(to));
        let mut ticks = Ticks::since(now);
        let mut all = Vec::new();
        while now < to {
            now = now.plus_ms(every_ms);
            let look = ticks.look(now, clockwork.of_slice(0, 1), |_| zone.clone());
            all.extend(look.due.iter().map(|due| due.run.at));
            ticks.fired(now);
        }
        all
    }

    #[test]
    fn a_day_of_changing_clocks_has_each_time_once() {
        let madrid = zone("Europe/Madrid");
        for (cron, from, to, wanted) in [
            // Half past two is left out: it is due when clocks have been put forward.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", vec!["2026-03-29T01:00:00Z"]),
            ("30 2 * * *", "2026-03-29T12:00:00Z", "2026-03-30T12:00:00Z", vec!["2026-03-30T00:30:00Z"]),
            // It comes twice: the first is it.
            ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", vec!["2026-10-25T00:30:00Z"]),
            (
                "0 9 * * *",
                "2026-03-28T00:00:00Z",
                "2026-03-30T00:00:00Z",
                vec!["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"],
            ),
        ] {
            let clockwork = clockwork(&[campaign(1, cron, at("2026-01-01T00:00:00Z"))]);
            let wanted: Vec<_> = wanted.into_iter().map(at).collect();
            assert_eq!(fired(&clockwork, &madrid, from, to, 7 * MINUTE), wanted, "{cron} from {from}");
        }
    }

    #[test]
    fn absences_are_looked_for_once_a_day_by_the_tenants_clock() {
        let trigger = Trigger::Absence { days: 3, zones: ZoneChoice::default() };
        let absence = Campaign { trigger, ..campaign(1, "", at("2026-01-01T00:00:00Z")) };
        let fired = fired(
            &clockwork(&[absence]),
            &zone("America/New_York"),
            "2026-01-05T00:00:00Z",
            "2026-01-07T00:00:00Z",
            MINUTE,
        );
        assert_eq!(fired, [at("2026-01-05T15:00:00Z"), at("2026-01-06T15:00:00Z")]);
    }

    #[test]
    fn a_campaign_is_due_only_as_long_as_it_is_what_it_is() {
        let day = "2026-01-05T00:00:00Z";
        let hourly = |change: &dyn Fn(&mut Campaign)| {
            let mut campaign = campaign(1, "0 * * * *", at(day));
            change(&mut campaign);
            fired(&clockwork(&[campaign]), &TimeZone::UTC, day, "2026-01-05T05:30:00Z", 10 * MINUTE).len()
        };
        assert_eq!(hourly(&|_| ()), 5);
        assert_eq!(hourly(&|c| c.status = CampaignStatus::Paused), 0);
        assert_eq!(hourly(&|c| c.deleted = true), 0);
        assert_eq!(
            hourly(&|c| c.updated_at = at("2026-01-05T03:00:00Z")),
            3,
            "not for times before it was so"
        );
        assert_eq!(hourly(&|c| c.starts_at = Some(at("2026-01-05T04:00:00Z"))), 2);
        assert_eq!(hourly(&|c| c.ends_at = Some(at("2026-01-05T03:00:00Z"))), 2);
        assert_eq!(hourly(&|c| c.trigger = Trigger::Schedule { cron: "every day".to_owned() }), 0);
    }

    #[test]
    fn a_newer_version_counts_and_an_older_one_that_comes_late_does_not() {
        let old = campaign(1, "0 * * * *", UnixMillis(0));
        let new = Campaign { version: 2, status: CampaignStatus::Paused, ..old.clone() };
        let mut clockwork = clockwork(&[old.clone(), new, old.clone()]);
        assert_eq!(clockwork.of_slice(0, 1).count(), 0);
        clockwork.put(&Campaign { version: 3, ..old.clone() });
        assert_eq!(clockwork.of_slice(0, 1).count(), 1);
        let event = Trigger::Event { name: "e".to_owned(), max_age_s: None };
        clockwork.put(&Campaign { version: 4, trigger: event, ..old });
        assert!(clockwork.get(CampaignId(Uuid::from_u128(1))).is_none());
    }

    #[test]
    fn what_was_missed_for_long_is_not_made_up_for() {
        let clockwork = clockwork(&[campaign(1, "*/10 * * * *", UnixMillis(0))]);
        let mut ticks = Ticks::since(at("2026-01-01T00:00:00Z"));
        let now = at("2026-01-03T00:05:00Z");
        let look = ticks.look(now, clockwork.of_slice(0, 1), |_| TimeZone::UTC);
        assert_eq!((look.missed, look.due.len()), (1, 6), "of the last hour all are");
        assert!(look.due.iter().all(|due| now.since_ms(due.run.at) <= LATE_MS));
        assert_eq!(ticks.look(now, clockwork.of_slice(0, 1), |_| TimeZone::UTC), look, "until it is fired");
        ticks.fired(now);
        assert_eq!(ticks.look(now, clockwork.of_slice(0, 1), |_| TimeZone::UTC), Look::default());
    }

    #[test]
    fn each_campaign_is_one_slices() {
        let campaigns: Vec<_> = (1..100).map(|n| campaign(n, "0 * * * *", UnixMillis(0))).collect();
        let clockwork = clockwork(&campaigns);
        let counts: Vec<usize> = (0..4).map(|slice| clockwork.of_slice(slice, 4).count()).collect();
        assert!(counts.iter().sum::<usize>() == 99 && counts.iter().all(|count| *count > 5), "{counts:?}");
    }

    proptest! {
        /// Wherever it dies, as long as it is looked within the hour: each time fires once.
        #[test]
        fn each_time_is_fired_once(steps in prop::collection::vec((1_i64..3_000_000, any::<bool>()), 1..60)) {
            let clockwork = clockwork(&[campaign(1, "*/7 * * * *", UnixMillis(0))]);
            let begin = at("2026-03-28T20:00:00Z");
            let (mut now, mut committed) = (begin, begin);
            let (mut ticks, mut fired) = (Ticks::since(committed), Vec::new());
            for (ms, dies) in steps {
                now = now.plus_ms(ms);
                let look = ticks.look(now, clockwork.of_slice(0, 1), |_| TimeZone::UTC);
                prop_assert_eq!(look.missed, 0);
                if dies {
                    ticks = Ticks::since(committed);
                    // Within the hour of the first that it looked at.
                    now = now.plus_ms(-ms);
                    continue;
                }
                fired.extend(look.due.iter().map(|due| due.run.at));
                ticks.fired(now);
                if !look.due.is_empty() {
                    committed = now;
                }
            }
            let schedule = Schedule::parse("*/7 * * * *").unwrap();
            let mut wanted = Vec::new();
            let mut next = schedule.next_after(begin, &TimeZone::UTC);
            while let Some(due) = next.filter(|due| *due <= ticks.fired_to()) {
                wanted.push(due);
                next = schedule.next_after(due, &TimeZone::UTC);
            }
            prop_assert_eq!(fired, wanted);
        }
    }
}
