//! Who asks: the bearer token of RFC 6750.

use axum::http::{HeaderMap, header};

use super::Problem;

/// The token of `Authorization: Bearer <token>`.
///
/// # Errors
/// 401 when there is no such header, more than one, another scheme, or no token.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(Problem::unauthorized("send one header `Authorization: Bearer <key>`"));
    };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        let token = token.trim();
        let fits = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        (scheme.eq_ignore_ascii_case("bearer") && fits).then_some(token)
    });
    token.ok_or_else(|| Problem::unauthorized("the Authorization header must read `Bearer <key>`"))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};

    use super::*;

    #[test]
    fn only_one_bearer_token_is_a_token() {
        for (values, token) in [
            (&["Bearer gp_sk_1"][..], Some("gp_sk_1")),
            (&["bearer  gp_sk_1 "], Some("gp_sk_1")),
            (&[], None),
            (&["Bearer a", "Bearer b"], None),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Bearer a b"], None),
            (&["Basic dXNlcjpwYXNz"], None),
            (&["Bearer é"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(header::AUTHORIZATION, value);
            }
            match bearer(&headers) {
                Ok(read) => assert_eq!(Some(read), token, "{values:?}"),
                Err(problem) => {
                    assert_eq!(problem.status, StatusCode::UNAUTHORIZED);
                    assert_eq!(None, token, "{values:?}");
                }
            }
        }
    }
}
