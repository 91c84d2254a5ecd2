//! What the plan stage keeps of a device.

use std::collections::BTreeMap;

use crate::wire::{self, v1, wire};
use crate::{CampaignId, CauseId, Message, Origin, UnixMillis, WireError};

/// What was decided about a device so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanState {
    /// The run of `seq` that the next member counts in.
    pub incarnation: UnixMillis,
    /// The last transition that was decided on.
    pub seq: u64,
    /// When each campaign with a cooldown last pushed, in fix time.
    pub cooldowns: BTreeMap<CampaignId, UnixMillis>,
    /// The causes of the latest requests that were decided on, oldest first: a send, a campaign's run, an event.
    pub requests: Vec<CauseId>,
    /// When it was decided to push lately, oldest first: as far back and as many as caps look at.
    pub pushed_at: Vec<UnixMillis>,
    /// Decisions that wait for the end of quiet hours.
    pub held: Vec<Held>,
    /// Of each campaign on absence: the visit after which it has pushed.
    pub absences: BTreeMap<CampaignId, UnixMillis>,
}

/// A decision that waits for the end of quiet hours, to be made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Why it would be pushed.
    pub origin: Origin,
    /// When it is looked at again.
    pub until: UnixMillis,
    /// When what caused it happened.
    pub at: UnixMillis,
    /// When the ping that caused it was accepted, if one did.
    pub received_at: Option<UnixMillis>,
    /// When it was decided to hold it.
    pub held_at: UnixMillis,
    /// What its templates are told of the cause.
    pub context: serde_json::Value,
    /// What a send says; a campaign is asked for again.
    pub sent: Option<SentMessage>,
}

/// What a send says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// The app to send by.
    pub app: String,
    /// What.
    pub message: Message,
}

wire!(PlanState => v1::PlanState);

impl From<&PlanState> for v1::PlanState {
    fn from(state: &PlanState) -> Self {
        let cooldown = |(id, at): (&CampaignId, &UnixMillis)| v1::Cooldown {
            campaign: wire::bytes_of(id.0),
            at_ms: at.0,
        };
        let absent = |(id, since): (&CampaignId, &UnixMillis)| v1::Absent {
            campaign: wire::bytes_of(id.0),
            since_ms: since.0,
        };
        Self {
            incarnation: state.incarnation.0,
            seq: state.seq,
            cooldowns: state.cooldowns.iter().map(cooldown).collect(),
            requests: state.requests.iter().map(|id| wire::bytes_of(id.0)).collect(),
            pushed_at_ms: state.pushed_at.iter().map(|at| at.0).collect(),
            held: state.held.iter().map(Into::into).collect(),
            absences: state.absences.iter().map(absent).collect(),
        }
    }
}

impl TryFrom<v1::PlanState> for PlanState {
    type Error = WireError;

    fn try_from(state: v1::PlanState) -> Result<Self, WireError> {
        let times = |member, pairs: Vec<(bytes::Bytes, i64)>| {
            let time =
                |(id, ms): (bytes::Bytes, i64)| Ok((CampaignId(wire::uuid(&id, member)?), UnixMillis(ms)));
            pairs.into_iter().map(time).collect::<Result<BTreeMap<_, _>, WireError>>()
        };
        let cooldowns = state.cooldowns.into_iter().map(|c| (c.campaign, c.at_ms)).collect();
        let absences = state.absences.into_iter().map(|a| (a.campaign, a.since_ms)).collect();
        let request = |id: &bytes::Bytes| wire::uuid(id, "requests").map(CauseId);
        Ok(Self {
            incarnation: UnixMillis(state.incarnation),
            seq: state.seq,
            cooldowns: times("cooldowns.campaign", cooldowns)?,
            requests: state.requests.iter().map(request).collect::<Result<_, _>>()?,
            pushed_at: state.pushed_at_ms.into_iter().map(UnixMillis).collect(),
            held: state.held.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            absences: times("absences.campaign", absences)?,
        })
    }
}

impl From<&Held> for v1::Held {
    fn from(held: &Held) -> Self {
        Self {
            origin: Some(held.origin.into()),
            until_ms: held.until.0,
            at_ms: held.at.0,
            received_at_ms: held.received_at.unwrap_or_default().0,
            held_at_ms: held.held_at.0,
            context_json: held.context.to_string(),
            app: held.sent.as_ref().map(|sent| sent.app.clone()).unwrap_or_default(),
            message: held.sent.as_ref().map(|sent| (&sent.message).into()),
        }
    }
}

impl TryFrom<v1::Held> for Held {
    type Error = WireError;

    fn try_from(held: v1::Held) -> Result<Self, WireError> {
        let app = held.app;
        Ok(Self {
            origin: wire::present(held.origin, "held.origin")?.try_into()?,
            until: UnixMillis(held.until_ms),
            at: UnixMillis(held.at_ms),
            received_at: wire::time_or_none(held.received_at_ms),
            held_at: UnixMillis(held.held_at_ms),
            context: serde_json::from_str(&held.context_json)
                .map_err(|_| WireError::Member("held.context_json"))?,
            sent: held.message.map(|message| SentMessage { app, message: message.into() }),
        })
    }
}
