//! Who speaks for which provider. A provider is a folder with two things in it: a [`Service`], which reads an app's
//! credentials, and the [`Provider`] that comes of it, which says what to ask and what the answers mean. Lanes know no
//! more of either.

use std::sync::Arc;

use geopush_registry::AppCredentials;

use super::provider::{NoLane, Provider};
use super::transport::{Connector, Endpoint};
use super::{apns, fcm};

/// One of those that take pushes to phones.
pub trait Service: Send + Sync {
    /// An app with it, by the app's credentials.
    ///
    /// # Errors
    /// [`NoLane`]
    fn open(&self, app: &AppCredentials, means: &Means) -> Result<Opened, NoLane>;
}

/// What a service has to open an app with.
pub struct Means {
    /// Opens connections.
    pub connector: Connector,
    /// Whether apps may name addresses of their own.
    pub allow_provider_urls: bool,
}

impl Means {
    /// The address that an app gave, or the provider's own. A tenant must not aim the sender: another address only where
    /// that is allowed.
    ///
    /// # Errors
    /// [`NoLane`]
    pub fn endpoint(&self, given: Option<&str>, providers: &str) -> Result<Endpoint, NoLane> {
        match given {
            Some(url) if url != providers && !self.allow_provider_urls => Err(NoLane::UrlNotAllowed),
            url => Ok(Endpoint::parse(url.unwrap_or(providers))?),
        }
    }
}

/// An app with a provider.
pub struct Opened {
    /// What to ask, and what the answers mean.
    pub provider: Box<dyn Provider>,
    /// Where it is asked.
    pub endpoint: Endpoint,
    /// By what connections.
    pub connector: Connector,
}

/// The services of a process.
#[derive(Clone)]
pub struct Services {
    /// For pushes to Firebase Cloud Messaging.
    pub fcm: Arc<dyn Service>,
    /// For pushes to the Apple Push Notification service.
    pub apns: Arc<dyn Service>,
}

impl Default for Services {
    fn default() -> Self {
        Self { fcm: Arc::new(fcm::Firebase), apns: Arc::new(apns::Apple::default()) }
    }
}
