//! When a scheduled campaign is due: cron, by a clock on a wall.

use std::str::FromStr as _;

use croner::Cron;
use geopush_model::UnixMillis;
use jiff::tz::TimeZone;

use crate::clock::{first_at_or_after, wall};

/// Times of a wall clock: minute, hour, day of the month, month and day of the week, as cron writes them. If both days
/// are given either may hold, as in every cron; names of days and months, and `L`, `W` and `#`, are understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(Cron);

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not five fields.
    #[error(
        "write five fields: minute, hour, day of the month, month, day of the week; as in 0 10 * * MON-FRI"
    )]
    Fields,
    /// A field that is none.
    #[error("not understood: {0}; write it as in 0 10 * * MON-FRI")]
    Field(String),
    /// A day that no year has.
    #[error("no year has such a day; choose one that comes")]
    Never,
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// [`ScheduleError`]
    pub fn parse(cron: &str) -> Result<Self, ScheduleError> {
        if cron.split_whitespace().count() != 5 {
            return Err(ScheduleError::Fields);
        }
        let schedule = Cron::from_str(cron).map_err(|error| ScheduleError::Field(error.to_string()))?;
        let schedule = Self(schedule);
        schedule.next_after(UnixMillis(0), &TimeZone::UTC).ok_or(ScheduleError::Never)?;
        Ok(schedule)
    }

    /// The first time after `now` that it is due on the clocks of `zone`; none, if that is beyond the calendar.
    ///
    /// Where clocks are put forward, what was due in the hour that is left out is due at its end, once; where they are
    /// put back, what is due in the hour that comes twice is due the first time alone.
    pub fn next_after(&self, now: UnixMillis, zone: &TimeZone) -> Option<UnixMillis> {
        // On a clock that is never put forward or back, so that each of its times comes once.
        let mut time = wall(now, zone).to_zoned(TimeZone::UTC).ok()?;
        loop {
            time = self.0.find_next_occurrence(&time, false).ok()?;
            let due = first_at_or_after(time.datetime(), zone)?;
            if due > now {
                return Some(due);
            }
        }
    }
}
