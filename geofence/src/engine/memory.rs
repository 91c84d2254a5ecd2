//! Asking the memory for what is read soon.

use prefetch_index::prefetch_index;

/// Asks the memory for the cache line in which something begins, and does not wait for the answer. A load would: nothing
/// that comes after it is done with before it is.
#[inline(always)]
pub(super) fn ask<T>(what: &T) {
    prefetch_index(std::slice::from_ref(what), 0);
}
