//! What a tenant chooses for all that is its.

use serde::{Deserialize, Serialize};

use crate::wire::{self, v1};
use crate::{DailyWindow, WireError};

/// What a tenant chooses for all that is its.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantSettings {
    /// For people.
    pub name: String,
    /// Whether a zone that a device passes between two fixes gives an enter and an exit. Not so unless it is asked
    /// for, and in records from before there was a choice.
    pub detect_crossings: bool,
    /// IANA's name of the clock that schedules go by, and devices that did not say theirs; none: UTC.
    pub timezone: Option<String>,
    /// When phones are left alone.
    pub quiet_hours: Option<QuietHours>,
    /// How often phones are pushed to.
    pub caps: Caps,
    /// The most pushes a day (UTC); none: any.
    pub quota_per_day: Option<u64>,
    /// Its part of what tenants contend for: the operator's word, not the tenant's.
    pub weight: Weight,
}

/// A tenant's part of what tenants contend for, beside the others' parts: 1 to 100; at first 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u32);

impl Weight {
    /// The heaviest.
    pub const MOST: Self = Self(100);

    /// This much, if a tenant may weigh as much.
    pub fn new(weight: u32) -> Option<Self> {
        (1..=Self::MOST.0).contains(&weight).then_some(Self(weight))
    }

    /// How much that is.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

/// When phones are left alone, by their own clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// The hours of each day.
    #[serde(flatten)]
    pub window: DailyWindow,
    /// What becomes of pushes.
    pub then: QuietHoursThen,
}

/// What becomes of a push that would go out in quiet hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietHoursThen {
    /// It is held until their end, and decided on again then.
    Hold,
    /// It is suppressed.
    Drop,
}

/// The most decisions to push to one device in any hour, day and week, over all campaigns; none: any number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caps {
    /// In any hour.
    pub per_hour: Option<u32>,
    /// In any 24 hours.
    pub per_day: Option<u32>,
    /// In any seven times 24 hours.
    pub per_week: Option<u32>,
}

impl Caps {
    /// The highest that a cap may be: each decision that counts is remembered for as long as it does.
    pub const MOST: u32 = 200;
}

impl From<&TenantSettings> for v1::TenantSettings {
    fn from(settings: &TenantSettings) -> Self {
        let Caps { per_hour, per_day, per_week } = settings.caps;
        let caps = (settings.caps != Caps::default()).then_some(v1::Caps { per_hour, per_day, per_week });
        Self {
            name: settings.name.clone(),
            detect_crossings: settings.detect_crossings,
            timezone: settings.timezone.clone().unwrap_or_default(),
            quiet_hours: settings.quiet_hours.map(Into::into),
            caps,
            quota_per_day: settings.quota_per_day,
            weight: (settings.weight != Weight::default()).then_some(settings.weight.get()),
        }
    }
}

impl TryFrom<v1::TenantSettings> for TenantSettings {
    type Error = WireError;

    fn try_from(settings: v1::TenantSettings) -> Result<Self, WireError> {
        let v1::Caps { per_hour, per_day, per_week } = settings.caps.unwrap_or_default();
        Ok(Self {
            name: settings.name,
            detect_crossings: settings.detect_crossings,
            timezone: (!settings.timezone.is_empty()).then_some(settings.timezone),
            quiet_hours: settings.quiet_hours.map(TryInto::try_into).transpose()?,
            caps: Caps { per_hour, per_day, per_week },
            quota_per_day: settings.quota_per_day,
            weight: match settings.weight {
                None => Weight::default(),
                Some(weight) => Weight::new(weight).ok_or(WireError::Member("weight"))?,
            },
        })
    }
}

impl From<QuietHours> for v1::QuietHours {
    fn from(quiet: QuietHours) -> Self {
        Self { window: Some(quiet.window.into()), drop: quiet.then == QuietHoursThen::Drop }
    }
}

impl TryFrom<v1::QuietHours> for QuietHours {
    type Error = WireError;

    fn try_from(quiet: v1::QuietHours) -> Result<Self, WireError> {
        let then = if quiet.drop { QuietHoursThen::Drop } else { QuietHoursThen::Hold };
        Ok(Self { window: wire::present(quiet.window, "quiet_hours.window")?.try_into()?, then })
    }
}
