//! An access token that is had once for everybody, and had anew before it ends.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use geopush_model::UnixMillis;
use http::HeaderValue;
use tokio::sync::OwnedMutexGuard;

use crate::send::provider::CredentialError;

/// From this long before its end a token is replaced, while everybody goes on with it; one of a short life, in the last
/// quarter of that.
const EARLY_MS: i64 = 300_000;
/// A token this near its end is not used: it would end on the way; one of a short life, in the last tenth of that.
const MARGIN_MS: i64 = 10_000;
/// After a failure nobody asks again for this long: a thousand waiting pushes ask once.
const REFUSED_MS: i64 = 5_000;
const UNAVAILABLE_MS: i64 = 1_000;

/// A token as it was had.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The `authorization` header.
    pub header: HeaderValue,
    /// When it was asked for.
    pub had_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
}

impl AccessToken {
    fn life_ms(&self) -> i64 {
        self.expires_at.since_ms(self.had_at).max(0)
    }

    fn is_good(&self, now: UnixMillis) -> bool {
        self.expires_at.since_ms(now) > MARGIN_MS.min(self.life_ms() / 10)
    }

    fn is_fresh(&self, now: UnixMillis) -> bool {
        self.expires_at.since_ms(now) > EARLY_MS.min(self.life_ms() / 4)
    }
}

/// The one token of an app.
#[derive(Clone, Default)]
pub struct TokenCache {
    state: Arc<Mutex<State>>,
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Default)]
struct State {
    token: Option<AccessToken>,
    failed: Option<(UnixMillis, CredentialError)>,
}

impl State {
    /// What there is to say without asking anybody.
    fn known(&self, now: UnixMillis) -> Option<Result<HeaderValue, CredentialError>> {
        if let Some(token) = self.token.as_ref().filter(|token| token.is_fresh(now)) {
            return Some(Ok(token.header.clone()));
        }
        let (at, error) = self.failed.as_ref()?;
        let hold_ms = match error {
            CredentialError::Refused(_) => REFUSED_MS,
            CredentialError::Unavailable { .. } => UNAVAILABLE_MS,
        };
        // Whoever waited asked before the failure, by a little.
        (now.since_ms(*at).abs() < hold_ms).then(|| Err(error.clone()))
    }
}

impl TokenCache {
    /// The token. `fetch` is called when there is none, or none for much longer, for all callers at once; who finds a
    /// token that is still good does not wait for the next one.
    ///
    /// # Errors
    /// What `fetch` gave, unless a token is still good.
    pub async fn get<F>(
        &self,
        now: UnixMillis,
        fetch: impl FnOnce() -> F,
    ) -> Result<HeaderValue, CredentialError>
    where
        F: Future<Output = Result<AccessToken, CredentialError>> + Send + 'static,
    {
        let (known, state) = {
            let state = self.lock();
            match state.known(now) {
                Some(Ok(header)) => return Ok(header),
                known => (known, state.clone()),
            }
        };
        if let Some(token) = state.token.filter(|token| token.is_good(now)) {
            if known.is_none()
                && let Ok(fetching) = Arc::clone(&self.fetching).try_lock_owned()
                && self.lock().known(now).is_none()
            {
                tokio::spawn(self.clone().renew(now, fetch(), fetching));
            }
            return Ok(token.header);
        }
        let fetching = Arc::clone(&self.fetching).lock_owned().await;
        // Somebody may have fetched while this caller waited.
        let known = self.lock().known(now);
        match known {
            Some(known) => known,
            // A task of its own: this caller may go away, and the others still want it.
            None => match tokio::spawn(self.clone().renew(now, fetch(), fetching)).await {
                Ok(renewed) => renewed,
                Err(error) => Err(CredentialError::Unavailable { why: error.to_string(), retry_after: None }),
            },
        }
    }

