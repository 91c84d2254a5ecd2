//! One HTTP/1.1 connection, kept alive, with one request at a time: as a phone has it, and with as little work for the
//! load's side as there can be.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use geopush_service::BoxError;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A request that is not answered within this time counts as lost.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection with a key.
pub struct Connection {
    address: SocketAddr,
    authorization: String,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// What was answered.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

impl Connection {
    /// A connection that opens with its first request, or again after an error.
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, authorization: format!("Bearer {key}"), open: None }
    }

    /// Opens the connection, if it is not open.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, BoxError> {
        // A server may close a connection that it kept alive; the next request then opens another.
        let mut open = self.open.take().filter(|open| !open.is_closed());
        if open.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // Its errors are those of the requests.
            tokio::spawn(async move { drop(connection.await) });
            open = Some(sender);
        }
        Ok(self.open.insert(open.ok_or("no connection")?))
    }

    /// Makes a request and reads the whole answer.
    ///
    /// # Errors
    /// When there was none: the server may or may not have done what was asked.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer, BoxError> {
        let answer = tokio::time::timeout(TIMEOUT, self.exchange(method, path, body)).await;
        let answer =
            answer.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs()).into()));
        if answer.is_err() {
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> Result<Answer, BoxError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.to_string())
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let sender = self.connect().await?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }

    /// Makes a request that must succeed; the JSON that was answered.
    ///
    /// # Errors
    /// When it was not answered, or with anything but 2xx.
    pub async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, BoxError> {
        let sent = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let Answer { status, body } = self.send(method.clone(), path, sent).await?;
        if !status.is_success() {
            return Err(
                format!("{method} {path} was answered {status}: {}", String::from_utf8_lossy(&body)).into()
            );
        }
        if body.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&body)?) }
    }
}
