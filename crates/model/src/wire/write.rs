//! Writes messages field by field, as the generated types do, without copies of their texts.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};

/// What was written of a message. Fields come in the order of their numbers; what proto3 leaves out is left out.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Nothing yet, with room for so many bytes.
    pub(crate) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A field that is there even if it is empty.
    pub(crate) fn given(&mut self, tag: u32, bytes: &[u8]) {
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    /// Bytes or a text.
    pub(crate) fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.given(tag, bytes);
        }
    }

    /// A number, or an enum's.
    pub(crate) fn number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            encode_key(tag, WireType::Varint, &mut self.0);
            encode_varint(number, &mut self.0);
        }
    }

    /// A `sint64`.
    pub(crate) fn signed(&mut self, tag: u32, number: i64) {
        self.number(tag, ((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    /// A message.
    pub(crate) fn message(&mut self, tag: u32, message: &impl prost::Message) {
        let length = message.encoded_len();
        self.0.reserve(length + encoded_len_varint(length as u64) + 2);
        encode_key(tag, WireType::LengthDelimited, &mut self.0);
        encode_varint(length as u64, &mut self.0);
        message.encode_raw(&mut self.0);
    }

    /// The message.
    pub(crate) fn done(self) -> bytes::Bytes {
        self.0.into()
    }
}
