//! A client of the tests' own: one connection, HTTP/2 or HTTP/1.1, over TLS or plain; and signing of tokens.

// Each test file uses its part; and clippy takes no file but those with tests in them for tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use geopush_sandbox::{APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC, Options, Sandbox};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, RSA_PKCS1_SHA256, RsaKeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub const SEND: &str = "/v1/projects/geopush-sandbox/messages:send";
pub const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
pub const PATIENCE: Duration = Duration::from_secs(20);

pub async fn sandbox() -> Sandbox {
    Sandbox::start(Options::default()).await.unwrap()
}

pub fn now_s() -> i64 {
    Timestamp::now().as_second()
}

pub async fn tls(url: &str, ca_pem: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let uri: Uri = url.parse().unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = TcpStream::connect((uri.host().unwrap(), uri.port_u16().unwrap())).await?;
    let name = ServerName::try_from(uri.host().unwrap().to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

enum Send {
    H1(http1::SendRequest<Full<Bytes>>),
    H2(http2::SendRequest<Full<Bytes>>),
}

pub struct Client {
    url: String,
    send: Send,
    pub connection: JoinHandle<hyper::Result<()>>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    pub async fn h2(url: &str, ca_pem: &str) -> Self {
        let io = TokioIo::new(tls(url, ca_pem, &["h2"]).await.unwrap());
        let (send, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        Self { url: url.to_owned(), send: Send::H2(send), connection: tokio::spawn(connection) }
    }

    pub async fn h1(url: &str, ca_pem: &str) -> Self {
        let io = TokioIo::new(tls(url, ca_pem, &["http/1.1"]).await.unwrap());
        let (send, connection) = http1::handshake(io).await.unwrap();
        Self { url: url.to_owned(), send: Send::H1(send), connection: tokio::spawn(connection) }
    }

    pub async fn plain(url: &str) -> Self {
        let tcp = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
        let (send, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
        Self { url: url.to_owned(), send: Send::H1(send), connection: tokio::spawn(connection) }
    }

    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> hyper::Result<Reply> {
        let mut request = Request::builder().method(method);
        request = match &self.send {
            Send::H1(_) => request.uri(path).header("host", self.url.split_once("//").unwrap().1),
            Send::H2(_) => request.uri(format!("{}{path}", self.url)),
        };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response = match &mut self.send {
            Send::H1(send) => send.send_request(request).await?,
            Send::H2(send) => send.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, text })
    }

    /// Another handle to the same HTTP/2 connection, for requests at the same time.
    pub fn another(&self) -> Self {
        let Send::H2(send) = &self.send else { panic!("HTTP/1.1 carries one request at a time") };
        Self {
            url: self.url.clone(),
            send: Send::H2(send.clone()),
            connection: tokio::spawn(async { Ok(()) }),
        }
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn pem_der(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(text).unwrap()
}

/// Signs with a service account's private key.
pub fn rs256(account: &Value, header: &Value, claims: &Value) -> String {
    let key = RsaKeyPair::from_pkcs8(&pem_der(account["private_key"].as_str().unwrap())).unwrap();
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub fn claims(account: &Value) -> Value {
    let now = now_s();
    json!({
        "iss": account["client_email"],
        "scope": SCOPE,
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
    })
}

pub fn form(assertion: &str) -> String {
    format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}")
}

/// An `Authorization` header's value for FCM.
pub async fn fcm_bearer(client: &mut Client, account: &Value, scope: &str) -> String {
    let mut claims = claims(account);
    claims["scope"] = scope.into();
    let assertion = rs256(account, &json!({ "alg": "RS256", "typ": "JWT" }), &claims);
    let reply = client.request("POST", "/token", &[], form(&assertion)).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    format!("Bearer {}", reply.json()["access_token"].as_str().unwrap())
}

/// Signs with an APNs key.
pub fn es256(key_pem: &str, header: &Value, claims: &Value) -> String {
    ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, key_pem, header, claims)
}

/// The same, with a signature in this form.
pub fn ecdsa(form: &'static EcdsaSigningAlgorithm, key_pem: &str, header: &Value, claims: &Value) -> String {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(form, &pem_der(key_pem), &random).unwrap();
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(&random, signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// An `authorization` header's value for APNs, issued at `iat`.
pub fn apns_bearer(key_pem: &str, iat: i64) -> String {
    let token = es256(
        key_pem,
        &json!({ "alg": "ES256", "kid": APNS_KEY_ID }),
        &json!({ "iss": APNS_TEAM_ID, "iat": iat }),
    );
    format!("bearer {token}")
}

/// A device token for APNs: 64 hex digits that start with `start`.
pub fn device(start: &str) -> String {
    format!("{start:0<64}")
}

/// A connection to each provider, with credentials, and the control address.
pub struct Phones {
    pub sandbox: Sandbox,
    pub fcm: Client,
    pub apns: Client,
    pub control: Client,
    fcm_bearer: String,
    apns_bearer: String,
}

impl Phones {
    pub async fn new() -> Self {
        let sandbox = sandbox().await;
        let mut fcm = Client::h2(sandbox.fcm_url(), sandbox.ca_pem()).await;
        let fcm_bearer = fcm_bearer(&mut fcm, sandbox.service_account_json(), SCOPE).await;
        let apns_bearer = apns_bearer(sandbox.apns_key_pem(), now_s());
        let apns = Client::h2(sandbox.apns_url(), sandbox.ca_pem()).await;
        let control = Client::plain(sandbox.control_url()).await;
        Self { sandbox, fcm, apns, control, fcm_bearer, apns_bearer }
    }

    /// New connections to the providers, after the old ones ended.
    pub async fn reconnect(&mut self) {
        self.fcm = Client::h2(self.sandbox.fcm_url(), self.sandbox.ca_pem()).await;
        self.apns = Client::h2(self.sandbox.apns_url(), self.sandbox.ca_pem()).await;
    }

    pub async fn fcm(&mut self, message: &Value) -> hyper::Result<Reply> {
        let headers = [("authorization", self.fcm_bearer.as_str()), ("content-type", "application/json")];
        self.fcm.request("POST", SEND, &headers, json!({ "message": message }).to_string()).await
    }

    pub async fn apns(&mut self, token: &str, payload: &Value) -> hyper::Result<Reply> {
        let headers = [("authorization", self.apns_bearer.as_str()), ("apns-topic", APNS_TOPIC)];
        self.apns.request("POST", &format!("/3/device/{token}"), &headers, payload.to_string()).await
    }

    /// Both bearers, for requests made by hand.
    pub fn bearers(&self) -> (String, String) {
        (self.fcm_bearer.clone(), self.apns_bearer.clone())
    }

    pub async fn fault(&mut self, fault: &Value) -> Reply {
        self.control.request("POST", "/faults", &[], fault.to_string()).await.unwrap()
    }

    pub async fn sent(&mut self, query: &str) -> Value {
        self.control.request("GET", &format!("/sent{query}"), &[], "").await.unwrap().json()
    }
}
