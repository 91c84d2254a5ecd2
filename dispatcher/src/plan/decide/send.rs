//! What is decided for a send: it chose its devices, so that neither trigger, audience, cooldown nor caps matter.

use std::cell::OnceCell;

use geopush_campaign::MessageTemplate;
use geopush_model::{Origin, PlanState, Reason, SendId, SentMessage, Source};
use geopush_registry::Device;

use super::campaign::{Happening, Refused};
use super::case::{Address, Case, address};
use super::quiet::{self, Quiet};
use super::{Decision, Facts};

pub(super) fn decide<V>(
    state: &mut PlanState,
    send: SendId,
    sent: &SentMessage,
    happening: &Happening<'_>,
    facts: &Facts<'_, V>,
) -> Decision {
    decide_for(state, send, sent, happening, facts.device, facts)
}

pub(super) fn decide_for<V>(
    state: &mut PlanState,
    send: SendId,
    sent: &SentMessage,
    happening: &Happening<'_>,
    device: Option<&Device>,
    facts: &Facts<'_, V>,
) -> Decision {
    let origin = Origin { source: Source::Send(send), cause: happening.cause };
    let case = Case {
        tenant: happening.tenant,
        device: happening.device,
        origin,
        app: &sent.app,
        variant: None,
        received_at: happening.received_at,
    };
    let (device, address) = match way(state, sent, happening, device, facts) {
        Ok(found) => found,
        Err(Refused::Until(until)) => return quiet::hold(state, origin, happening, until, facts, Some(sent)),
        Err(Refused::Because(reason)) => return case.suppressed(reason, facts.now),
    };
    match facts.sent {
        Some(message) => case.pushed(address, message, device, &happening.context, facts),
        None => {
            let message = MessageTemplate::parse(&sent.message);
            case.pushed(address, &message, device, &happening.context, facts)
        }
    }
}

fn way<'d, V>(
    state: &PlanState,
    sent: &SentMessage,
    happening: &Happening<'_>,
    device: Option<&'d Device>,
    facts: &Facts<'_, V>,
) -> Result<(&'d Device, Address), Refused> {
    if facts.is_cancelled {
        return Err(Reason::Cancelled.into());
    }
    let device = device.ok_or(Reason::NoDevice)?;
    let address = address(device, &sent.app, facts)?;
    let clock = OnceCell::new();
    let clock = || clock.get_or_init(|| quiet::clock_of(Some(device), facts.settings));
    match quiet::is_quiet(state, happening.held_at, facts, clock) {
        Quiet::No => Ok((device, address)),
        Quiet::Drop => Err(Reason::QuietHours.into()),
        Quiet::Until(until) => Err(Refused::Until(until)),
    }
}
