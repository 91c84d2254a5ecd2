//! A port that is open before what answers there can work: clients get a clear 503 until then.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Edge, Problem, ServeLimits, serve_http};
use crate::BoxError;
use crate::shutdown::Shutdown;

/// How long a client that came too early should wait.
const WAIT: Duration = Duration::from_secs(5);
/// Every answer is there at once; only a client that reads slowly takes time.
const DRAIN: Duration = Duration::from_millis(500);

/// An open port where every request is answered 503 with `Retry-After`, until the real server takes it over.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    close: Shutdown,
    serving: JoinHandle<Result<(), BoxError>>,
}

impl Door {
    /// Begins to answer on this port, in the name of this role.
    ///
    /// # Errors
    /// When the operating system gives no second handle of the port.
    pub fn open(listener: TcpListener, role: &str) -> std::io::Result<Self> {
        let listener = listener.into_std()?;
        let early = TcpListener::from_std(listener.try_clone()?)?;
        let close = Shutdown::new();
        let early_answer = || {
            let detail = "this process waits for what it depends on; send the same request again";
            std::future::ready(Problem::unavailable(detail, WAIT))
        };
        let router = Router::new().route("/", any(early_answer)).route("/{*rest}", any(early_answer));
        let limits = ServeLimits { drain: DRAIN, ..ServeLimits::named(role) };
        let serving = tokio::spawn(serve_http(early, Edge::new(role).apply(router), close.clone(), limits));
        Ok(Self { listener: TcpListener::from_std(listener)?, close, serving })
    }

    /// The port's address.
    ///
    /// # Errors
    /// When the operating system does not tell it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Stops answering and gives the port away. It stays open: who connects meanwhile waits for the real server.
    pub async fn hand_over(self) -> TcpListener {
        self.close.request();
        // The server has no errors, and the real one is started whatever became of it.
        let _ = self.serving.await;
        self.listener
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(addr: SocketAddr) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET /v1/zones HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn who_comes_early_is_told_to_come_again_and_who_comes_later_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Door::open(listener, "test-door").unwrap();
        let addr = door.address().unwrap();
        let answer = ask(addr).await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 503"), "{answer}");
        assert!(answer.contains("retry-after: 5") && answer.contains("application/problem+json"), "{answer}");

        // Kept open by its client, and no reason to wait.
        let mut idle = TcpStream::connect(addr).await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: t\r\n\r\n").await.unwrap();
        let listener = door.hand_over().await;
        let router = Router::new().fallback(async || "served");
        let serving = serve_http(listener, router, Shutdown::new(), ServeLimits::named("test-door"));
        let serving = tokio::spawn(serving);
        let answer = ask(addr).await;
        assert!(answer.ends_with("served"), "{answer}");
        serving.abort();
    }
}
