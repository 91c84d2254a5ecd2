//! What FCM says in an answer's body (`google.rpc.Status` with its details).

use serde::Deserialize;

use super::rules::Says;

/// The parts that a rule asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// FCM's error code, or nothing.
    pub code: Option<String>,
    /// Whether a field violation names the token.
    pub bad_token: bool,
    /// `projects/…/messages/…` of an accepted push.
    pub name: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    name: Option<String>,
    error: Option<Error>,
}

#[derive(Deserialize)]
struct Error {
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    error_code: Option<String>,
    #[serde(default)]
    field_violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    #[serde(default)]
    field: String,
}

impl Said {
    /// Reads a body; one that is not FCM's says nothing.
    pub fn parse(body: &[u8]) -> Self {
        let Ok(body) = serde_json::from_slice::<Body>(body) else { return Self::default() };
        let details = body.error.map(|error| error.details).unwrap_or_default();
        let bad_token =
            details.iter().flat_map(|detail| &detail.field_violations).any(|v| v.field == "message.token");
        let code = details.into_iter().find_map(|detail| detail.error_code);
        Self { code, bad_token, name: body.name }
    }

    /// As the rules are written.
    pub fn says(&self) -> Says<'_> {
        match &self.code {
            _ if self.bad_token => Says::BadToken,
            Some(code) => Says::Code(code),
            None => Says::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_violations_and_names_are_found() {
        let fcm = r#"{"error":{"code":404,"message":"m","status":"NOT_FOUND","details":[
            {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R"},
            {"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"UNREGISTERED"}]}}"#;
        assert_eq!(Said::parse(fcm.as_bytes()).says(), Says::Code("UNREGISTERED"));
        let violation = r#"{"error":{"details":[{"errorCode":"INVALID_ARGUMENT"},
            {"fieldViolations":[{"description":"d"},{"field":"message.token","description":"d"}]}]}}"#;
        assert_eq!(Said::parse(violation.as_bytes()).says(), Says::BadToken);
        let other = r#"{"error":{"details":[{"fieldViolations":[{"field":"message.data"}]}]}}"#;
        assert_eq!(Said::parse(other.as_bytes()).says(), Says::Any);
        assert_eq!(
            Said::parse(br#"{"name":"projects/p/messages/1"}"#).name.as_deref(),
            Some("projects/p/messages/1")
        );
        assert_eq!(Said::parse(b"<html>"), Said::default());
    }
}
