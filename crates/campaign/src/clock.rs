//! Clocks on walls: what they show, and when they will show it, where they are put forward and back.

use std::sync::LazyLock;

use geopush_model::{DailyWindow, Hours, UnixMillis, Weekday};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// The zones that are part of the program, so that every process knows the same ones and reads no file.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The time zone that IANA calls so, if there is one.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

/// What the clocks of a zone show. Beyond the calendar's ends it is the nearest that they can.
pub(crate) fn wall(at: UnixMillis, zone: &TimeZone) -> DateTime {
    let nearest = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    zone.to_datetime(Timestamp::from_millisecond(at.0).unwrap_or(nearest))
}

/// When the clocks of a zone first show this time, or a later one if they leave it out.
pub(crate) fn first_at_or_after(time: DateTime, zone: &TimeZone) -> Option<UnixMillis> {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let left_out = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let first = ambiguous.compatible().ok()?;
    if !left_out {
        return Some(UnixMillis(first.as_millisecond()));
    }
    // As long after the clocks were put forward as the time is after the last that they showed before.
    let put_forward = zone.preceding(first.checked_add(SignedDuration::from_nanos(1)).ok()?).next()?;
    Some(UnixMillis(put_forward.timestamp().as_millisecond()))
}

/// Whether a campaign with these hours pushes now, by the clocks of a zone.
pub fn is_within_hours(hours: &Hours, now: UnixMillis, zone: &TimeZone) -> bool {
    let time = wall(now, zone);
    let Some(began) = began_on(hours.window, time) else { return false };
    let weekday = u32::try_from(began.weekday().to_monday_one_offset()).ok().and_then(Weekday::of_number);
    hours.weekdays.is_empty() || weekday.is_some_and(|day| hours.weekdays.contains(&day))
}

/// Whether it is in a part of the day, by the clocks of a zone.
pub fn is_within(window: DailyWindow, now: UnixMillis, zone: &TimeZone) -> bool {
    began_on(window, wall(now, zone)).is_some()
}

/// When clocks next show the end of a part of the day; none beyond the calendar.
pub fn end_of(window: DailyWindow, now: UnixMillis, zone: &TimeZone) -> Option<UnixMillis> {
    let mut date = wall(now, zone).date();
    let minutes = window.to.minutes();
    let (hour, minute) = (i8::try_from(minutes / 60).ok()?, i8::try_from(minutes % 60).ok()?);
    loop {
        let end = first_at_or_after(date.at(hour, minute, 0, 0), zone)?;
        if end > now {
            return Some(end);
        }
        date = date.tomorrow().ok()?;
    }
}

/// The day on which the window that a time is in began, if it is in one.
fn began_on(window: DailyWindow, time: DateTime) -> Option<jiff::civil::Date> {
    let minute = u32::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).ok()?;
    let (from, to) = (window.from.minutes(), window.to.minutes());
    if window.is_overnight() {
        match minute {
            _ if minute >= from => Some(time.date()),
            _ if minute < to => time.date().yesterday().ok(),
            _ => None,
        }
    } else {
        (from..to).contains(&minute).then(|| time.date())
    }
}
