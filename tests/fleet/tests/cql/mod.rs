//! As much of CQL's protocol (version 4) as it takes to ask a question over any stream.

use std::io::{self, Read, Write};

const ERROR: u8 = 0x00;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const AUTHENTICATE: u8 = 0x03;
const QUERY: u8 = 0x07;
const AUTH_RESPONSE: u8 = 0x0f;

/// A connection that has started, and logged in where that is asked for.
pub struct Cql<S>(S);

impl<S: Read + Write> Cql<S> {
    pub fn start(stream: S, username: &str, password: &str) -> io::Result<Self> {
        let mut cql = Self(stream);
        let mut options = 1u16.to_be_bytes().to_vec();
        for text in ["CQL_VERSION", "3.0.0"] {
            options.extend((text.len() as u16).to_be_bytes());
            options.extend(text.as_bytes());
        }
        let (mut opcode, _) = cql.call(STARTUP, &options)?;
        if opcode == AUTHENTICATE {
            let token = format!("\0{username}\0{password}");
            let body = [&(token.len() as u32).to_be_bytes(), token.as_bytes()].concat();
            cql.call(AUTH_RESPONSE, &body)?;
            opcode = READY;
        }
        assert_eq!(opcode, READY);
        Ok(cql)
    }

    /// The body of the result.
    pub fn query(&mut self, text: &str) -> io::Result<Vec<u8>> {
        // Consistency ONE, no flags.
        let body = [&(text.len() as u32).to_be_bytes(), text.as_bytes(), &[0, 1, 0]].concat();
        Ok(self.call(QUERY, &body)?.1)
    }

    fn call(&mut self, opcode: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
        let header = [&[4, 0, 0, 0, opcode][..], &(body.len() as u32).to_be_bytes()].concat();
        self.0.write_all(&header)?;
        self.0.write_all(body)?;
        self.0.flush()?;
        let mut header = [0; 9];
        self.0.read_exact(&mut header)?;
        let length = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        let mut body = vec![0; length as usize];
        self.0.read_exact(&mut body)?;
        match header[4] {
            ERROR => Err(io::Error::other(String::from_utf8_lossy(&body).into_owned())),
            opcode => Ok((opcode, body)),
        }
    }
}
