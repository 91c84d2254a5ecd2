//! Reads a ping straight from its bytes: nothing comes in greater numbers, and the generated types would allocate all
//! of it once more. They are the specification: what they make of any bytes, this makes of them.

use super::{Ping, PingKind};
use crate::wire::{self, Fields};
use crate::{Fix, TenantId, UnixMillis, WireError};

pub(super) fn ping(bytes: &[u8]) -> Result<Ping, WireError> {
    let (mut tenant, mut device, mut received_at, mut kind) = (&[][..], "", UnixMillis(0), None);
    // Of a fix that a later word may still take back.
    let mut wrong = None;
    let mut fields = Fields::of(bytes);
    while let Some((tag, wire_type)) = fields.next()? {
        match tag {
            1 => tenant = fields.bytes(wire_type)?,
            2 => device = fields.text(wire_type)?,
            3 => received_at = UnixMillis(fields.signed(wire_type)?),
            4 => {
                let mut all = match kind.take() {
                    Some(PingKind::Fixes(fixes)) => fixes,
                    Some(PingKind::Forget) | None => Vec::new(),
                };
                wrong = wrong.or(fixes(fields.bytes(wire_type)?, &mut all)?);
                kind = Some(PingKind::Fixes(all));
            }
            5 => {
                Fields::of(fields.bytes(wire_type)?).skip_all()?;
                kind = Some(PingKind::Forget);
                wrong = None;
            }
            _ => fields.skip(tag, wire_type)?,
        }
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    Ok(Ping {
        tenant: TenantId(wire::uuid(tenant, "tenant")?),
        device: wire::device(device)?,
        received_at,
        kind: wire::present(kind, "what")?,
    })
}

/// A fix with nothing but a position has so many bytes.
const SHORT_FIX: usize = 18;

/// Reads fixes, and tells what is wrong with one that reads well.
fn fixes(bytes: &[u8], all: &mut Vec<Fix>) -> Result<Option<WireError>, WireError> {
    let mut wrong = None;
    let mut fields = Fields::of(bytes);
    while let Some((tag, wire_type)) = fields.next()? {
        match tag {
            1 => {
                let bytes = fields.bytes(wire_type)?;
                match fix(bytes)? {
                    Ok(fix) => {
                        if all.is_empty() {
                            // The others, if any, are probably as long.
                            all.reserve_exact(1 + fields.left() / bytes.len().max(SHORT_FIX));
                        }
                        all.push(fix);
                    }
                    Err(error) => wrong = Some(error),
                }
            }
            _ => fields.skip(tag, wire_type)?,
        }
    }
    Ok(wrong)
}

fn fix(bytes: &[u8]) -> Result<Result<Fix, WireError>, WireError> {
    let (mut lon, mut lat, mut time) = (0.0, 0.0, UnixMillis(0));
    let (mut accuracy_m, mut speed_mps, mut heading_deg, mut id) = (None, None, None, None);
    let mut fields = Fields::of(bytes);
    while let Some((tag, wire_type)) = fields.next()? {
        match tag {
            1 => lon = fields.double(wire_type)?,
            2 => lat = fields.double(wire_type)?,
            3 => time = UnixMillis(fields.signed(wire_type)?),
            4 => accuracy_m = Some(fields.double(wire_type)?),
            5 => speed_mps = Some(fields.double(wire_type)?),
            6 => heading_deg = Some(fields.double(wire_type)?),
            7 => id = Some(fields.text(wire_type)?.to_owned()),
            _ => fields.skip(tag, wire_type)?,
        }
    }
    let at = |position| Fix { position, time, accuracy_m, speed_mps, heading_deg, id };
    Ok(wire::position(lon, lat).map(at))
}

#[cfg(test)]
mod tests;
