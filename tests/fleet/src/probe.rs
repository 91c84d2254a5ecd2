//! Whether a server answers, asked in its own protocol.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Brokers that the one at `port` knows to be alive (the protocol's Metadata, version 4).
pub(crate) fn kafka_brokers(port: u16) -> io::Result<u32> {
    let mut body = Vec::new();
    body.extend(3u16.to_be_bytes());
    body.extend(4u16.to_be_bytes());
    // Correlation, then no client name.
    body.extend(1u32.to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    // No topics; none is to be created.
    body.extend(0u32.to_be_bytes());
    body.push(0);

    let mut stream = connect(port)?;
    stream.write_all(&(body.len() as u32).to_be_bytes())?;
    stream.write_all(&body)?;
    // Length, correlation, throttle time, number of brokers.
    let mut answer = [0; 16];
    stream.read_exact(&mut answer)?;
    Ok(u32::from_be_bytes([answer[12], answer[13], answer[14], answer[15]]))
}

/// Whether CQL clients are served at `port`: OPTIONS is answered by SUPPORTED.
pub(crate) fn cql_serves(port: u16) -> io::Result<bool> {
    const OPTIONS: [u8; 9] = [4, 0, 0, 0, 5, 0, 0, 0, 0];
    const SUPPORTED: u8 = 6;
    let mut stream = connect(port)?;
    stream.write_all(&OPTIONS)?;
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    Ok(header[4] == SUPPORTED)
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
