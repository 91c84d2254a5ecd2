//! When schedules are due and windows end, where clocks are put forward and back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use geopush_campaign::{Schedule, ScheduleError, end_of, is_within, is_within_hours, time_zone};
use geopush_model::{DailyWindow, Hours, UnixMillis, Weekday};
use jiff::Timestamp;
use proptest::prelude::*;

fn at(time: &str) -> UnixMillis {
    UnixMillis(time.parse::<Timestamp>().unwrap().as_millisecond())
}

fn text(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.0).unwrap().to_string()
}

fn window(from: &str, to: &str) -> DailyWindow {
    DailyWindow { from: from.parse().unwrap(), to: to.parse().unwrap() }
}

/// Madrid: on 2026-03-29 02:00 (01:00Z) clocks go to 03:00; on 2026-10-25 03:00 (01:00Z) back to 02:00.
/// Lord Howe: on 2026-04-05 02:00 (15:00Z the day before) back to 01:30; on 2026-10-04 02:00 (15:30Z) to 02:30.
#[test]
fn schedules_are_due_once_whatever_clocks_do() {
    let (madrid, howe) = ("Europe/Madrid", "Australia/Lord_Howe");
    for (cron, zone, after, due) in [
        ("30 2 * * *", madrid, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"][..]),
        ("*/20 2 * * *", madrid, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]),
        ("0 2,3 * * *", madrid, "2026-03-28T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]),
        (
            "0 * * * *",
            madrid,
            "2026-03-28T23:30:00Z",
            &["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"],
        ),
        ("30 2 * * *", madrid, "2026-10-24T12:00:00Z", &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("30 2 * * *", madrid, "2026-10-25T01:10:00Z", &["2026-10-26T01:30:00Z"]),
        ("0 3 * * *", madrid, "2026-10-25T00:30:00Z", &["2026-10-25T02:00:00Z"]),
        ("0,30 * * * *", madrid, "2026-10-25T00:10:00Z", &["2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"]),
        ("45 1 * * *", howe, "2026-04-04T12:00:00Z", &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]),
        ("15 2 * * *", howe, "2026-10-03T12:00:00Z", &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]),
        ("0 10 * * *", "Asia/Kathmandu", "2026-01-01T00:00:00Z", &["2026-01-01T04:15:00Z"]),
        ("0 10 * * MON-FRI", "UTC", "2026-01-02T10:00:00Z", &["2026-01-05T10:00:00Z"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["2028-02-29T00:00:00Z"]),
        (
            "0 0 13 * FRI",
            "UTC",
            "2026-01-01T00:00:00Z",
            &["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"],
        ),
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T23:00:00Z",
            &["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
        ),
    ] {
        let (schedule, zone) = (Schedule::parse(cron).unwrap(), time_zone(zone).unwrap());
        let mut now = at(after);
        for expected in due {
            now = schedule.next_after(now, &zone).unwrap();
            assert_eq!(text(now), *expected, "{cron} after {after}");
        }
    }
}

#[test]
fn what_is_no_schedule_is_refused() {
    for bad in
        ["", "* * * *", "* * * * * *", "@daily", "61 * * * *", "* 24 * * *", "a b c d e", "0 0 * * FUNDAY"]
    {
        assert!(Schedule::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Schedule::parse("0 0 30 2 *"), Err(ScheduleError::Never));
    assert_eq!(Schedule::parse("* * * *"), Err(ScheduleError::Fields));
}

#[test]
fn a_part_of_the_day_begins_and_ends_by_the_clock() {
    let madrid = time_zone("Europe/Madrid").unwrap();
    for (window, now, inside) in [
        (window("22:00", "08:00"), "2026-01-01T20:59:59.999Z", false),
        (window("22:00", "08:00"), "2026-01-01T21:00:00Z", true),
        (window("22:00", "08:00"), "2026-01-02T06:59:59.999Z", true),
        (window("22:00", "08:00"), "2026-01-02T07:00:00Z", false),
        (window("09:00", "17:00"), "2026-01-01T08:00:00Z", true),
        (window("09:00", "17:00"), "2026-01-01T16:00:00Z", false),
        (window("00:00", "00:00"), "2026-01-01T12:00:00Z", true),
    ] {
        assert_eq!(is_within(window, at(now), &madrid), inside, "{window:?} {now}");
    }
}

#[test]
fn quiet_hours_end_when_the_clock_says_so() {
    let (madrid, howe) = ("Europe/Madrid", "Australia/Lord_Howe");
    for (window, zone, now, end) in [
        (window("22:00", "08:00"), madrid, "2026-01-01T22:00:00Z", "2026-01-02T07:00:00Z"),
        (window("22:00", "08:00"), madrid, "2026-01-02T01:00:00Z", "2026-01-02T07:00:00Z"),
        (window("22:00", "08:00"), madrid, "2026-03-28T22:00:00Z", "2026-03-29T06:00:00Z"),
        (window("22:00", "08:00"), madrid, "2026-10-24T22:00:00Z", "2026-10-25T07:00:00Z"),
        (window("22:00", "02:30"), madrid, "2026-03-28T22:00:00Z", "2026-03-29T01:00:00Z"),
        (window("22:00", "02:30"), madrid, "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z"),
        (window("22:00", "02:15"), howe, "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z"),
        (window("12:00", "14:00"), "UTC", "2026-01-01T13:00:00Z", "2026-01-01T14:00:00Z"),
        (window("12:00", "12:00"), "UTC", "2026-01-01T13:00:00Z", "2026-01-02T12:00:00Z"),
    ] {
        let ended = end_of(window, at(now), &time_zone(zone).unwrap()).unwrap();
        assert_eq!(text(ended), end, "{window:?} {now}");
    }
}

#[test]
fn a_night_belongs_to_the_day_that_it_began_on() {
    let hours = Hours { window: window("22:00", "04:00"), weekdays: vec![Weekday::Fri] };
    let utc = time_zone("UTC").unwrap();
    // 2026-01-02 was a Friday.
    for (now, inside) in [
        ("2026-01-02T23:00:00Z", true),
        ("2026-01-03T03:59:00Z", true),
        ("2026-01-03T23:00:00Z", false),
        ("2026-01-02T03:00:00Z", false),
        ("2026-01-02T12:00:00Z", false),
    ] {
        assert_eq!(is_within_hours(&hours, at(now), &utc), inside, "{now}");
    }
}

#[test]
fn zones_have_their_names_and_nothing_else_does() {
    assert!(time_zone("Europe/Madrid").is_some() && time_zone("UTC").is_some());
    assert!(time_zone("Europe/Atlantis").is_none() && time_zone("").is_none());
}

proptest! {
    /// The search is compared with looking at every minute.
    #[test]
    fn a_schedule_misses_no_minute_and_repeats_none(
        minute in 0u32..60, hour in 0u32..4, zone in prop::sample::select(vec!["Europe/Madrid", "Australia/Lord_Howe", "America/New_York"]),
        day in 0i64..365,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} * * *")).unwrap();
        let zone = time_zone(zone).unwrap();
        let (mut now, end) = (at("2026-01-01T00:00:00Z").plus_ms(day * 86_400_000), day + 4);
        let end = at("2026-01-01T00:00:00Z").plus_ms(end * 86_400_000);
        let begin = now;
        let mut dates = std::collections::BTreeSet::new();
        while let Some(due) = schedule.next_after(now, &zone).filter(|due| *due < end) {
            prop_assert!(due > now);
            let date = zone.to_datetime(Timestamp::from_millisecond(due.0).unwrap()).date();
            prop_assert!(dates.insert(date), "twice on {}", date);
            now = due;
        }
        let whole_days = (end.since_ms(begin) / 86_400_000 - 1) as usize;
        prop_assert!(dates.len() >= whole_days, "{:?}", dates);
    }

    #[test]
    fn the_end_of_a_window_is_out_of_it_or_at_a_clock_put_back(from in 0u32..1440, to in 0u32..1440, minutes in 0i64..525_600) {
        prop_assume!(from != to);
        let time = |minutes| geopush_model::TimeOfDay::of_minutes(minutes).unwrap();
        let window = DailyWindow { from: time(from), to: time(to) };
        let zone = time_zone("Europe/Madrid").unwrap();
        let now = at("2026-01-01T00:00:00Z").plus_ms(minutes * 60_000);
        let end = end_of(window, now, &zone).unwrap();
        prop_assert!(end > now && end.since_ms(now) <= 26 * 3_600_000);
        if is_within(window, now, &zone) {
            prop_assert!(!is_within(window, end, &zone));
        }
    }
}
