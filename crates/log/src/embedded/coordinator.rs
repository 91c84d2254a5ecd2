//! Who owns which slice, within this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::{LogError, Topic};

/// How long an owner may take to give a slice back.
const CLOSING: Duration = Duration::from_secs(10);

/// What a member is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Each slice with its lease, still to be granted by the writer.
    Give(Vec<(u32, u64)>),
    Closing(Vec<u32>),
    Taken(Vec<u32>),
}

/// The newest lease of a slice. Its number only grows, so that whatever comes late changes nothing.
#[derive(Debug, Default)]
pub(super) struct Lease(AtomicU64);

impl Lease {
    /// From now on this number is the one, unless a newer one is already.
    pub(super) fn advance(&self, number: u64) {
        self.0.fetch_max(number, Ordering::SeqCst);
    }

    pub(super) fn is(&self, number: u64) -> bool {
        self.0.load(Ordering::SeqCst) == number
    }
}

/// A member's place in a group.
pub(super) struct Joined {
    pub(super) member: u64,
    pub(super) messages: mpsc::UnboundedReceiver<Message>,
    /// By slice.
    pub(super) leases: Vec<Arc<Lease>>,
}

/// The groups of this process.
pub(super) struct Coordinator {
    groups: Mutex<HashMap<String, State>>,
    /// Numbers for members and leases.
    last: AtomicU64,
    closing: Duration,
}

struct State {
    inputs: Vec<Topic>,
    /// In the order in which they joined. Unbounded, but a slice has at most a few messages under way.
    members: BTreeMap<u64, mpsc::UnboundedSender<Message>>,
    slices: Vec<SliceState>,
}

#[derive(Default)]
struct SliceState {
    newest: Arc<Lease>,
    owner: Option<Owner>,
}

#[derive(Clone, Copy)]
struct Owner {
    member: u64,
    lease: u64,
    closing: bool,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Self { groups: Mutex::default(), last: AtomicU64::new(0), closing: CLOSING }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number greater than all before.
    pub(super) fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Adds a member and shares the slices anew.
    pub(super) fn join(
        self: &Arc<Self>,
        group: &str,
        inputs: &[Topic],
        slices: u32,
    ) -> Result<Joined, LogError> {
        let mut groups = self.lock();
        let state = groups.entry(group.to_owned()).or_insert_with(|| State {
            inputs: inputs.to_vec(),
            members: BTreeMap::new(),
            slices: (0..slices).map(|_| SliceState::default()).collect(),
        });
        if state.inputs != inputs {
            return Err(LogError::Backend(format!(
                "the group {group} already has other inputs; this is a mistake in geopush"
            )));
        }
        let member = self.number();
        let (sender, messages) = mpsc::unbounded_channel();
        state.members.insert(member, sender);
        self.share(group, state);
        let leases = state.slices.iter().map(|slice| Arc::clone(&slice.newest)).collect();
        Ok(Joined { member, messages, leases })
    }

    /// Takes a member out; its slices go to the others.
    pub(super) fn leave(self: &Arc<Self>, group: &str, member: u64) {
        let mut groups = self.lock();
        let Some(state) = groups.get_mut(group) else { return };
        state.members.remove(&member);
        for slice in &mut state.slices {
            if slice.owner.is_some_and(|owner| owner.member == member) {
                slice.newest.advance(self.number());
                slice.owner = None;
            }
        }
        self.share(group, state);
    }

    /// A slice that was asked for is given back.
    pub(super) fn closed(self: &Arc<Self>, group: &str, member: u64, slice: u32) {
        self.release(group, slice, |owner| owner.member == member && owner.closing);
    }

    /// The owner wants to start the slice again.
    pub(super) fn reset(self: &Arc<Self>, group: &str, member: u64, slice: u32) {
        self.release(group, slice, |owner| owner.member == member);
    }

    /// A commit under this lease failed.
    pub(super) fn lost(self: &Arc<Self>, group: &str, slice: u32, lease: u64) {
        self.release(group, slice, |owner| owner.lease == lease);
    }

    /// Ends all memberships and takes no more.
    pub(super) fn close(&self) {
        for state in self.lock().values_mut() {
            state.members.clear();
            for slice in &mut state.slices {
                slice.newest.advance(self.number());
                slice.owner = None;
            }
        }
    }

    /// Takes a slice from its owner, if it is the one meant, and gives it to whoever shall have it.
    fn release(self: &Arc<Self>, group: &str, slice: u32, meant: impl Fn(Owner) -> bool) {
        let mut groups = self.lock();
        let Some(state) = groups.get_mut(group) else { return };
        let Some(held) = state.slices.get_mut(slice as usize) else { return };
        let Some(owner) = held.owner.filter(|owner| meant(*owner)) else { return };
        held.newest.advance(self.number());
        held.owner = None;
        state.tell(owner.member, Message::Taken(vec![slice]));
        self.share(group, state);
    }

