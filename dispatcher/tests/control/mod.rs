//! The control of the providers' stand-ins.

use geopush_sandbox::Sandbox;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Tells a provider to misbehave.
pub async fn fault(sandbox: &Sandbox, fault: &Value) {
    let answer = call(sandbox, "POST", &fault.to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

/// How many faults nobody has met yet: one that is met is gone at once, however long it takes then.
pub async fn faults_left(sandbox: &Sandbox) -> usize {
    let answer = call(sandbox, "GET", "").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    serde_json::from_str::<Value>(body).unwrap()["data"].as_array().unwrap().len()
}

async fn call(sandbox: &Sandbox, method: &str, body: &str) -> String {
    let host = sandbox.control_url().strip_prefix("http://").unwrap();
    let mut control = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "{method} /faults HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    control.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    control.read_to_string(&mut answer).await.unwrap();
    answer
}
