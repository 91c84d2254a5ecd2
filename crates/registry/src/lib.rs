//! What merchants and phones configure: tenants, keys, apps, zones, campaigns, devices.
//!
//! Each is a row of a conditional table and, but for devices, a record of a compacted topic. [`Publisher`] changes
//! both or neither; [`Directory`] is the followed copy of tenants' keys and apps that every role can ask without
//! I/O; [`Devices`] are read and written by both HTTP edges and by the dispatcher. [`AppCredentials`] are sealed by a
//! [`Sealer`] before they are written anywhere.
//!
//! Nothing here speaks HTTP, and nothing judges a request: that is for the edges.

mod campaigns;
mod credentials;
mod device;
mod devices;
mod directory;
mod keys;
mod publisher;
mod registration;
mod sealed;
mod tenants;
mod zones;

pub use campaigns::{campaign_of, campaign_row, message_json, message_of};
pub use credentials::{
    ApnsAuth, ApnsCredentials, ApnsEnvironment, AppCredentials, CredentialError, FcmCredentials,
    ServiceAccount,
};
pub use device::{Device, Platform};
pub use devices::{DeviceError, DevicePage, Devices, KnownDevices};
pub use directory::{AppProviders, Directory, Principal};
pub use keys::NewKey;
pub use publisher::{Change, ChangeError, Published, Publisher};
pub use registration::{Registration, RegistrationError, timezone_name};
pub use sealed::{SealError, Sealer};
pub use tenants::{NewTenant, app_row, create_tenant, set_weight, settings_of, with_settings};
pub use zones::{zone_of, zone_row};
