//! Reads messages field by field, as the generated types do, without copies of their texts.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, check_wire_type, decode_key, decode_varint, skip_field};

use super::WireError;

/// The fields of a message that are not read yet.
pub(crate) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// All of a message's.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// How many bytes they are.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    /// The next field's number and how it is written; it must be read or skipped before the next.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, WireType)>, DecodeError> {
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

    fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.0 {
            // Nearly every length is one byte, too.
            [first @ ..0x80, rest @ ..] => {
                self.0 = rest;
                Ok(u64::from(*first))
            }
            _ => decode_varint(&mut self.0),
        }
    }

    /// Bytes or a message.
    pub(crate) fn bytes(&mut self, wire_type: WireType) -> Result<&'a [u8], WireError> {
        check_wire_type(WireType::LengthDelimited, wire_type)?;
        let length = self.varint()?;
        let cut = usize::try_from(length).ok().and_then(|length| self.0.split_at_checked(length));
        let (field, rest) = cut.ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(field)
    }

    pub(crate) fn text(&mut self, wire_type: WireType) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes(wire_type)?).map_err(|error| WireError::Protobuf(error.to_string()))
    }

    pub(crate) fn double(&mut self, wire_type: WireType) -> Result<f64, WireError> {
        check_wire_type(WireType::SixtyFourBit, wire_type)?;
        let (double, rest) = self.0.split_first_chunk().ok_or_else(cut_short)?;
        self.0 = rest;
        Ok(f64::from_le_bytes(*double))
    }

    /// A number, or an enum's.
    pub(crate) fn number(&mut self, wire_type: WireType) -> Result<u64, WireError> {
        check_wire_type(WireType::Varint, wire_type)?;
        Ok(self.varint()?)
    }

    /// A `sint64`.
    pub(crate) fn signed(&mut self, wire_type: WireType) -> Result<i64, WireError> {
        let zigzag = self.number(wire_type)?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// One that is nothing to the reader, but has to be well-formed.
    pub(crate) fn skip(&mut self, tag: u32, wire_type: WireType) -> Result<(), WireError> {
        Ok(skip_field(wire_type, tag, &mut self.0, DecodeContext::default())?)
    }

    pub(crate) fn skip_all(mut self) -> Result<(), WireError> {
        while let Some((tag, wire_type)) = self.next()? {
            self.skip(tag, wire_type)?;
        }
        Ok(())
    }
}

fn cut_short() -> WireError {
    WireError::Protobuf("a field is longer than what is left".to_owned())
}
