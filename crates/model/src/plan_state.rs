//! What the plan stage keeps of a device.

use std::collections::BTreeMap;

use crate::wire::{self, v1, wire};
use crate::{CampaignId, SendId, UnixMillis, WireError};

/// What was decided about a device so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanState {
    /// The run of `seq` that the next member counts in.
    pub incarnation: UnixMillis,
    /// The last transition that was decided on.
    pub seq: u64,
    /// When each campaign with a cooldown last pushed, in fix time.
    pub cooldowns: BTreeMap<CampaignId, UnixMillis>,
    /// The latest sends that were decided on, oldest first.
    pub sends: Vec<SendId>,
}

wire!(PlanState => v1::PlanState);

impl From<&PlanState> for v1::PlanState {
    fn from(state: &PlanState) -> Self {
        Self {
            incarnation: state.incarnation.0,
            seq: state.seq,
            cooldowns: state
                .cooldowns
                .iter()
                .map(|(campaign, at)| v1::Cooldown { campaign: wire::bytes_of(campaign.0), at_ms: at.0 })
                .collect(),
            sends: state.sends.iter().map(|id| wire::bytes_of(id.0)).collect(),
        }
    }
}

impl TryFrom<v1::PlanState> for PlanState {
    type Error = WireError;

    fn try_from(state: v1::PlanState) -> Result<Self, WireError> {
        let cooldown = |c: &v1::Cooldown| {
            Ok((CampaignId(wire::uuid(&c.campaign, "cooldowns.campaign")?), UnixMillis(c.at_ms)))
        };
        Ok(Self {
            incarnation: UnixMillis(state.incarnation),
            seq: state.seq,
            cooldowns: state.cooldowns.iter().map(cooldown).collect::<Result<_, WireError>>()?,
            sends: state
                .sends
                .iter()
                .map(|id| wire::uuid(id, "sends").map(SendId))
                .collect::<Result<_, _>>()?,
        })
    }
}
