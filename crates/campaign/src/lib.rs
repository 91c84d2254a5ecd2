//! Audiences and the other rules that plan decides with and the API previews with.
//!
//! The types to know: [`Audience`] (who a campaign is for; parsed once by [`Audience::from_json`], asked of each
//! device by [`Audience::matches`]), [`AudienceDevice`] and [`Visits`] (what it is asked about), [`check_message`]
//! and [`check_variants`] (what messages may say, so that both providers take them), [`MessageTemplate`] (a message to
//! be filled in for a device), [`Schedule`] (when a campaign is due by cron), [`is_within`] and its like (hours by the
//! clocks of a time zone), [`is_held_out`] and [`variant_of`] (a device's lot in a campaign).
//!
//! Nothing here does I/O or reads a clock: the device, its visits and the time are arguments.

mod audience;
mod clock;
mod matching;
mod message;
mod node;
mod schedule;
mod share;
mod template;
mod version;

pub use audience::{Asks, Audience, AudienceError, AudienceErrorCode, Place, Test, VersionTest};
pub use clock::{end_of, is_within, is_within_hours, time_zone};
pub use matching::{AudienceDevice, NoVisits, Visits};
pub use message::{
    MAX_MESSAGE_BYTES, MAX_TRANSLATIONS, MAX_VARIANTS, MAX_WEIGHT, MessageError, MessageErrorCode,
    check_message, check_variants,
};
pub use schedule::{Schedule, ScheduleError};
pub use share::{is_held_out, variant_of};
pub use template::{MessageTemplate, TemplateError, check_templates, verbatim};
pub use version::{InvalidVersion, Version};
