//! Hours of the day.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::wire::v1;

/// A minute of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

/// A text that is no time of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time of the day is HH:MM, from 00:00 to 23:59")]
pub struct InvalidTime;

impl TimeOfDay {
    /// So many minutes after midnight, if a day has as many.
    pub fn of_minutes(minutes: u32) -> Option<Self> {
        u16::try_from(minutes).ok().filter(|minutes| *minutes < 24 * 60).map(Self)
    }

    /// Minutes since midnight: below 1,440.
    pub fn minutes(self) -> u32 {
        self.0.into()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let digits = |text: &str| match text.as_bytes() {
            [b'0'..=b'9', b'0'..=b'9'] => text.parse::<u32>().ok(),
            _ => None,
        };
        let (hour, minute) = text.split_once(':').ok_or(InvalidTime)?;
        match (digits(hour), digits(minute)) {
            (Some(hour @ 0..24), Some(minute @ 0..60)) => {
                Self::of_minutes(hour * 60 + minute).ok_or(InvalidTime)
            }
            _ => Err(InvalidTime),
        }
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = InvalidTime;

    fn try_from(text: String) -> Result<Self, InvalidTime> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        time.to_string()
    }
}

/// A part of each day: from the one, inclusive, to the other, exclusive. One that does not end after it began goes on
/// until the next day; from a time to itself is a whole day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyWindow {
    /// Its begin.
    pub from: TimeOfDay,
    /// Its end.
    pub to: TimeOfDay,
}

impl DailyWindow {
    /// Whether it goes past midnight.
    pub fn is_overnight(self) -> bool {
        self.to <= self.from
    }
}

/// When in a week a campaign pushes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// The hours of a day.
    #[serde(flatten)]
    pub window: DailyWindow,
    /// Which days; none: every day. A window that goes past midnight belongs to the day that it began on.
    #[serde(default)]
    pub weekdays: Vec<Weekday>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "they say it")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// From Monday on.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    /// As ISO 8601 counts: Monday is 1.
    pub fn number(self) -> u32 {
        self as u32 + 1
    }

    /// Reads what [`Self::number`] said.
    pub fn of_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|day| day.number() == number)
    }
}

impl From<DailyWindow> for v1::DailyWindow {
    fn from(window: DailyWindow) -> Self {
        Self { from_min: window.from.minutes(), to_min: window.to.minutes() }
    }
}

impl TryFrom<v1::DailyWindow> for DailyWindow {
    type Error = WireError;

    fn try_from(window: v1::DailyWindow) -> Result<Self, WireError> {
        let time = |minutes| TimeOfDay::of_minutes(minutes).ok_or(WireError::Member("window"));
        Ok(Self { from: time(window.from_min)?, to: time(window.to_min)? })
    }
}

impl From<&Hours> for v1::Hours {
    fn from(hours: &Hours) -> Self {
        let weekdays = hours.weekdays.iter().map(|day| day.number()).collect();
        Self { window: Some(hours.window.into()), weekdays }
    }
}

impl TryFrom<v1::Hours> for Hours {
    type Error = WireError;

    fn try_from(hours: v1::Hours) -> Result<Self, WireError> {
        let weekday = |number: &u32| Weekday::of_number(*number).ok_or(WireError::Member("weekdays"));
        Ok(Self {
            window: hours.window.ok_or(WireError::Member("window"))?.try_into()?,
            weekdays: hours.weekdays.iter().map(weekday).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_reads_back_and_nothing_else_does() {
        for minutes in 0..24 * 60 {
            let time = TimeOfDay::of_minutes(minutes).unwrap();
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for bad in ["", "24:00", "1:00", "01:60", "+1:00", "01:00:00", "0100", "a1:00"] {
            assert_eq!(bad.parse::<TimeOfDay>(), Err(InvalidTime), "{bad}");
        }
        assert_eq!(TimeOfDay::of_minutes(24 * 60), None);
    }
}
