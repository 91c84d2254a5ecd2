//! An access token that is had once for everybody, and had anew before it ends.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use geopush_model::UnixMillis;
use http::HeaderValue;

use crate::send::provider::CredentialError;

/// From this long before its end a token is replaced, while the others go on with it.
const EARLY_MS: i64 = 300_000;
/// A token this near its end is not used: it would end on the way.
const MARGIN_MS: i64 = 10_000;
/// After a failure nobody asks again for this long: a thousand waiting pushes ask once.
const REFUSED_MS: i64 = 5_000;
const UNAVAILABLE_MS: i64 = 1_000;

/// A token as it was had.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The `authorization` header.
    pub header: HeaderValue,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// The one token of an app.
#[derive(Default)]
pub struct TokenCache {
    state: Mutex<State>,
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct State {
    token: Option<AccessToken>,
    failed: Option<(UnixMillis, CredentialError)>,
}

impl TokenCache {
    /// The token; `fetch` is called when there is none, or none for much longer, by one caller at a time.
    ///
    /// # Errors
    /// What `fetch` gave, unless a token is still good.
    pub async fn get<F>(
        &self,
        now: UnixMillis,
        fetch: impl FnOnce() -> F,
    ) -> Result<HeaderValue, CredentialError>
    where
        F: Future<Output = Result<AccessToken, CredentialError>>,
    {
        let state = self.lock().clone();
        let good = state.token.filter(|token| token.expires_at.since_ms(now) > MARGIN_MS);
        let _fetching = match good {
            Some(token) if token.expires_at.since_ms(now) > EARLY_MS => return Ok(token.header),
            Some(ref token) => match self.fetching.try_lock() {
                Ok(fetching) => fetching,
                Err(_) => return Ok(token.header.clone()),
            },
            None => self.fetching.lock().await,
        };
        // Somebody may have fetched while this caller waited.
        let state = self.lock().clone();
        if let Some(token) = state.token
            && token.expires_at.since_ms(now) > EARLY_MS
        {
            return Ok(token.header);
        }
        if let Some((at, error)) = state.failed {
            let hold_ms = match error {
                CredentialError::Refused(_) => REFUSED_MS,
                CredentialError::Unavailable { .. } => UNAVAILABLE_MS,
            };
            // Whoever waited asked before the failure, by a little.
            if now.since_ms(at).abs() < hold_ms {
                return good.map(|token| token.header).ok_or(error);
            }
        }
        match fetch().await {
            Ok(token) => {
                let header = token.header.clone();
                *self.lock() = State { token: Some(token), failed: None };
                Ok(header)
            }
            Err(error) => {
                self.lock().failed = Some((now, error.clone()));
                good.map(|token| token.header).ok_or(error)
            }
        }
    }

    /// Drops the token if it is still this one.
    pub fn forget(&self, refused: &HeaderValue) {
        let mut state = self.lock();
        if state.token.as_ref().is_some_and(|token| token.header == refused) {
            state.token = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Gives tokens `1`, `2`, … that live an hour.
    #[derive(Default)]
    struct Source(AtomicU32);

    impl Source {
        async fn fetch(&self, now: i64) -> Result<AccessToken, CredentialError> {
            tokio::task::yield_now().await;
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            Ok(AccessToken { header: HeaderValue::from(number), expires_at: UnixMillis(now + HOUR_MS) })
        }
    }

    async fn get(cache: &TokenCache, source: &Source, now: i64) -> u32 {
        let header = cache.get(UnixMillis(now), || source.fetch(now)).await.unwrap();
        header.to_str().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn a_hundred_callers_fetch_one_token() {
        let (cache, source) = (TokenCache::default(), Source::default());
        let all = futures::future::join_all((0..100).map(|_| get(&cache, &source, 0))).await;
        assert!(all.iter().all(|token| *token == 1));
    }

    #[tokio::test]
    async fn a_token_is_replaced_before_it_ends_and_used_until_then() {
        let (cache, source) = (TokenCache::default(), Source::default());
        assert_eq!(get(&cache, &source, 0).await, 1);
        assert_eq!(get(&cache, &source, HOUR_MS - EARLY_MS - 1).await, 1);
        assert_eq!(get(&cache, &source, HOUR_MS - EARLY_MS).await, 2);
        let failing = || async {
            Err::<AccessToken, _>(CredentialError::Unavailable { why: "down".into(), retry_after: None })
        };
        let late = UnixMillis(2 * HOUR_MS - EARLY_MS - 60_000);
        assert_eq!(cache.get(late, failing).await.unwrap(), HeaderValue::from(2));
        assert!(cache.get(UnixMillis(3 * HOUR_MS), failing).await.is_err());
    }

    #[tokio::test]
    async fn a_forgotten_token_is_had_anew_once() {
        let (cache, source) = (TokenCache::default(), Source::default());
        get(&cache, &source, 0).await;
        cache.forget(&HeaderValue::from(1));
        assert_eq!(get(&cache, &source, 0).await, 2);
        cache.forget(&HeaderValue::from(1));
        assert_eq!(get(&cache, &source, 0).await, 2);
    }

    #[tokio::test]
    async fn a_refusal_holds_for_a_moment() {
        let (cache, source) = (TokenCache::default(), Source::default());
        let refuse = || async { Err::<AccessToken, _>(CredentialError::Refused("no".into())) };
        assert!(cache.get(UnixMillis(0), refuse).await.is_err());
        assert!(cache.get(UnixMillis(1), || source.fetch(1)).await.is_err());
        assert_eq!(get(&cache, &source, REFUSED_MS).await, 1);
    }
}
