//! Every table of GeoPush, and the pure functions that say in which bucket a row lives.
//!
//! Buckets are part of the data: changing one of these functions or constants loses sight of what is stored.

mod buckets;
mod config;
mod deliveries;
mod devices;
mod presence;
mod sends;
mod transitions;

pub use buckets::*;
pub use config::*;
pub use deliveries::*;
pub use devices::*;
pub use presence::*;
pub use sends::*;
pub use transitions::*;

use crate::{Schema, Table};

/// All of them, as [`Store::migrate`](crate::Store::migrate) makes them.
pub const ALL: &[&Schema] = &[
    &TenantRow::SCHEMA,
    &QuotaRow::SCHEMA,
    &KeyRow::SCHEMA,
    &AppRow::SCHEMA,
    &ZoneRow::SCHEMA,
    &CampaignRow::SCHEMA,
    &IntentRow::SCHEMA,
    &DeviceRow::SCHEMA,
    &DevicePositionRow::SCHEMA,
    &SendRow::SCHEMA,
    &SendShardRow::SCHEMA,
    &SendPageRow::SCHEMA,
    &SendByTimeRow::SCHEMA,
    &SendMonthRow::SCHEMA,
    &SendTargetRow::SCHEMA,
    &IdempotencyRow::SCHEMA,
    &ImportJobRow::SCHEMA,
    &DeliveryBySourceRow::SCHEMA,
    &DeliveryByDeviceRow::SCHEMA,
    &SourceHourRow::SCHEMA,
    &DeviceMonthRow::SCHEMA,
    &DeliveryTotalsRow::SCHEMA,
    &PushRow::SCHEMA,
    &DeadLetterRow::SCHEMA,
    &DeadLetterHourRow::SCHEMA,
    &ReceiptRow::SCHEMA,
    &EarlyReceiptRow::SCHEMA,
    &DeviceEngagementRow::SCHEMA,
    &TransitionByZoneRow::SCHEMA,
    &TransitionByDeviceRow::SCHEMA,
    &ZoneDayRow::SCHEMA,
    &PresenceByDeviceRow::SCHEMA,
    &PresenceByZoneRow::SCHEMA,
];