    /// Gives the free slices and asks for those that others shall have.
    fn share(self: &Arc<Self>, group: &str, state: &mut State) {
        let members: Vec<u64> = state.members.keys().copied().collect();
        let mut given = BTreeMap::<u64, Vec<(u32, u64)>>::new();
        let mut asked = BTreeMap::<u64, Vec<(u32, u64)>>::new();
        let count = state.slices.len();
        for (number, slice) in (0_u32..).zip(&mut state.slices) {
            let Some(index) = range_assignment(number as usize, count, members.len()) else { continue };
            let target = members[index];
            match &mut slice.owner {
                None => {
                    let lease = self.number();
                    slice.owner = Some(Owner { member: target, lease, closing: false });
                    given.entry(target).or_default().push((number, lease));
                }
                Some(owner) if owner.member != target && !owner.closing => {
                    owner.closing = true;
                    asked.entry(owner.member).or_default().push((number, owner.lease));
                }
                Some(_) => {}
            }
        }
        for (member, slices) in asked {
            state.tell(member, Message::Closing(slices.iter().map(|(slice, _)| *slice).collect()));
            self.insist(group.to_owned(), slices);
        }
        for (member, slices) in given {
            state.tell(member, Message::Give(slices));
        }
    }

    /// Takes slices that are not given back in time.
    fn insist(self: &Arc<Self>, group: String, slices: Vec<(u32, u64)>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let this = Arc::downgrade(self);
        let closing = self.closing;
        runtime.spawn(async move {
            tokio::time::sleep(closing).await;
            let Some(this) = this.upgrade() else { return };
            for (slice, lease) in slices {
                this.release(&group, slice, |owner| owner.lease == lease && owner.closing);
            }
        });
    }
}

impl State {
    fn tell(&self, member: u64, message: Message) {
        if let Some(messages) = self.members.get(&member) {
            // A member that is going hears nothing more; its slices are shared when it has left.
            let _ = messages.send(message);
        }
    }
}

/// The member that a slice belongs to: neighbours together, the first ones with one more where it doesn't divide, as
/// Kafka's range assignor has it.
fn range_assignment(slice: usize, slices: usize, members: usize) -> Option<usize> {
    let each = slices.checked_div(members)?;
    let with_one_more = slices % members;
    let boundary = with_one_more * (each + 1);
    Some(if slice < boundary { slice / (each + 1) } else { with_one_more + (slice - boundary) / each })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &[Topic] = &[Topic::Pings];

    fn drain(joined: &mut Joined) -> Vec<Message> {
        std::iter::from_fn(|| joined.messages.try_recv().ok()).collect()
    }

    fn given(messages: &[Message]) -> Vec<u32> {
        let gives = messages.iter().filter_map(|message| match message {
            Message::Give(slices) => Some(slices.iter().map(|(slice, _)| *slice)),
            _ => None,
        });
        gives.flatten().collect()
    }

    #[test]
    fn ranges_are_even_and_in_order() {
        let spread = |slices, members| -> Vec<usize> {
            (0..slices).map(|slice| range_assignment(slice, slices, members).unwrap()).collect()
        };
        assert_eq!(spread(8, 1), [0; 8]);
        assert_eq!(spread(8, 3), [0, 0, 0, 1, 1, 1, 2, 2]);
        assert_eq!(spread(2, 3), [0, 1]);
        assert_eq!(range_assignment(0, 8, 0), None);
    }

    #[tokio::test]
    async fn a_second_member_gets_its_half_only_when_the_first_has_closed_it() {
        let coordinator = Arc::new(Coordinator::new());
        let mut first = coordinator.join("g", INPUTS, 4).unwrap();
        assert_eq!(given(&drain(&mut first)), [0, 1, 2, 3]);
        let mut second = coordinator.join("g", INPUTS, 4).unwrap();
        assert_eq!(drain(&mut first), [Message::Closing(vec![2, 3])]);
        assert!(drain(&mut second).is_empty());
        coordinator.closed("g", first.member, 0);
        assert!(drain(&mut first).is_empty(), "a slice that was not asked for stays");
        coordinator.closed("g", first.member, 3);
        assert_eq!(drain(&mut first), [Message::Taken(vec![3])]);
        assert_eq!(given(&drain(&mut second)), [3]);
        coordinator.leave("g", first.member);
        assert_eq!(given(&drain(&mut second)), [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slice_that_is_not_given_back_is_taken() {
        let coordinator = Arc::new(Coordinator::new());
        let mut first = coordinator.join("g", INPUTS, 2).unwrap();
        let mut second = coordinator.join("g", INPUTS, 2).unwrap();
        drain(&mut first);
        assert!(drain(&mut second).is_empty());
        tokio::time::sleep(CLOSING + Duration::from_millis(1)).await;
        assert_eq!(drain(&mut first), [Message::Taken(vec![1])]);
        assert_eq!(given(&drain(&mut second)), [1]);
    }

    #[tokio::test]
    async fn a_lost_commit_of_an_old_lease_resets_nothing() {
        let coordinator = Arc::new(Coordinator::new());
        let mut member = coordinator.join("g", INPUTS, 1).unwrap();
        let Some(Message::Give(slices)) = drain(&mut member).pop() else { panic!("nothing given") };
        let lease = slices[0].1;
        coordinator.lost("g", 0, lease - 1);
        assert!(drain(&mut member).is_empty());
        coordinator.lost("g", 0, lease);
        coordinator.lost("g", 0, lease);
        let messages = drain(&mut member);
        assert_eq!(messages[0], Message::Taken(vec![0]));
        assert_eq!((messages.len(), given(&messages)), (2, vec![0]));
    }
}
