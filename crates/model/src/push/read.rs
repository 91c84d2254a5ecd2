//! Reads pushes of which many carry the same message: it is read once for all of them.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use prost::encoding::{WireType, decode_key, decode_varint};
use uuid::Uuid;

use super::{Origin, Provider, Push, Source};
use crate::wire::{self, v1};
use crate::{CampaignId, CauseId, Message, PushId, SendId, TenantId, UnixMillis, Wire as _, WireError};

/// So many messages are known: campaigns take turns, and one whose every push is another has none to lose.
const KEPT: usize = 8;

/// Reads pushes as [`Wire::decode`](crate::Wire::decode) does, whatever their bytes are, and gives those whose messages
/// are the same bytes the same message.
#[derive(Default)]
pub struct PushReader {
    /// The newest first.
    kept: RwLock<Vec<(Bytes, Arc<Message>)>>,
}

impl PushReader {
    /// Reads a push.
    ///
    /// # Errors
    /// As [`Wire::decode`](crate::Wire::decode).
    pub fn read(&self, bytes: &[u8]) -> Result<Push, WireError> {
        // Whatever is not as it is written today, the generated types read: so they alone say what it means.
        let Some(record) = Record::of(bytes) else { return Push::decode(bytes) };
        if let Some(push) = self.known(record.message).and_then(|message| record.push(message)) {
            return Ok(push);
        }
        let push = Push::decode(bytes)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT - 1);
        kept.insert(0, (Bytes::copy_from_slice(record.message), Arc::clone(&push.message)));
        Ok(push)
    }

    fn known(&self, bytes: &[u8]) -> Option<Arc<Message>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == bytes).map(|(_, message)| Arc::clone(message))
    }
}

/// A record whose every field is one of those that are written today, and its messages there once at most.
#[derive(Default)]
struct Record<'a> {
    id: &'a [u8],
    tenant: &'a [u8],
    device: &'a str,
    origin: Option<Origin>,
    app: &'a str,
    provider: i32,
    token: &'a str,
    message: &'a [u8],
    created_at: i64,
    expires_at: i64,
    received_at: i64,
    token_at: i64,
    variant: Option<&'a str>,
}

impl<'a> Record<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        use WireType::{LengthDelimited, Varint};
        let (mut record, mut message, mut left) = (Self::default(), None, bytes);
        while !left.is_empty() {
            match decode_key(&mut left).ok()? {
                (1, LengthDelimited) => record.id = field(&mut left)?,
                (2, LengthDelimited) => record.tenant = field(&mut left)?,
                (3, LengthDelimited) => record.device = text(&mut left)?,
                (4, LengthDelimited) if record.origin.is_none() => {
                    record.origin = Some(origin(field(&mut left)?)?);
                }
                (5, LengthDelimited) => record.app = text(&mut left)?,
                // Of a number that is too long the lower half counts.
                (6, Varint) => record.provider = decode_varint(&mut left).ok()? as i32,
                (7, LengthDelimited) => record.token = text(&mut left)?,
                (8, LengthDelimited) if message.is_none() => message = Some(field(&mut left)?),
                (9, Varint) => record.created_at = signed(&mut left)?,
                (10, Varint) => record.expires_at = signed(&mut left)?,
                (11, Varint) => record.received_at = signed(&mut left)?,
                (12, Varint) => record.token_at = signed(&mut left)?,
                (13, LengthDelimited) => record.variant = Some(text(&mut left)?),
                _ => return None,
            }
        }
        record.message = message?;
        Some(record)
    }

    /// The push, if all of it is valid.
    fn push(&self, message: Arc<Message>) -> Option<Push> {
        Some(Push {
            id: PushId(uuid(self.id)?),
            tenant: TenantId(uuid(self.tenant)?),
            device: wire::device(self.device).ok()?,
            origin: self.origin?,
            app: self.app.to_owned(),
            provider: Provider::of_wire(v1::Provider::try_from(self.provider).ok()?)?,
            token: self.token.to_owned(),
            token_at: UnixMillis(self.token_at),
            message,
            created_at: UnixMillis(self.created_at),
            expires_at: UnixMillis(self.expires_at),
            received_at: wire::time_or_none(self.received_at),
            variant: self.variant.map(str::to_owned),
        })
    }
}

fn origin(mut left: &[u8]) -> Option<Origin> {
    let (mut campaign, mut send, mut cause) = (None, None, &[][..]);
    while !left.is_empty() {
        match decode_key(&mut left).ok()? {
            (1, WireType::LengthDelimited) => campaign = Some(field(&mut left)?),
            (2, WireType::LengthDelimited) => send = Some(field(&mut left)?),
            (3, WireType::LengthDelimited) => cause = field(&mut left)?,
            _ => return None,
        }
    }
    let source = match (campaign, send) {
        (Some(id), None) => Source::Campaign(CampaignId(uuid(id)?)),
        (None, Some(id)) => Source::Send(SendId(uuid(id)?)),
        _ => return None,
    };
    Some(Origin { source, cause: CauseId(uuid(cause)?) })
}

fn uuid(bytes: &[u8]) -> Option<Uuid> {
    Uuid::from_slice(bytes).ok()
}

fn field<'a>(left: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(decode_varint(left).ok()?).ok()?;
    let (field, rest) = left.split_at_checked(length)?;
    *left = rest;
    Some(field)
}

fn text<'a>(left: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(field(left)?).ok()
}

/// Written as a `sint64`.
fn signed(left: &mut &[u8]) -> Option<i64> {
    let zigzag = decode_varint(left).ok()?;
    Some((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
}

#[cfg(test)]
mod tests;
