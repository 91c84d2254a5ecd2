//! Stand-ins for Firebase Cloud Messaging and the Apple Push Notification service, for the demo, the tests
//! and the bench: real HTTP/2 over TLS, and as strict as the providers about paths, headers, tokens and
//! payloads, so that a client that works here works there.
//!
//! Start one with [`Sandbox::start`]; hand its credentials to a client with [`Sandbox::app_json`] or
//! [`Sandbox::write`]; read what was accepted as [`Sent`]; make the providers misbehave through the control
//! address (`POST /faults`, whose shape is [`Fault`]).
//!
//! Some device tokens fail as they would in life:
//!
//! | provider | token | answer |
//! |---|---|---|
//! | FCM | `unregistered…` | 404 `UNREGISTERED` |
//! | FCM | `mismatch…` | 403 `SENDER_ID_MISMATCH` |
//! | FCM | `invalid…` | 400 `INVALID_ARGUMENT`, with a field violation of `message.token` |
//! | APNs | `dead…` | 410 `Unregistered`, with a `timestamp` |
//! | APNs | `bad0…`, or not 64 to 200 hex digits | 400 `BadDeviceToken` |
//!
//! It never delivers anything to a phone, never writes but where it is told to, and guards nothing: its
//! keys are made at start and are worth nothing elsewhere.

mod apns;
mod apns_request;
mod authority;
mod control;
mod credentials;
mod fault;
mod fcm;
mod fcm_message;
mod fcm_options;
mod fcm_refusal;
mod jws;
mod listener;
mod oauth;
mod sandbox;
mod sent;

pub use credentials::{APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC, PROJECT_ID};
pub use fault::{Action, Fault};
pub use sandbox::{Options, Sandbox, SandboxError};
pub use sent::{Provider, Sent};
