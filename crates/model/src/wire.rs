//! To the bytes of the wire and back.

use bytes::Bytes;
use geopush_geometry::Position;
use uuid::Uuid;

use crate::{DeviceId, UnixMillis};

mod read;
mod write;

pub(crate) use read::Fields;
pub(crate) use write::Writer;

/// The generated types, private to this crate.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub(crate) mod v1 {
    include!(concat!(env!("OUT_DIR"), "/geopush.v1.rs"));
}

/// Bytes that are no value of the type asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not protobuf.
    #[error("not a protobuf message of this type: {0}")]
    Protobuf(String),
    /// Protobuf, but a member is missing or out of its range.
    #[error("the member {0} is missing or invalid")]
    Member(&'static str),
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Protobuf(error.to_string())
    }
}

/// A type that travels on the log.
pub trait Wire: Sized {
    /// Its bytes.
    fn encode(&self) -> Bytes;

    /// Reads bytes that [`Wire::encode`] or a newer version of it wrote.
    ///
    /// # Errors
    /// When they are not such bytes.
    fn decode(bytes: &[u8]) -> Result<Self, WireError>;
}

/// Implements [`Wire`] by the conversions to and from a generated type.
macro_rules! wire {
    ($($domain:ty => $wire:ty),* $(,)?) => {$(
        impl $crate::Wire for $domain {
            fn encode(&self) -> bytes::Bytes {
                prost::Message::encode_to_vec(&<$wire>::from(self)).into()
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::WireError> {
                $crate::wire::parse::<$wire>(bytes)?.try_into()
            }
        }
    )*};
}
pub(crate) use wire;

pub(crate) fn parse<M: prost::Message + Default>(bytes: &[u8]) -> Result<M, WireError> {
    Ok(M::decode(bytes)?)
}

pub(crate) fn bytes_of(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

pub(crate) fn uuid(bytes: &[u8], member: &'static str) -> Result<Uuid, WireError> {
    Uuid::from_slice(bytes).map_err(|_| WireError::Member(member))
}

pub(crate) fn uuid_or_none(bytes: Option<&Bytes>, member: &'static str) -> Result<Option<Uuid>, WireError> {
    bytes.map(|b| uuid(b, member)).transpose()
}

pub(crate) fn device(id: &str) -> Result<DeviceId, WireError> {
    DeviceId::new(id).map_err(|_| WireError::Member("device"))
}

pub(crate) fn present<T>(member: Option<T>, name: &'static str) -> Result<T, WireError> {
    member.ok_or(WireError::Member(name))
}

/// proto3's way to leave a time out is 0.
pub(crate) fn time_or_none(ms: i64) -> Option<UnixMillis> {
    (ms != 0).then_some(UnixMillis(ms))
}

pub(crate) fn position(lon: f64, lat: f64) -> Result<Position, WireError> {
    Position::new(lon, lat).ok_or(WireError::Member("position"))
}
