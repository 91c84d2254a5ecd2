//! Whose turn it is: how what may be under way of all sends is shared between tenants, by their weights. Nothing here
//! does I/O.
//!
//! What passes through the stages in the order in which it comes passes in proportion to how much of it is under way,
//! whatever it is that is short (Little's law). So windows in the proportion of their tenants' weights are shares of all
//! that goes out in that proportion. Those who contend share one window: what others wait behind does not grow with
//! their number, nor with their weights.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use geopush_model::{TenantId, Weight};
use uuid::Uuid;

use super::pace::{IN_LINE, LEAST, Pace};

/// Who was refused within this time has more to send than it may; who has just come may have.
const CONTENDS: Duration = Duration::from_secs(1);
/// Whose pushes take so many times as long as the quickest's waits for its own provider, not for others: it takes
/// nothing from them, and they need leave it nothing.
const SLOWER: u32 = 3;
/// Who contends is looked at again after this.
const FRESH: Duration = Duration::from_millis(50);
/// However little a tenant weighs, its pages have so many devices: each costs a commit.
const LEAST_PAGE: usize = 20;
/// A tenant that asks for nothing is forgotten after this.
const KNOWN_FOR: Duration = Duration::from_mins(1);

/// The paces of the tenants whose sends are under way.
#[derive(Debug, Default)]
pub(super) struct Turns {
    tenants: HashMap<TenantId, Tenant>,
    contest: Option<(Instant, Contest)>,
}

#[derive(Debug)]
struct Tenant {
    weight: Weight,
    pace: Pace,
    seen: Instant,
    refused: Option<Instant>,
    /// Whether the contest counts it.
    contends: bool,
}

/// Those who contend, together.
#[derive(Clone, Copy, Debug, Default)]
struct Contest {
    weights: u64,
    /// How many of theirs end in the time that a window is to hold.
    in_line: u64,
}

impl Turns {
    /// A tenant's pace, as it weighs now.
    pub(super) fn of(&mut self, tenant: TenantId, weight: Weight, now: Instant) -> &mut Pace {
        let known = self.tenants.entry(tenant).or_insert_with(|| {
            self.contest = None;
            Tenant { weight, pace: Pace::default(), seen: now, refused: None, contends: false }
        });
        (known.weight, known.seen) = (weight, now);
        &mut known.pace
    }

    /// How much of a page of a send may go out now; it counts then. `window`: the most that may be under way of all who
    /// contend.
    pub(super) fn grant(
        &mut self,
        tenant: TenantId,
        source: Uuid,
        page: usize,
        window: u64,
        now: Instant,
    ) -> Option<usize> {
        let mut all = self.contest(now);
        let own = self.tenants.get_mut(&tenant)?;
        if !own.contends {
            all.add(own);
        }
        let part = |whole: u64| whole * u64::from(own.weight.get()) / all.weights;
        let window = part(window.min(all.in_line.max(LEAST))).max(1);
        let least = LEAST_PAGE.min(page);
        let page = usize::try_from(part(page as u64)).map_or(page, |part| part.clamp(least, page));
        let is_granted = own.pace.grant(source, page as u64, window, now);
        if !is_granted {
            own.refused = Some(now);
        }
        is_granted.then_some(page)
    }

    fn contest(&mut self, now: Instant) -> Contest {
        let since = |at: Instant| now.saturating_duration_since(at);
        if let Some((_, contest)) = self.contest.filter(|(at, _)| since(*at) < FRESH) {
            return contest;
        }
        self.tenants.retain(|_, tenant| since(tenant.seen) < KNOWN_FOR);
        let has_more = |tenant: &Tenant| {
            let asked = if tenant.pace.drains_in().is_none() { Some(tenant.seen) } else { tenant.refused };
            asked.is_some_and(|at| since(at) < CONTENDS)
        };
        let delays = self.tenants.values().filter(|tenant| has_more(tenant));
        let quickest = delays.filter_map(|tenant| tenant.pace.drains_in()).min();
        let slow = quickest.map_or(Duration::MAX, |quickest| quickest.saturating_mul(SLOWER).max(IN_LINE));
        let mut contest = Contest::default();
        for tenant in self.tenants.values_mut() {
            tenant.contends =
                has_more(tenant) && tenant.pace.drains_in().is_none_or(|drains_in| drains_in <= slow);
            if tenant.contends {
                contest.add(tenant);
            }
        }
        self.contest = Some((now, contest));
        contest
    }
}

impl Contest {
    fn add(&mut self, tenant: &Tenant) {
        self.weights += u64::from(tenant.weight.get());
        self.in_line += tenant.pace.in_line();
    }
}

#[cfg(test)]
mod tests;
