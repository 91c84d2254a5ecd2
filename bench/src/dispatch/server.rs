//! A provider that takes what it is given as fast as it can, in a process and on a thread of its own: FCM's paths, its
//! answers and its token endpoint over HTTP/2 and TLS, without the sandbox's strictness.
//!
//! A project whose name ends with `-bad` refuses one push of ten, half of them with 429 and half with 503.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use geopush_sandbox::{Options, Sandbox};
use geopush_service::BoxError;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Streams that a connection may have, as FCM's do.
pub const STREAMS: u32 = 100;
/// What a connection may have under way unread.
const WINDOW: u32 = 4 << 20;
/// Where a push's body and headers are kept, once, for whoever wants to send the same.
pub const BODY: &str = "body.json";

/// The hidden command that runs it.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerOptions {
    /// Where its certificate and the first push's body go.
    #[arg(long)]
    pub dir: PathBuf,
}

/// What it says of itself, as one line of JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// `https://host:port`
    pub url: String,
    /// A service account whose tokens it gives.
    pub service_account: Value,
}

/// What it has answered, by project: 200 and others.
#[derive(Debug, Default)]
struct Counts {
    projects: Mutex<BTreeMap<String, [u64; 2]>>,
}

/// Serves until its standard input ends; then says what it has answered, as one line of JSON.
///
/// # Errors
/// When it can't listen.
pub fn serve(options: &ServerOptions) -> Result<(), BoxError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        std::fs::write(options.dir.join("ca.pem"), cert.pem())?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        // The sandbox knows how to make a service account, and is not asked for more.
        let sandbox = Sandbox::start(Options::default()).await?;
        let mut service_account = sandbox.app_json()["fcm"]["service_account"].clone();
        drop(sandbox);
        service_account["token_uri"] = json!(format!("{url}/token"));
        println!("{}", serde_json::to_string(&Hello { url, service_account })?);
        std::io::stdout().flush()?;
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = ended.send(());
        });
        let counts = Arc::new(Counts::default());
        tokio::select! {
            _ = end => {
                println!("{}", counts.told());
                Ok(())
            }
            failed = accept(listener, TlsAcceptor::from(Arc::new(tls)), &counts, &options.dir) => failed,
        }
    })
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    counts: &Arc<Counts>,
    dir: &Path,
) -> Result<(), BoxError> {
    let body = Arc::new(Mutex::new(Some(dir.join(BODY))));
    loop {
        let (tcp, _) = listener.accept().await?;
        let (tls, counts, body) = (tls.clone(), Arc::clone(counts), Arc::clone(&body));
        tokio::spawn(async move {
            // A client that goes away in the middle is none of ours.
            let _ = connection(tcp, tls, counts, body).await;
        });
    }
}

type Kept = Arc<Mutex<Option<PathBuf>>>;

async fn connection(
    tcp: TcpStream,
    tls: TlsAcceptor,
    counts: Arc<Counts>,
    body: Kept,
) -> Result<(), BoxError> {
    tcp.set_nodelay(true)?;
    let stream = tls.accept(tcp).await?;
    let service = service_fn(move |request| {
        let (counts, body) = (Arc::clone(&counts), Arc::clone(&body));
        async move { Ok::<_, Infallible>(answer(request, &counts, &body).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

async fn answer(request: Request<Incoming>, counts: &Counts, kept: &Kept) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    if path == "/token" {
        return json_answer(StatusCode::OK, &json!({"access_token": "t", "expires_in": 3600}));
    }
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return json_answer(StatusCode::BAD_REQUEST, &json!({})),
    };
    let first = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(path) = first {
        let _ = std::fs::write(path, &body);
    }
    let project =
        path.strip_prefix("/v1/projects/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    counts.answer(project)
}

impl Counts {
    fn told(&self) -> Value {
        json!(*self.projects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn answer(&self, project: &str) -> Response<Full<Bytes>> {
        let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        if !projects.contains_key(project) {
            projects.insert(project.to_owned(), [0, 0]);
        }
        let [taken, refused] = projects.get_mut(project).expect("it was just made");
        let refusal = match (*taken + *refused) % 20 {
            9 if project.ends_with("-bad") => Some((StatusCode::TOO_MANY_REQUESTS, "QUOTA_EXCEEDED")),
            19 if project.ends_with("-bad") => Some((StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE")),
            _ => None,
        };
        *if refusal.is_some() { refused } else { taken } += 1;
        drop(projects);
        match refusal {
            None => Response::new(Full::new(Bytes::from_static(
                br#"{"name":"projects/p/messages/0:1500415314455276%31bd1c96"}"#,
            ))),
            Some((status, code)) => {
                let detail = json!({"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code});
                let mut refused =
                    json_answer(status, &json!({"error": {"code": status.as_u16(), "details": [detail]}}));
                refused.headers_mut().insert("retry-after", http::HeaderValue::from_static("1"));
                refused
            }
        }
    }
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    *answer.status_mut() = status;
    answer
}
