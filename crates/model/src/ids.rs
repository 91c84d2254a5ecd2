//! What things are called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::{TransitionKind, UnixMillis};

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

uuid_ids! {
    /// A merchant: everything belongs to one.
    TenantId;
    /// A zone.
    ZoneId;
    /// A campaign.
    CampaignId;
    /// A send: one message to many devices, asked for by the API.
    SendId;
    /// A transition.
    TransitionId;
    /// A push; also its `apns-id`.
    PushId;
    /// Why a push exists: a transition's or a send's id.
    CauseId;
}

/// A name in a tenant's space: the parts can't run into each other, since none holds a line feed but the last may.
fn derived(tenant: TenantId, parts: &[&str]) -> Uuid {
    Uuid::new_v5(&tenant.0, parts.join("\n").as_bytes())
}

impl ZoneId {
    /// The id of the zone that the merchant calls `external_id`: unique without an index.
    pub fn of_external(tenant: TenantId, external_id: &str) -> Self {
        Self(Uuid::new_v5(&tenant.0, external_id.as_bytes()))
    }
}

impl TransitionId {
    /// The same for the same transition, however often it is computed.
    pub fn of(
        tenant: TenantId,
        device: &DeviceId,
        zone: ZoneId,
        kind: TransitionKind,
        at: UnixMillis,
    ) -> Self {
        Self(derived(
            tenant,
            &["transition", &zone.to_string(), kind.as_str(), &at.0.to_string(), device.as_str()],
        ))
    }
}

impl PushId {
    /// The same for the same decision: `source` is the campaign's or the send's id.
    pub fn of(tenant: TenantId, source: Uuid, device: &DeviceId, cause: CauseId) -> Self {
        Self(derived(tenant, &["push", &source.to_string(), &cause.to_string(), device.as_str()]))
    }
}

/// A device, as its merchant's app calls it: 1 to 128 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(Arc<str>);

/// A device id that is empty, too long or unprintable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a device id has 1 to 128 bytes of UTF-8 and no control characters")]
pub struct InvalidDeviceId;

impl DeviceId {
    /// The longest id, in bytes.
    pub const MAX_LEN: usize = 128;

    /// Checks an id.
    ///
    /// # Errors
    /// [`InvalidDeviceId`]
    pub fn new(id: &str) -> Result<Self, InvalidDeviceId> {
        let is_plain = id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let is_printable = is_plain || !id.chars().any(char::is_control);
        let fits = !id.is_empty() && id.len() <= Self::MAX_LEN && is_printable;
        if fits { Ok(Self(id.into())) } else { Err(InvalidDeviceId) }
    }

    /// As given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A device among all tenants'. Its text `tenant/device` is the key of every record about the device.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which one.
    pub device: DeviceId,
}

impl DeviceKey {
    /// The log's key.
    pub fn to_bytes(&self) -> Bytes {
        Self::bytes_of(self.tenant, &self.device)
    }

    /// The log's key of a tenant's device.
    pub fn bytes_of(tenant: TenantId, device: &DeviceId) -> Bytes {
        let mut text = Uuid::encode_buffer();
        let tenant = tenant.0.hyphenated().encode_lower(&mut text);
        [tenant.as_bytes(), b"/", device.as_str().as_bytes()].concat().into()
    }

    /// Reads a log's key.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let (tenant, device) = std::str::from_utf8(key).ok()?.split_once('/')?;
        Some(Self { tenant: tenant.parse().ok()?, device: DeviceId::new(device).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(7));

    #[test]
    fn a_devices_key_reads_back_even_with_slashes_and_unicode() {
        for id in ["d1", "a/b", "žluťoučký/🐎"] {
            let key = DeviceKey { tenant: TENANT, device: DeviceId::new(id).unwrap() };
            assert_eq!(DeviceKey::parse(&key.to_bytes()), Some(key));
        }
        assert_eq!(DeviceKey::parse(b"#12"), None);
    }

    #[test]
    fn device_ids_have_a_length_and_no_control_characters() {
        for bad in ["", "a\nb", "\u{7f}", &"x".repeat(129)] {
            assert_eq!(DeviceId::new(bad), Err(InvalidDeviceId), "{bad:?}");
        }
        assert!(DeviceId::new(&"x".repeat(128)).is_ok());
    }

    /// Ids are kept by outsiders: these must never change.
    #[test]
    fn derived_ids_are_the_same_for_ever() {
        let device = DeviceId::new("d1").unwrap();
        let zone = ZoneId::of_external(TENANT, "shop-1");
        let enter = TransitionId::of(TENANT, &device, zone, TransitionKind::Enter, UnixMillis(1_000));
        let push = PushId::of(TENANT, Uuid::from_u128(9), &device, CauseId(enter.0));
        assert_eq!(zone.0, Uuid::new_v5(&Uuid::from_u128(7), b"shop-1"));
        assert_eq!(
            [enter.0.to_string(), push.0.to_string()],
            ["9fc923db-af7d-5416-9956-927f87adaa9a", "bd61f001-6c1f-53f1-be05-a73b6286c648"],
        );
        assert_ne!(enter, TransitionId::of(TENANT, &device, zone, TransitionKind::Dwell, UnixMillis(1_000)));
    }
}