    async fn renew<F>(
        self,
        now: UnixMillis,
        fetched: F,
        _fetching: OwnedMutexGuard<()>,
    ) -> Result<HeaderValue, CredentialError>
    where
        F: Future<Output = Result<AccessToken, CredentialError>>,
    {
        match fetched.await {
            Ok(token) => {
                let header = token.header.clone();
                *self.lock() = State { token: Some(token), failed: None };
                Ok(header)
            }
            Err(error) => {
                self.lock().failed = Some((now, error.clone()));
                Err(error)
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

    /// Gives tokens `1`, `2`, … that live as long as is said.
    #[derive(Clone)]
    struct Source(Arc<AtomicU32>, i64);

    impl Source {
        fn of_life(life_ms: i64) -> Self {
            Self(Arc::default(), life_ms)
        }

        async fn fetch(self, now: i64) -> Result<AccessToken, CredentialError> {
            tokio::task::yield_now().await;
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            let (had_at, expires_at) = (UnixMillis(now), UnixMillis(now + self.1));
            Ok(AccessToken { header: HeaderValue::from(number), had_at, expires_at })
        }
    }

    async fn get(cache: &TokenCache, source: &Source, now: i64) -> u32 {
        let source = source.clone();
        let header = cache.get(UnixMillis(now), || source.fetch(now)).await.unwrap();
        header.to_str().unwrap().parse().unwrap()
    }

    /// Waits for a renewal that is under way.
    async fn renewed(cache: &TokenCache) {
        drop(cache.fetching.lock().await);
    }

    async fn down() -> Result<AccessToken, CredentialError> {
        Err(CredentialError::Unavailable { why: "down".into(), retry_after: None })
    }

    #[tokio::test]
    async fn a_hundred_callers_fetch_one_token() {
        let (cache, source) = (TokenCache::default(), Source::of_life(HOUR_MS));
        let all = futures::future::join_all((0..100).map(|_| get(&cache, &source, 0))).await;
        assert!(all.iter().all(|token| *token == 1));
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_token_is_replaced_before_it_ends_once_and_nobody_waits_for_that() {
        let (cache, source) = (TokenCache::default(), Source::of_life(HOUR_MS));
        assert_eq!(get(&cache, &source, 0).await, 1);
        assert_eq!(get(&cache, &source, HOUR_MS - EARLY_MS - 1).await, 1);
        let early = HOUR_MS - EARLY_MS;
        let all = futures::future::join_all((0..100).map(|_| get(&cache, &source, early))).await;
        assert!(all.iter().all(|token| *token == 1), "{all:?}");
        renewed(&cache).await;
        assert_eq!(get(&cache, &source, early).await, 2);
        assert_eq!(source.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_token_is_used_until_it_ends_when_there_is_no_other() {
        let (cache, source) = (TokenCache::default(), Source::of_life(HOUR_MS));
        get(&cache, &source, 0).await;
        let late = UnixMillis(HOUR_MS - 60_000);
        assert_eq!(cache.get(late, down).await.unwrap(), HeaderValue::from(1));
        renewed(&cache).await;
        assert_eq!(cache.get(late, down).await.unwrap(), HeaderValue::from(1));
        assert!(cache.get(UnixMillis(HOUR_MS), down).await.is_err());
    }

    #[tokio::test]
    async fn a_token_of_a_short_life_is_not_fetched_for_every_push() {
        let (cache, source) = (TokenCache::default(), Source::of_life(60_000));
        for now in [0, 10, 20_000, 44_000] {
            assert_eq!(get(&cache, &source, now).await, 1);
            renewed(&cache).await;
        }
        assert_eq!(get(&cache, &source, 46_000).await, 1);
        renewed(&cache).await;
        assert_eq!(get(&cache, &source, 46_000).await, 2);
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_does_not_take_the_token_with_it() {
        let (cache, source) = (TokenCache::default(), Source::of_life(HOUR_MS));
        let asked = futures::poll!(std::pin::pin!(get(&cache, &source, 0)));
        assert!(asked.is_pending());
        renewed(&cache).await;
        assert_eq!((get(&cache, &source, 0).await, source.0.load(Ordering::SeqCst)), (1, 1));
    }

    #[tokio::test]
    async fn a_forgotten_token_is_had_anew_once() {
        let (cache, source) = (TokenCache::default(), Source::of_life(HOUR_MS));
        get(&cache, &source, 0).await;
        cache.forget(&HeaderValue::from(1));
        assert_eq!(get(&cache, &source, 0).await, 2);
        cache.forget(&HeaderValue::from(1));
        assert_eq!(get(&cache, &source, 0).await, 2);
    }

    #[tokio::test]
    async fn a_refusal_holds_for_a_moment() {
        let (cache, source) = (TokenCache::default(), Source::of_life(HOUR_MS));
        let refuse = || async { Err::<AccessToken, _>(CredentialError::Refused("no".into())) };
        assert!(cache.get(UnixMillis(0), refuse).await.is_err());
        let again = source.clone();
        assert!(cache.get(UnixMillis(1), || again.fetch(1)).await.is_err());
        assert_eq!(get(&cache, &source, REFUSED_MS).await, 1);
    }
}
