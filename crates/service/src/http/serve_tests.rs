use axum::http::StatusCode;
use axum::routing::{get, post};
use http_body_util::{BodyExt, Empty};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;
use crate::config::ByteSize;
use crate::http::{BodyLimits, Edge, read_body};
use crate::telemetry::{LogFormat, init};

struct Server {
    addr: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<Result<(), BoxError>>,
    entered: Arc<Notify>,
    release: Arc<Notify>,
}

async fn server(limits: ServeLimits) -> Server {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, go) = (Arc::clone(&entered), Arc::clone(&release));
    let small = BodyLimits::new(ByteSize::kib(1), ByteSize::kib(1));
    let router = Router::new()
        .route("/", get(async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.ip().to_string()))
        .route("/body", post(async move |request| read_body(request, small).await.map(|_| ())))
        .route(
            "/wait",
            get(async move || {
                inside.notify_one();
                go.notified().await;
                "waited"
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let router = Edge::new(&limits.name).apply(router);
    let serving = tokio::spawn(serve_http(listener, router, shutdown.clone(), limits));
    Server { addr, shutdown, serving, entered, release }
}

/// Sends this text on a connection of its own and reads until the server closes it.
async fn talk(addr: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn one(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let server = server(ServeLimits::named("versions")).await;
    let answer = talk(server.addr, &one("/")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("127.0.0.1"), "{answer}");

    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request =
        hyper::Request::get(format!("http://{}/", server.addr)).body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, hyper::Version::HTTP_2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "127.0.0.1");
}

#[tokio::test]
async fn shutdown_lets_a_request_in_flight_end_and_takes_no_new_ones() {
    let server = server(ServeLimits::named("drain")).await;
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    let asked = tokio::spawn(async move { talk(server.addr, &one("/wait")).await });
    server.entered.notified().await;
    server.shutdown.request();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0, "a silent connection is closed at once");
    assert!(TcpStream::connect(server.addr).await.is_err());
    assert!(!server.serving.is_finished());
    server.release.notify_one();
    let answer = asked.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("waited"), "{answer}");
    server.serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_drain_ends_after_its_limit_whatever_is_in_flight() {
    let server = server(ServeLimits { drain: Duration::from_millis(50), ..ServeLimits::named("cut") }).await;
    let asked = tokio::spawn(async move { talk(server.addr, &one("/wait")).await });
    server.entered.notified().await;
    server.shutdown.request();
    server.serving.await.unwrap().unwrap();
    assert_eq!(asked.await.unwrap(), "");
}

#[tokio::test]
async fn connections_above_the_limit_are_told_to_come_back() {
    let metrics = init(LogFormat::Text, "off").unwrap();
    let server = server(ServeLimits { max_connections: 1, ..ServeLimits::named("crowd") }).await;
    let held = tokio::spawn(async move { talk(server.addr, &one("/wait")).await });
    server.entered.notified().await;
    let answer = talk(server.addr, &one("/")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    let text = metrics.render();
    assert!(text.contains("geopush_crowd_http_connections 1"), "{text}");
    assert!(text.contains("geopush_crowd_http_connections_refused_total 1"), "{text}");
    server.release.notify_one();
    assert!(held.await.unwrap().ends_with("waited"));
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_half_a_request_is_closed() {
    let server = server(ServeLimits { idle: Duration::from_millis(100), ..ServeLimits::named("idle") }).await;
    for text in ["", "PR", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: "] {
        let answer = tokio::time::timeout(Duration::from_secs(20), talk(server.addr, text)).await;
        assert!(answer.is_ok_and(|answer| !answer.contains(" 200 ")), "{text:?}");
    }
}

#[tokio::test]
async fn headers_above_the_limit_are_refused() {
    let server = server(ServeLimits::named("headers")).await;
    let wide = "a".repeat(40 << 10);
    let answer = talk(server.addr, &format!("GET / HTTP/1.1\r\nhost: test\r\nx-wide: {wide}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_client_in_the_middle_of_a_body_too_large_still_sees_the_answer() {
    let server = server(ServeLimits::named("large")).await;
    for framing in ["content-length: 8000000\r\n", "transfer-encoding: chunked\r\n"] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!("POST /body HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{framing}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let body = vec![b'a'; 8_000_000];
        if framing.starts_with("transfer") {
            stream.write_all(b"7A1200\r\n").await.unwrap();
            stream.write_all(&body).await.unwrap();
            stream.write_all(b"\r\n0\r\n\r\n").await.unwrap();
        } else {
            stream.write_all(&body).await.unwrap();
        }
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too_large"), "{framing}: {answer}");
    }
}

#[tokio::test]
async fn a_kept_connection_answers_many_requests() {
    let server = server(ServeLimits::named("kept")).await;
    let io = TokioIo::new(TcpStream::connect(server.addr).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut answered = 0;
    for _ in 0..50 {
        let request =
            hyper::Request::get("/").header("host", "test").body(Empty::<bytes::Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        response.into_body().collect().await.unwrap();
        answered += 1;
    }
    assert_eq!(answered, 50);
}

#[test]
fn limits_are_read_from_the_section_of_their_server() {
    let flags = vec![("api.max_connections".into(), "5".into()), ("api-idle-timeout".into(), "10ms".into())];
    let mut reader = Reader::new(crate::config::Sources { flags, ..Default::default() });
    let limits = ServeLimits::read(&mut reader, "api", "control-api");
    assert_eq!(limits, ServeLimits { max_connections: 5, ..ServeLimits::named("control_api") });
    let errors = reader.finish().unwrap_err().0;
    assert_eq!((errors.len(), errors[0].key.as_str()), (1, "api.idle_timeout"));
}
