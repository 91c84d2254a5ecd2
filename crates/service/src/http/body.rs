//! Bodies, read within bounds: bytes as received, bytes when decompressed, and time.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use super::Problem;
use crate::config::ByteSize;

/// How much of a refused body is read all the same, and for how long: a client that is still sending when the
/// connection closes often never sees the answer.
const POLITE_BYTES: usize = 16 << 20;
const POLITE_TIME: Duration = Duration::from_secs(2);
/// What is decompressed without leaving the thread that serves connections.
const SMALL: usize = 16 << 10;
/// RFC 9659: a zstd content coding needs no window above 8 MiB, so none is made.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How much of a body is read, and how long that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes as they come.
    pub received: ByteSize,
    /// Bytes when decompressed.
    pub decoded: ByteSize,
    /// From the headers to the last byte.
    pub within: Duration,
}

impl BodyLimits {
    /// These sizes, within 30 seconds.
    pub const fn new(received: ByteSize, decoded: ByteSize) -> Self {
        Self { received, decoded, within: Duration::from_secs(30) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// Reads a body whole and decompresses it (`Content-Encoding: gzip` or `zstd`).
///
/// # Errors
/// 413 above a limit (a bomb stops there), 415 another encoding, 400 a corrupt or cut stream, 408 too slow.
pub async fn read_body(request: Request, limits: BodyLimits) -> Result<Bytes, Problem> {
    let encoding = match encoding(request.headers()) {
        Ok(encoding) => encoding,
        Err(problem) => return Err(refuse(request, problem).await),
    };
    if declared_length(request.headers()).is_some_and(|length| length > limits.received.0) {
        return Err(refuse(request, too_large(limits.received, "sent")).await);
    }
    let received = receive(request.into_body(), limits).await?;
    let limit = limits.decoded;
    match encoding {
        Encoding::Identity if received.len() > limit.bytes() => Err(too_large(limit, "sent")),
        Encoding::Identity => Ok(received),
        _ if received.len() <= SMALL => decode(encoding, &received, limit),
        _ => tokio::task::spawn_blocking(move || decode(encoding, &received, limit))
            .await
            .map_err(Problem::internal)?,
    }
}

/// Reads on for a while, so that the client gets to see the problem, and returns the problem.
pub(super) async fn refuse(request: Request, problem: Problem) -> Problem {
    let waits_for_us = request.headers().contains_key(header::EXPECT);
    let length = declared_length(request.headers()).unwrap_or(0);
    if !waits_for_us && length <= POLITE_BYTES as u64 {
        drain(&mut request.into_body()).await;
    }
    problem
}

async fn drain(body: &mut Body) {
    let deadline = Instant::now() + POLITE_TIME;
    let mut passed = 0;
    while passed <= POLITE_BYTES {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else { return };
        passed += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: ByteSize, how: &str) -> Problem {
    Problem::too_large(format!("the body may have {limit} as {how}; send less at a time"))
}

/// Several codings on top of one another are not read.
fn encoding(headers: &HeaderMap) -> Result<Encoding, Problem> {
    let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
    let (first, more) = (named.next(), named.next());
    let name = match (first.map(HeaderValue::to_str), more) {
        (None, _) => return Ok(Encoding::Identity),
        (Some(Ok(name)), None) => name.trim().to_ascii_lowercase(),
        _ => String::new(),
    };
    match name.as_str() {
        "identity" => Ok(Encoding::Identity),
        "gzip" | "x-gzip" => Ok(Encoding::Gzip),
        "zstd" => Ok(Encoding::Zstd),
        _ => Err(Problem::unsupported_encoding(
            "the body may be sent plain, or in one Content-Encoding: gzip or zstd",
        )),
    }
}

async fn receive(mut body: Body, limits: BodyLimits) -> Result<Bytes, Problem> {
    let deadline = Instant::now() + limits.within;
    let mut only = Bytes::new();
    let mut gathered = BytesMut::new();
    loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Problem::malformed("the body was cut off; send it whole")),
            Ok(None) => return Ok(if gathered.is_empty() { only } else { gathered.freeze() }),
            Err(_) => {
                let seconds = limits.within.as_secs_f64();
                return Err(Problem::request_timeout(format!(
                    "the body did not come within {seconds} s; send it again"
                )));
            }
        };
        let Ok(data) = frame.into_data() else { continue };
        if only.len() + gathered.len() + data.len() > limits.received.bytes() {
            drop((only, gathered));
            drain(&mut body).await;
            return Err(too_large(limits.received, "sent"));
        }
        if only.is_empty() && gathered.is_empty() {
            only = data;
        } else {
            gathered.extend_from_slice(&std::mem::take(&mut only));
            gathered.extend_from_slice(&data);
        }
    }
}

fn decode(encoding: Encoding, received: &[u8], limit: ByteSize) -> Result<Bytes, Problem> {
    let decoded = match encoding {
        Encoding::Identity => return Ok(Bytes::copy_from_slice(received)),
        Encoding::Gzip => up_to(flate2::bufread::MultiGzDecoder::new(received), limit),
        Encoding::Zstd => zstd::stream::read::Decoder::with_buffer(received).and_then(|mut decoder| {
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            up_to(decoder, limit)
        }),
    };
    match decoded {
        Ok(Some(bytes)) => Ok(bytes.into()),
        Ok(None) => Err(too_large(limit, "decompressed")),
        Err(error) => Err(Problem::malformed(format!(
            "the body can't be decompressed ({error}); check that it is whole and that Content-Encoding names its format"
        ))),
    }
}

/// All that there is to read, or `None` if it is more than the limit.
fn up_to(reader: impl Read, limit: ByteSize) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit.0.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= limit.bytes()).then_some(bytes))
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
