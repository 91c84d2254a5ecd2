//! The domain's types and their wire format.
//!
//! A value is parsed at an edge into one of these types and trusted from then on. Each type that travels on the log
//! implements [`Wire`]; the protobuf schema is in `proto/`. Ids that must come out the same however often a thing
//! is done again are derived, not drawn: [`TransitionId::of`], [`PushId::of`], [`ZoneId::of_external`].
//!
//! Nothing here reads a clock, a socket or a file, and nothing decides: shapes are judged by `geopush-geometry`,
//! audiences by `geopush-campaign`.

mod campaign;
mod config;
mod delivery;
mod device_state;
mod fix;
mod hours;
mod ids;
mod message;
mod ping;
mod plan_state;
mod push;
mod send;
mod settings;
mod time;
mod transition;
mod trigger;
mod wire;
mod zone;

pub use campaign::{Campaign, CampaignStatus, Variant};
pub use config::{ApiKey, App, Config, ConfigItem, KeyHash, KeyKind};
pub use delivery::{DeadToken, Delivery, Outcome, Reason};
pub use device_state::{DeviceEntry, DeviceState, Membership};
pub use fix::Fix;
pub use hours::{DailyWindow, Hours, InvalidTime, TimeOfDay, Weekday};
pub use ids::{
    CampaignId, CauseId, DeviceId, DeviceKey, InvalidDeviceId, PushId, SendId, TenantId, TransitionId, ZoneId,
};
pub use message::{
    AndroidOptions, AndroidPriority, ApnsOptions, ApnsPushType, InterruptionLevel, Message, Text, Urgency,
    WebpushOptions,
};
pub use ping::{Ping, PingKind};
pub use plan_state::{Held, PlanState, SentMessage};
pub use push::{Origin, Provider, Push, PushReader, Retry, Source};
pub use send::{CampaignRun, DeviceEvent, Job, PushRequest, Request, Work};
pub use settings::{Caps, QuietHours, QuietHoursThen, TenantSettings, Weight};
pub use time::UnixMillis;
pub use transition::{ExitReason, Transition, TransitionKind};
pub use trigger::{Trigger, TriggerKind, ZoneChoice, ZoneTrigger};
pub use wire::{Wire, WireError};
pub use zone::{Removal, Zone};
