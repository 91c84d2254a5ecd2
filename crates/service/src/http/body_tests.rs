use std::io::Write;

use axum::http::StatusCode;
use futures::StreamExt;

use super::*;

const LIMITS: BodyLimits = BodyLimits::new(ByteSize::kib(64), ByteSize::kib(256));

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn request(encoding: &str, body: impl Into<Body>) -> Request {
    let request = Request::post("/").header(header::CONTENT_ENCODING, encoding);
    request.body(body.into()).unwrap()
}

async fn status(encoding: &str, body: impl Into<Body>) -> StatusCode {
    match read_body(request(encoding, body), LIMITS).await {
        Ok(_) => StatusCode::OK,
        Err(problem) => problem.status,
    }
}

/// Text that compresses, but not to nothing.
fn text(bytes: usize) -> Vec<u8> {
    (0u32..).flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes()).take(bytes).collect()
}

#[tokio::test]
async fn a_body_arrives_however_it_was_packed() {
    for size in [0, 1, 1000, 60_000] {
        let body = text(size);
        for (encoding, packed) in [
            ("identity", body.clone()),
            ("gzip", gzip(&body)),
            ("X-GZip", gzip(&body)),
            ("zstd", zstd(&body)),
            ("gzip", [gzip(&body[..size / 2]), gzip(&body[size / 2..])].concat()),
            ("zstd", [zstd(&body[..size / 2]), zstd(&body[size / 2..])].concat()),
        ] {
            assert_eq!(
                read_body(request(encoding, packed), LIMITS).await.unwrap(),
                body,
                "{encoding} {size}"
            );
        }
        let plain = Request::post("/").body(Body::from(body.clone())).unwrap();
        assert_eq!(read_body(plain, LIMITS).await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_body_in_many_pieces_is_put_together() {
    let pieces = ["a", "", "bc", "d"].map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
    let body = Body::from_stream(futures::stream::iter(pieces));
    assert_eq!(read_body(request("identity", body), LIMITS).await.unwrap(), "abcd");
}

#[tokio::test]
async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let exact = LIMITS.received.bytes();
    assert_eq!(status("identity", text(exact)).await, StatusCode::OK);
    assert_eq!(status("identity", text(exact + 1)).await, StatusCode::PAYLOAD_TOO_LARGE);
    let decoded = LIMITS.decoded.bytes();
    for (encoding, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("zstd", zstd)] {
        assert_eq!(status(encoding, pack(&vec![b'a'; decoded])).await, StatusCode::OK);
        assert_eq!(status(encoding, pack(&vec![b'a'; decoded + 1])).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status(encoding, pack(&text(600_000))).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn a_declared_length_above_the_limit_is_refused_without_waiting_for_the_body() {
    let mut request =
        request("identity", Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()));
    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(u64::MAX));
    assert_eq!(read_body(request, LIMITS).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn a_bomb_stops_at_the_limit() {
    struct Endless(usize);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += buffer.len();
            assert!(self.0 < 4 << 20, "read on after the limit");
            buffer.fill(0);
            Ok(buffer.len())
        }
    }
    assert_eq!(up_to(Endless(0), LIMITS.decoded).unwrap(), None);
    for (encoding, bomb) in
        [(Encoding::Gzip, gzip(&vec![0; 50 << 20])), (Encoding::Zstd, zstd(&vec![0; 50 << 20]))]
    {
        assert!(bomb.len() < LIMITS.received.bytes());
        assert_eq!(
            decode(encoding, &bomb, LIMITS.decoded).unwrap_err().status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_or_corrupt_is_malformed() {
    let body = text(40_000);
    for (encoding, packed) in [("gzip", gzip(&body)), ("zstd", zstd(&body))] {
        for cut in [1, 5, 10, packed.len() / 2, packed.len() - 1] {
            assert_eq!(
                status(encoding, packed[..cut].to_vec()).await,
                StatusCode::BAD_REQUEST,
                "{encoding} {cut}"
            );
        }
        let mut bent = packed.clone();
        bent[packed.len() / 2] ^= 0x55;
        assert_eq!(status(encoding, bent).await, StatusCode::BAD_REQUEST, "{encoding}");
        let trailed = [packed, b"and more".to_vec()].concat();
        assert_eq!(status(encoding, trailed).await, StatusCode::BAD_REQUEST, "{encoding}");
        assert_eq!(status(encoding, "{\"plain\":1}").await, StatusCode::BAD_REQUEST, "{encoding}");
    }
}

#[tokio::test]
async fn other_encodings_are_unsupported() {
    for encoding in ["br", "deflate", "gzip, zstd", "gzip,gzip", ""] {
        let problem = read_body(request(encoding, "x"), LIMITS).await.unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.code), (415, "unsupported_encoding"), "{encoding}");
    }
    let mut twice = request("gzip", "x");
    twice.headers_mut().append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    assert_eq!(read_body(twice, LIMITS).await.unwrap_err().status.as_u16(), 415);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_times_out() {
    let first = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from("a"))]);
    let body = Body::from_stream(first.chain(futures::stream::pending()));
    let problem = read_body(request("identity", body), LIMITS).await.unwrap_err();
    assert_eq!((problem.status.as_u16(), problem.code), (408, "request_timeout"));
}

#[tokio::test]
async fn a_body_whose_client_went_away_is_malformed() {
    let broken = futures::stream::iter([Err::<Bytes, _>(std::io::Error::other("reset"))]);
    assert_eq!(status("identity", Body::from_stream(broken)).await, StatusCode::BAD_REQUEST);
}
