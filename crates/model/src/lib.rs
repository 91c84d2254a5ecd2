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
mod ids;
mod ping;
mod plan_state;
mod push;
mod send;
mod time;
mod transition;
mod wire;
mod zone;

pub use campaign::{Campaign, CampaignStatus, Message, Trigger, TriggerKind};
pub use config::{ApiKey, App, Config, ConfigItem, KeyHash, KeyKind};
pub use delivery::{Delivery, Outcome, Reason};
pub use device_state::{DeviceEntry, DeviceState, Membership};
pub use fix::Fix;
pub use ids::{
    CampaignId, CauseId, DeviceId, DeviceKey, InvalidDeviceId, PushId, SendId, TenantId, TransitionId, ZoneId,
};
pub use ping::{Ping, PingKind};
pub use plan_state::PlanState;
pub use push::{Origin, Provider, Push, Source};
pub use send::{Job, PushRequest};
pub use time::UnixMillis;
pub use transition::{ExitReason, Transition, TransitionKind};
pub use wire::{Wire, WireError};
pub use zone::{Removal, Zone};
