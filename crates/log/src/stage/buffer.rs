//! The batches between the runner and a slice's task, bounded by pausing the input.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Batch, Given, Offset, Received};

/// An input with more than this buffered is paused,
const PAUSE_RECORDS: usize = 4_000;
const PAUSE_BYTES: usize = 1 << 20;
/// and resumed when both are down to this part.
const RESUME_PART: usize = 4;

/// An input of a slice, under a lease, that may have to be paused or resumed: [`Progress::is_paused`] says which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    pub(super) slice: u32,
    pub(super) lease: u64,
    pub(super) input: usize,
}

/// A batch in the buffer, and the bytes of its keys and values: many records are looked through once.
pub(super) struct Buffered {
    pub(super) batch: Batch,
    bytes: usize,
}

impl From<Batch> for Buffered {
    fn from(batch: Batch) -> Self {
        let size = |record: &Received| record.key.len() + record.value.as_ref().map_or(0, Bytes::len);
        let bytes = batch.records.iter().map(size).sum();
        Self { batch, bytes }
    }
}

/// How far one lease of a slice has come; shared by its task, the runner and the lag's report.
pub(super) struct Progress {
    slice: u32,
    lease: u64,
    inputs: Vec<Input>,
    committed: AtomicBool,
    flows: mpsc::UnboundedSender<Flow>,
}

struct Input {
    records: AtomicUsize,
    bytes: AtomicUsize,
    /// As there is too much in the buffer.
    paused: AtomicBool,
    /// As the task wants it.
    held_back: AtomicBool,
    /// As last committed.
    position: AtomicU64,
    /// Everything before this has come in, or is a hole;
    come: AtomicU64,
    /// and the last record that came in lies right before this.
    records_end: AtomicU64,
    /// When the last record that was handed out had arrived.
    handed_out_ms: AtomicI64,
}

impl Progress {
    pub(super) fn new(given: &Given, flows: mpsc::UnboundedSender<Flow>) -> Self {
        let input = |position: &Offset| Input {
            records: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            held_back: AtomicBool::new(false),
            position: AtomicU64::new(*position),
            come: AtomicU64::new(*position),
            records_end: AtomicU64::new(*position),
            handed_out_ms: AtomicI64::new(0),
        };
        let inputs = given.positions.iter().map(input).collect();
        Self { slice: given.slice, lease: given.lease, inputs, committed: AtomicBool::new(false), flows }
    }

    /// A batch comes in; says whether its input must be paused.
    pub(super) fn put(&self, Buffered { batch, bytes }: &Buffered) -> bool {
        let input = &self.inputs[batch.input];
        // The records first: whoever sees the buffer empty and this offset come knows that they were handed out.
        let records = input.records.fetch_add(batch.records.len(), Ordering::SeqCst) + batch.records.len();
        input.records_end.store(batch.next, Ordering::SeqCst);
        input.come.store(batch.next, Ordering::SeqCst);
        let bytes = input.bytes.fetch_add(*bytes, Ordering::SeqCst) + bytes;
        let over = records > PAUSE_RECORDS || bytes > PAUSE_BYTES;
        over && !input.paused.swap(true, Ordering::SeqCst)
    }

    /// After a pause: whether the task has emptied the buffer meanwhile, without seeing that it was paused.
    pub(super) fn resumes_at_once(&self, input: usize) -> bool {
        self.inputs[input].resumes()
    }

    /// A batch goes out to the task.
    pub(super) fn take(&self, Buffered { batch, bytes }: &Buffered) {
        let input = &self.inputs[batch.input];
        input.records.fetch_sub(batch.records.len(), Ordering::SeqCst);
        input.bytes.fetch_sub(*bytes, Ordering::SeqCst);
        if let Some(last) = batch.records.last() {
            input.handed_out_ms.store(last.appended_at_ms, Ordering::Relaxed);
        }
        if input.resumes() {
            self.tell(batch.input);
        }
    }

    /// The task wants an input held back, or to go on.
    pub(super) fn hold_back(&self, input: usize, held_back: bool) {
        if self.inputs[input].held_back.swap(held_back, Ordering::SeqCst) != held_back {
            self.tell(input);
        }
    }

    /// Whether an input is to be paused, for either reason.
    pub(super) fn is_paused(&self, input: usize) -> bool {
        let input = &self.inputs[input];
        input.paused.load(Ordering::SeqCst) || input.held_back.load(Ordering::SeqCst)
    }

