//! Reads pushes of which many carry the same message: it is read once for all of them.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use uuid::Uuid;

use super::{Origin, Provider, Push, Source};
use crate::wire::{self, Fields, v1};
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
        let (mut record, mut message, mut fields) = (Self::default(), None, Fields::of(bytes));
        while let Some((tag, wire_type)) = fields.next().ok()? {
            match tag {
                1 => record.id = fields.bytes(wire_type).ok()?,
                2 => record.tenant = fields.bytes(wire_type).ok()?,
                3 => record.device = fields.text(wire_type).ok()?,
                4 if record.origin.is_none() => {
                    record.origin = Some(origin(fields.bytes(wire_type).ok()?)?);
                }
                5 => record.app = fields.text(wire_type).ok()?,
                // Of a number that is too long the lower half counts.
                6 => record.provider = fields.number(wire_type).ok()? as i32,
                7 => record.token = fields.text(wire_type).ok()?,
                8 if message.is_none() => message = Some(fields.bytes(wire_type).ok()?),
                9 => record.created_at = fields.signed(wire_type).ok()?,
                10 => record.expires_at = fields.signed(wire_type).ok()?,
                11 => record.received_at = fields.signed(wire_type).ok()?,
                12 => record.token_at = fields.signed(wire_type).ok()?,
                13 => record.variant = Some(fields.text(wire_type).ok()?),
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

fn origin(bytes: &[u8]) -> Option<Origin> {
    let (mut campaign, mut send, mut cause, mut fields) = (None, None, &[][..], Fields::of(bytes));
    while let Some((tag, wire_type)) = fields.next().ok()? {
        match tag {
            1 => campaign = Some(fields.bytes(wire_type).ok()?),
            2 => send = Some(fields.bytes(wire_type).ok()?),
            3 => cause = fields.bytes(wire_type).ok()?,
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

#[cfg(test)]
mod tests;
