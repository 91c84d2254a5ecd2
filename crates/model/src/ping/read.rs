//! Reads a ping straight from its bytes: nothing comes in greater numbers, and the generated types would allocate all
//! of it once more. They are the specification: what they make of any bytes, this makes of them.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field};

use super::{Ping, PingKind};
use crate::wire;
use crate::{Fix, TenantId, UnixMillis, WireError};

pub(super) fn ping(bytes: &[u8]) -> Result<Ping, WireError> {
    let (mut tenant, mut device, mut received_at, mut kind) = (&[][..], "", UnixMillis(0), None);
    // Of a fix that a later word may still take back.
    let mut wrong = None;
    let mut fields = Fields(bytes);
    while let Some((tag, wire_type)) = fields.next()? {
        match tag {
            1 => tenant = fields.bytes(wire_type)?,
            2 => device = fields.text(wire_type)?,
            3 => received_at = fields.time(wire_type)?,
            4 => {
                let mut all = match kind.take() {
                    Some(PingKind::Fixes(fixes)) => fixes,
                    Some(PingKind::Forget) | None => Vec::new(),
                };
                wrong = wrong.or(fixes(fields.bytes(wire_type)?, &mut all)?);
                kind = Some(PingKind::Fixes(all));
            }
            5 => {
                Fields(fields.bytes(wire_type)?).skip_all()?;
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
    let mut fields = Fields(bytes);
    while let Some((tag, wire_type)) = fields.next()? {
        match tag {
            1 => {
                let bytes = fields.bytes(wire_type)?;
                match fix(bytes)? {
                    Ok(fix) => {
                        if all.is_empty() {
                            // The others, if any, are probably as long.
                            all.reserve_exact(1 + fields.0.len() / bytes.len().max(SHORT_FIX));
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
    let mut fields = Fields(bytes);
    while let Some((tag, wire_type)) = fields.next()? {
        match tag {
            1 => lon = fields.double(wire_type)?,
            2 => lat = fields.double(wire_type)?,
            3 => time = fields.time(wire_type)?,
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

/// The fields of a message that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field's number and how it is written; it must be read or skipped before the next.
    fn next(&mut self) -> Result<Option<(u32, WireType)>, DecodeError> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(None) };
        // Nearly every key is one byte.
        if (8..0x80).contains(first)
            && let Ok(wire_type) = WireType::try_from(u64::from(first & 7))
        {
            self.0 = rest;
            return Ok(Some((u32::from(first >> 3), wire_type)));
        }
        decode_key(&mut self.0).map(Some)
    }

    /// As nearly every length, it may be one byte.
    fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.0 {
            [first @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(*first))
            }
            _ => decode_varint(&mut self.0),
        }
    }

    fn bytes(&mut self, wire_type: WireType) -> Result<&'a [u8], WireError> {
        check_wire_type(WireType::LengthDelimited, wire_type)?;
        let length = self.varint()?;
        let cut = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
        let (field, rest) = cut.ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(field)
    }

    fn text(&mut self, wire_type: WireType) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(wire_type)?).map_err(|error| WireError::Protobuf(error.to_string()))
    }

    fn double(&mut self, wire_type: WireType) -> Result<f64, WireError> {
        check_wire_type(WireType::SixtyFourBit, wire_type)?;
        let (double, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*double))
    }

    /// Written as a `sint64`.
    fn time(&mut self, wire_type: WireType) -> Result<UnixMillis, WireError> {
        check_wire_type(WireType::Varint, wire_type)?;
        let zigzag = self.varint()?;
        Ok(UnixMillis((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()))
    }

    fn skip(&mut self, tag: u32, wire_type: WireType) -> Result<(), WireError> {
        Ok(skip_field(wire_type, tag, &mut self.0, DecodeContext::default())?)
    }

    fn skip_all(mut self) -> Result<(), WireError> {
        while let Some((tag, wire_type)) = self.next()? {
            self.skip(tag, wire_type)?;
        }
        Ok(())
    }
}

fn cut_short() -> WireError {
    WireError::Protobuf("a field is longer than what is left".to_owned())
}

#[cfg(test)]
mod tests;
