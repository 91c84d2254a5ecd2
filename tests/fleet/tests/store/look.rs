//! What the database itself says, asked past the store.

use std::net::TcpStream;
use std::time::Duration;

use crate::cql::Cql;

/// The rows of an answer whose columns are texts or whole numbers, as text.
pub fn ask(address: &str, question: &str) -> Vec<Vec<String>> {
    let body = change(address, question);
    let mut body = Body(&body);
    assert_eq!(body.int(), 2, "`{question}` has no rows");
    let (flags, columns) = (body.int(), body.int());
    assert_eq!(flags & 1, 1, "one table is asked");
    body.string();
    body.string();
    let kinds: Vec<_> = (0..columns)
        .map(|_| {
            body.string();
            body.kind()
        })
        .collect();
    (0..body.int()).map(|_| kinds.iter().map(|kind| body.value(*kind)).collect()).collect()
}

/// Has a statement run; the body of its answer.
pub fn change(address: &str, statement: &str) -> Vec<u8> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    Cql::start(stream, "", "").unwrap().query(statement).unwrap()
}

const INT: i32 = 0x09;
const MAP: i32 = 0x21;

/// Protocol version 4, as far as it goes here.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_first_chunk().unwrap();
        self.0 = rest;
        *taken
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn short(&mut self) -> i32 {
        u16::from_be_bytes(self.take()).into()
    }

    fn bytes(&mut self, length: i32) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(length as usize);
        self.0 = rest;
        taken.to_vec()
    }

    fn string(&mut self) -> String {
        let length = self.short();
        String::from_utf8(self.bytes(length)).unwrap()
    }

    fn kind(&mut self) -> i32 {
        let kind = self.short();
        if kind == MAP {
            self.kind();
            self.kind();
        }
        kind
    }

    fn value(&mut self, kind: i32) -> String {
        let length = self.int();
        if length < 0 {
            return "null".to_owned();
        }
        let bytes = self.bytes(length);
        match kind {
            INT => i32::from_be_bytes(bytes.try_into().unwrap()).to_string(),
            // Keys and values, one after the other.
            MAP => {
                let mut map = Body(&bytes);
                let texts = 2 * map.int();
                let mut text = || {
                    let length = map.int();
                    String::from_utf8(map.bytes(length)).unwrap()
                };
                (0..texts).map(|_| text()).collect::<Vec<_>>().join(" ")
            }
            _ => String::from_utf8(bytes).unwrap(),
        }
    }
}
