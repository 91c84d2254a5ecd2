//! Audiences and the other rules that plan decides with and the API previews with.
//!
//! The types to know: [`Audience`] (who a campaign is for; parsed once by [`Audience::from_json`], asked of each
//! device by [`Audience::matches`]), [`AudienceDevice`] and [`Visits`] (what it is asked about), and
//! [`check_message`] and [`check_variants`] (what messages may say, so that both providers take them).
//!
//! Nothing here does I/O or reads a clock: the device, its visits and the time are arguments.

mod audience;
mod matching;
mod message;
mod node;

pub use audience::{Audience, AudienceError, AudienceErrorCode, Test};
pub use matching::{AudienceDevice, NoVisits, Visits};
pub use message::{
    MAX_MESSAGE_BYTES, MAX_TRANSLATIONS, MAX_VARIANTS, MAX_WEIGHT, MessageError, MessageErrorCode,
    check_message, check_variants,
};
