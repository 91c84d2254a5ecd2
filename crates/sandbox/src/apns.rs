//! The APNs stand-in: provider tokens or a certificate, and `POST /3/device/{token}`.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;
use ring::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::apns_request::{
    PushType, apns_id, check_device_token, check_headers, check_payload, device_token, is_dead, status_of,
};
use crate::credentials::{APNS_KEY_ID, APNS_TEAM_ID, APNS_TOPIC, ApnsKey};
use crate::fault::Faults;
use crate::jws::{Jws, bearer};
use crate::listener::{Answer, Wire};
use crate::sent::{Accepted, Provider, SentLog};

/// Above any payload that could be accepted.
const MAX_BODY: usize = 16 << 10;
/// A provider token's longest life, and how far its clock may run ahead, in seconds.
const TOKEN_LIFE_S: i64 = 3600;
const SKEW_S: i64 = 300;
/// How many verified provider tokens are remembered.
const MAX_VERIFIED: usize = 1024;

#[derive(Debug, Deserialize)]
struct Claims {
    iss: Option<String>,
    iat: Option<i64>,
}

/// The provider tokens whose signature was found right, with the time of their issue: a signature costs far
/// more to check than all the rest of a push.
#[derive(Debug)]
pub(crate) struct ProviderTokens {
    public_key: Vec<u8>,
    verified: RwLock<HashMap<String, i64>>,
}

impl ProviderTokens {
    pub(crate) fn new(key: &ApnsKey) -> Self {
        Self { public_key: key.public_key.clone(), verified: RwLock::default() }
    }

    fn check(&self, token: &str, now_s: i64) -> Result<(), &'static str> {
        let known = self.verified.read().unwrap_or_else(PoisonError::into_inner).get(token).copied();
        let issued_s = match known {
            Some(issued_s) => issued_s,
            None => {
                let issued_s = self.verify(token)?;
                let mut verified = self.verified.write().unwrap_or_else(PoisonError::into_inner);
                if verified.len() >= MAX_VERIFIED {
                    verified.clear();
                }
                verified.insert(token.to_owned(), issued_s);
                issued_s
            }
        };
        if now_s.saturating_sub(issued_s) > TOKEN_LIFE_S {
            return Err("ExpiredProviderToken");
        }
        if issued_s > now_s + SKEW_S { Err("InvalidProviderToken") } else { Ok(()) }
    }

    fn verify(&self, token: &str) -> Result<i64, &'static str> {
        let jws = Jws::<Claims>::parse(token).ok_or("InvalidProviderToken")?;
        let ours = jws.header.alg == "ES256"
            && jws.header.kid.as_deref() == Some(APNS_KEY_ID)
            && jws.claims.iss.as_deref() == Some(APNS_TEAM_ID)
            // Apple takes a signature in DER, too: some of its clients know no other form.
            && (jws.is_signed_by(&ECDSA_P256_SHA256_FIXED, &self.public_key)
                || jws.is_signed_by(&ECDSA_P256_SHA256_ASN1, &self.public_key));
        jws.claims.iat.filter(|_| ours).ok_or("InvalidProviderToken")
    }
}

/// The headers that say how a push is shown, by their names after `apns-`.
fn told(headers: &HeaderMap) -> Vec<(&'static str, Box<str>)> {
    const TOLD: [(&str, &str); 4] = [
        ("apns-collapse-id", "collapse-id"),
        ("apns-expiration", "expiration"),
        ("apns-priority", "priority"),
        ("apns-push-type", "push-type"),
    ];
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    TOLD.iter().filter_map(|(name, short)| Some((*short, text(*name)?.into()))).collect()
}

/// Why a push was refused.
#[derive(Debug)]
struct Refusal {
    status: u16,
    reason: String,
    /// When the device token died; with 410 only.
    timestamp: Option<i64>,
    retry_after_s: Option<u32>,
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Self {
        let status = status_of(reason).unwrap_or(500);
        Self { status, reason: reason.to_owned(), timestamp: None, retry_after_s: None }
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        let mut body = json!({ "reason": self.reason });
        if let Some(timestamp) = self.timestamp {
            body["timestamp"] = timestamp.into();
        }
        let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        answer
    }
}

pub(crate) struct Apns {
    pub tokens: ProviderTokens,
    pub faults: Arc<Faults>,
    pub sent: Arc<SentLog>,
}

impl Apns {
    pub(crate) async fn handle(self: Arc<Self>, wire: Arc<Wire>, request: Request<Incoming>) -> Answer {
        // Every answer names its push, also those whose own id can't be used.
        let given = apns_id(request.headers()).ok().flatten();
        let id = given.unwrap_or_else(|| Uuid::new_v4().hyphenated().to_string().to_uppercase());
        let mut answer = match self.push(&wire, &id, request).await {
            Ok(()) => Response::new(Full::default()),
            Err(refusal) => refusal.answer(),
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            answer.headers_mut().insert("apns-id", id);
        }
        answer
    }

    fn check(
        &self,
        wire: &Wire,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<(String, &'static PushType), &'static str> {
        if *method != Method::POST {
            return Err("MethodNotAllowed");
        }
        let token = device_token(path)?;
        match bearer(headers) {
            Some(provider_token) => self.tokens.check(provider_token, Timestamp::now().as_second())?,
            None if wire.certified => {}
            None => return Err("MissingProviderToken"),
        }
        let push_type = check_headers(headers, APNS_TOPIC)?;
        check_device_token(token)?;
        Ok((token.to_owned(), push_type))
    }

    async fn push(&self, wire: &Wire, id: &str, request: Request<Incoming>) -> Result<(), Refusal> {
        let headers = told(request.headers());
        let (token, push_type) =
            self.check(wire, request.method(), request.uri().path(), request.headers())?;
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let payload = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => "PayloadTooLarge",
            false => "PayloadEmpty",
        });
        let payload = payload?.to_bytes();
        check_payload(&payload, push_type)?;

        let accept = || {
            let accepted = Accepted::Apns {
                token: token.as_str().into(),
                apns_id: id.into(),
                headers: headers.clone(),
                payload: (*payload).into(),
            };
            self.sent.push(Timestamp::now().as_millisecond(), accepted);
        };
        let fault = self.faults.take(Provider::Apns, &token);
        if let Some(fault) = &fault {
            fault.befall(wire, accept).await;
            if let Some(status @ 400..) = fault.status {
                let now_ms = Timestamp::now().as_millisecond();
                return Err(Refusal {
                    status,
                    reason: fault.reason.clone().unwrap_or_default(),
                    timestamp: (status == 410).then(|| fault.timestamp.unwrap_or(now_ms)),
                    retry_after_s: fault.retry_after_s,
                });
            }
        }
        if fault.is_none_or(|fault| fault.status.is_none()) && is_dead(&token) {
            let timestamp = Some(Timestamp::now().as_millisecond());
            return Err(Refusal { timestamp, ..Refusal::from("Unregistered") });
        }
        accept();
        Ok(())
    }
}
