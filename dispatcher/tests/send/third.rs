//! A third provider, made of nothing but the public interface: a [`Service`] and a [`ProviderApi`], with its own address,
//! body, credential and rules. Lanes, retries and deliveries are those of the others.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use geopush_dispatcher::send::provider::{
    Answer, CredentialError, Decision, Means, Message, NoLane, Opened, Pause, Provider as ProviderApi,
    Service, Unsendable, Verdict, retry_after,
};
use geopush_model::{Outcome, Provider, Push, Reason, UnixMillis};
use geopush_registry::AppCredentials;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::world::{World, end};

/// Pagers show 20 characters, and are found by a number.
const LONGEST: usize = 20;
const RULES: &str = "https://pager.example/rules";

struct Pagers {
    url: String,
}

struct Pager;

impl Service for Pagers {
    fn open(&self, app: &AppCredentials, means: &Means) -> Result<Opened, NoLane> {
        app.apns.as_ref().ok_or(NoLane::NoApp)?;
        let endpoint = means.endpoint(Some(&self.url), "https://pager.example")?;
        Ok(Opened { provider: Box::new(Pager), endpoint, connector: means.connector.clone() })
    }
}

#[async_trait]
impl ProviderApi for Pager {
    fn message(&self, push: &Push, _now: UnixMillis) -> Result<Message, Unsendable> {
        if push.message.title.len() > LONGEST {
            return Err(Unsendable::TooLarge);
        }
        let number: u32 = push.token.parse().map_err(|_| Unsendable::BadToken)?;
        let body = Bytes::from(push.message.title.clone());
        Ok(Message { path: format!("/page/{number}"), headers: HeaderMap::new(), body })
    }

    async fn credential(&self, _now: UnixMillis) -> Result<Option<HeaderValue>, CredentialError> {
        Ok(Some(HeaderValue::from_static("Pager secret")))
    }

    fn forget(&self, _refused: &HeaderValue) {}

    fn judge(&self, _push: &Push, answer: &Answer, now: UnixMillis) -> Verdict {
        let decision = match answer.status.as_u16() {
            202 => Decision::Sent,
            410 => Decision::DropToken,
            503 => Decision::Retry(Pause::CONNECTION),
            _ => Decision::GiveUp(Reason::ProviderError),
        };
        Verdict {
            decision,
            source: RULES,
            retry_after: retry_after(&answer.headers, now),
            message_id: None,
            dead_at: (decision == Decision::DropToken).then_some(now),
            said: answer.status.to_string(),
        }
    }
}

/// Pages that came in, as `path authorization body`.
type Pages = Arc<Mutex<Vec<String>>>;

/// 7 is gone, 8 is busy at first.
async fn page(pages: Pages, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let seen = {
        let mut pages = pages.lock().unwrap();
        pages.push(format!("{path} {authorization} {}", String::from_utf8_lossy(&body)));
        pages.iter().filter(|page| page.starts_with(&path)).count()
    };
    let answer = match (path.as_str(), seen) {
        ("/page/7", _) => Response::builder().status(410),
        ("/page/8", 1) => Response::builder().status(503).header("retry-after", "0"),
        _ => Response::builder().status(202),
    };
    Ok(answer.body(Full::default()).unwrap())
}

/// Listens until the test ends; gives its address and root.
async fn pagers(pages: Pages) -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let (tls, pages) = (tls.clone(), Arc::clone(&pages));
            tokio::spawn(async move {
                let stream = TokioIo::new(tls.accept(tcp).await.unwrap());
                let service = service_fn(move |request| page(Arc::clone(&pages), request));
                // However it ends, it has ended.
                let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            });
        }
    });
    (url, certificate.pem())
}

#[tokio::test]
async fn a_third_provider_needs_a_service_and_what_it_opens_and_no_more() {
    let mut world = World::asleep().await;
    let pages = Pages::default();
    let (url, ca_pem) = pagers(Arc::clone(&pages)).await;
    world.trust(&ca_pem);
    world.services.apns = Arc::new(Pagers { url });
    world.send();

    let push = |token: &str| world.push(Provider::Apns, token);
    assert_eq!(end(&world.outcome(&push("5")).await), (Outcome::Accepted, None, 1));
    assert_eq!(*pages.lock().unwrap(), ["/page/5 Pager secret Coffee"]);
    assert_eq!(end(&world.outcome(&push("8")).await), (Outcome::Accepted, None, 2));
    let gone = world.outcome(&push("7")).await;
    assert_eq!(end(&gone), (Outcome::Failed, Some(Reason::DeadToken), 1));
    assert_eq!(gone.dead_token.unwrap().token, "7");
    assert_eq!(end(&world.outcome(&push("five")).await), (Outcome::Failed, Some(Reason::DeadToken), 0));
    let mut long = push("5");
    Arc::make_mut(&mut long.message).title = "x".repeat(LONGEST + 1);
    assert_eq!(end(&world.outcome(&long).await), (Outcome::Failed, Some(Reason::TooLarge), 0));

    // The others go on as ever.
    let fcm = world.outcome(&world.push(Provider::Fcm, "a-phone")).await;
    assert_eq!(end(&fcm), (Outcome::Accepted, None, 1));
    assert!(fcm.finished_at.since_ms(fcm.created_at) < Duration::from_secs(10).as_millis() as i64);
}