    fn tell(&self, input: usize) {
        // Without a runner nobody needs to know.
        let _ = self.flows.send(Flow { slice: self.slice, lease: self.lease, input });
    }

    /// Everything before this offset is a hole, or has come in.
    pub(super) fn reach(&self, input: usize, next: Offset) {
        self.inputs[input].come.store(next, Ordering::SeqCst);
    }

    /// Everything before this offset is a hole, or has been handed out; `None` while records are buffered.
    pub(super) fn handed_out(&self, input: usize) -> Option<Offset> {
        let input = &self.inputs[input];
        let come = input.come.load(Ordering::SeqCst);
        (input.records.load(Ordering::SeqCst) == 0).then_some(come)
    }

    pub(super) fn commit(&self, positions: &[Offset]) {
        self.committed.store(true, Ordering::Relaxed);
        for (input, position) in self.inputs.iter().zip(positions) {
            input.position.store(*position, Ordering::Relaxed);
        }
    }

    /// Whether anything was committed under this lease.
    pub(super) fn has_committed(&self) -> bool {
        self.committed.load(Ordering::Relaxed)
    }

    /// The committed position of an input, over holes that follow it, and when the last record that was handed out
    /// of it had arrived.
    pub(super) fn committed(&self, input: usize) -> (Offset, i64) {
        let input = &self.inputs[input];
        let position = input.position.load(Ordering::SeqCst);
        let come = input.come.load(Ordering::SeqCst);
        let all = position >= input.records_end.load(Ordering::SeqCst);
        let position = if all { position.max(come) } else { position };
        (position, input.handed_out_ms.load(Ordering::Relaxed))
    }
}

impl Input {
    fn resumes(&self) -> bool {
        self.records.load(Ordering::SeqCst) <= PAUSE_RECORDS / RESUME_PART
            && self.bytes.load(Ordering::SeqCst) <= PAUSE_BYTES / RESUME_PART
            && self.paused.swap(false, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: usize) -> Buffered {
        let record = Received { offset: 0, appended_at_ms: 7, key: Bytes::new(), value: None, trace: None };
        Batch { input: 0, records: vec![record; records], next: 0 }.into()
    }

    #[test]
    fn an_input_is_paused_once_and_resumed_once() {
        let (sender, mut flows) = mpsc::unbounded_channel();
        let given = Given { slice: 3, positions: vec![0], note: String::new(), lease: 1 };
        let progress = Progress::new(&given, sender);
        assert!(!progress.put(&batch(PAUSE_RECORDS)));
        assert!(progress.put(&batch(1)));
        assert!(!progress.put(&batch(100)), "it is paused already");
        progress.take(&batch(1));
        progress.take(&batch(100));
        assert!(flows.try_recv().is_err());
        progress.take(&batch(PAUSE_RECORDS));
        assert_eq!(flows.try_recv().unwrap().slice, 3);
        assert!(progress.handed_out(0).is_some() && !progress.resumes_at_once(0));
    }

    #[test]
    fn an_input_goes_on_when_neither_the_task_nor_the_buffer_holds_it_back() {
        let (sender, mut flows) = mpsc::unbounded_channel();
        let given = Given { slice: 0, positions: vec![0, 0], note: String::new(), lease: 1 };
        let progress = Progress::new(&given, sender);
        progress.hold_back(0, true);
        progress.hold_back(0, true);
        assert!(flows.try_recv().is_ok() && flows.try_recv().is_err(), "it is told once");
        assert!(progress.is_paused(0) && !progress.is_paused(1));
        assert!(progress.put(&batch(PAUSE_RECORDS + 1)));
        progress.hold_back(0, false);
        assert!(progress.is_paused(0), "the buffer is full");
        progress.take(&batch(PAUSE_RECORDS + 1));
        assert!(!progress.is_paused(0));
    }

    #[test]
    fn a_task_that_was_faster_than_the_pause_is_resumed_by_the_runner() {
        let (sender, mut flows) = mpsc::unbounded_channel();
        let given = Given { slice: 0, positions: vec![0], note: String::new(), lease: 1 };
        let progress = Progress::new(&given, sender);
        assert!(progress.put(&batch(PAUSE_RECORDS + 1)));
        progress.take(&batch(PAUSE_RECORDS + 1));
        assert!(flows.try_recv().is_ok() != progress.resumes_at_once(0), "one of both resumes it");
    }
}
