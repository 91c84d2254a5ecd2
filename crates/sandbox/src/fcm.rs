//! The FCM stand-in: the token endpoint and `projects.messages.send`.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response};
use jiff::Timestamp;

use crate::credentials::{PROJECT_ID, ServiceAccount};
use crate::fault::Faults;
use crate::fcm_message::{Target, check};
use crate::fcm_refusal::{JSON, Refusal, json_answer, not_found};
use crate::jws::bearer;
use crate::listener::{Answer, Wire};
use crate::oauth::{Access, AccessTokens};
use crate::sent::{Accepted, Provider, SentLog};

/// Above any request that could be accepted.
const MAX_BODY: usize = 64 << 10;

pub(crate) struct Fcm {
    pub account: ServiceAccount,
    pub tokens: AccessTokens,
    pub faults: Arc<Faults>,
    pub sent: Arc<SentLog>,
}

impl Fcm {
    pub(crate) async fn handle(self: Arc<Self>, wire: Arc<Wire>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if request.method() != Method::POST {
            return not_found(path);
        }
        let project = path.strip_prefix("/v1/projects/").and_then(|rest| rest.strip_suffix("/messages:send"));
        match project {
            Some(project) if !project.is_empty() && !project.contains('/') => {
                let project = project.to_owned();
                match self.send(&wire, &project, request).await {
                    Ok(answer) => answer,
                    Err(refusal) => refusal.answer(),
                }
            }
            None if path == "/token" => self.token(request).await,
            _ => not_found(path),
        }
    }

    async fn token(&self, request: Request<Incoming>) -> Answer {
        let form = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let form = form.map(Collected::to_bytes).unwrap_or_default();
        match self.tokens.grant(&self.account, &form, Timestamp::now().as_second()) {
            Ok(granted) => json_answer(200, &granted),
            Err(refused) => json_answer(400, &refused.body()),
        }
    }

    fn authorize(&self, project: &str, request: &Request<Incoming>, now_s: i64) -> Result<(), Refusal> {
        let bearer = bearer(request.headers()).ok_or_else(Refusal::missing_credential)?;
        match self.tokens.access(bearer, now_s) {
            Access::None => Err(Refusal::invalid_credential()),
            Access::Elsewhere => Err(Refusal::insufficient_scope()),
            Access::Messaging if project != PROJECT_ID => Err(Refusal::other_project(project)),
            Access::Messaging => Ok(()),
        }
    }

    async fn send(&self, wire: &Wire, project: &str, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let now = Timestamp::now();
        self.authorize(project, &request, now.as_second())?;
        let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
        let body = body.map_err(|_| Refusal::argument("message", "Message is too big"))?.to_bytes();
        let message = check(&body)?;
        let token = match &message.target {
            Target::Device { id, .. } => id.as_str(),
            Target::Many => "",
        };
        if message.validate_only {
            magic(&message.target)?;
            return Ok(accepted("fake_message_id"));
        }
        let fault = self.faults.take(Provider::Fcm, token);
        if let Some(fault) = &fault {
            fault
                .befall(wire, || {
                    self.accept(&body);
                })
                .await;
            if let Some(status @ 400..) = fault.status {
                return Err(Refusal::fault(status, fault));
            }
        }
        if fault.is_none_or(|fault| fault.status.is_none()) {
            magic(&message.target)?;
        }
        Ok(self.accept(&body))
    }

    fn accept(&self, body: &[u8]) -> Answer {
        let now = Timestamp::now();
        self.sent.push(now.as_millisecond(), Accepted::Fcm { body: body.into() });
        accepted(&format!("0:{}%{:016x}", now.as_microsecond(), self.sent.count()))
    }
}

/// Tokens that fail as their names say.
fn magic(target: &Target) -> Result<(), Refusal> {
    let Target::Device { field, id } = target else { return Ok(()) };
    if id.starts_with("unregistered") {
        return Err(Refusal::code("UNREGISTERED"));
    }
    if id.starts_with("mismatch") {
        return Err(Refusal::code("SENDER_ID_MISMATCH"));
    }
    if id.starts_with("invalid") {
        let text = "The registration token is not a valid FCM registration token";
        return Err(Refusal::argument(field, text));
    }
    Ok(())
}

fn accepted(id: &str) -> Answer {
    let body = format!("{{\n  \"name\": \"projects/{PROJECT_ID}/messages/{id}\"\n}}\n");
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}
