//! What plan knows of the sends that ask: whether they were cancelled, and their templates.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use geopush_campaign::MessageTemplate;
use geopush_model::{PushRequest, Request, SendId, TenantId};
use geopush_store::tables::SendRow;
use geopush_store::{Store, StoreError};

use super::decide::Cause;
use super::index::PlannedMessage;

/// How long it is believed that a send is not cancelled.
const BELIEVED: Duration = Duration::from_secs(1);
/// With more sends than this at once all are asked for again.
const MOST: usize = 1_000;

/// The sends of a slice's latest requests.
#[derive(Default)]
pub(super) struct Sends(HashMap<SendId, Known>);

#[derive(Default)]
struct Known {
    is_cancelled: bool,
    looked: Option<Instant>,
    message: Option<PlannedMessage>,
}

impl Sends {
    /// Those of these sends of which it is not known whether they were cancelled meanwhile.
    pub(super) fn unknown_of(&mut self, asking: BTreeSet<(TenantId, SendId)>) -> Vec<(TenantId, SendId)> {
        if self.0.len() > MOST {
            self.0.clear();
        }
        let is_known = |id: &SendId| {
            let known = self.0.get(id);
            known.is_some_and(|known| {
                known.is_cancelled || known.looked.is_some_and(|at| at.elapsed() < BELIEVED)
            })
        };
        asking.into_iter().filter(|(_, id)| !is_known(id)).collect()
    }

    pub(super) fn looked(&mut self, id: SendId, is_cancelled: bool) {
        let known = self.0.entry(id).or_default();
        (known.is_cancelled, known.looked) = (is_cancelled, Some(Instant::now()));
    }

    pub(super) fn is_cancelled(&self, id: SendId) -> bool {
        self.0.get(&id).is_some_and(|known| known.is_cancelled)
    }

    /// What the send says that asks, if one does; all its requests say the same.
    pub(super) fn message(&mut self, cause: &Cause) -> Option<&PlannedMessage> {
        let (id, sent) = match cause {
            Cause::Request(PushRequest { request: Request::Send { send, sent }, .. }) => (*send, &**sent),
            Cause::Held { held, .. } => (held.origin.source.send()?, held.sent.as_ref()?),
            Cause::Transition(_) | Cause::Request(_) => return None,
        };
        let known = self.0.entry(id).or_default();
        Some(known.message.get_or_insert_with(|| MessageTemplate::parse(&sent.message)))
    }
}

/// Whether a send was cancelled.
pub(super) async fn is_cancelled(store: &Store, tenant: TenantId, id: SendId) -> Result<bool, StoreError> {
    match store.get_all::<SendRow>(&[((tenant.0,), (id.0,))]).await {
        // Its requests say all that plan needs.
        Err(StoreError::Corrupt { .. }) => Ok(false),
        rows => Ok(rows?.into_iter().flatten().any(|row| row.status == "cancelled")),
    }
}
