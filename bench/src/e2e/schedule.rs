//! When each request is due, whatever becomes of those before it.

use std::time::Duration;

/// Which requests there are, and when they are due. Request `i` is of phone `i % phones`, and holds its next `batch`
/// fixes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Fixes a second.
    pub rate: f64,
    /// Fixes a request, all of one phone.
    pub batch: usize,
    /// How many phones take turns.
    pub phones: usize,
    /// Requests that are due in this time at the beginning are made and checked, but not measured.
    pub warmup: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// How many requests each phone has made before this load: it goes on from there.
    pub first_round: usize,
}

impl Schedule {
    /// How many requests there are.
    pub fn requests(&self) -> usize {
        ((self.warmup + self.duration).as_secs_f64() * self.rate / self.batch as f64).ceil() as usize
    }

    /// When a request is due, from the beginning.
    pub fn due(&self, request: usize) -> Duration {
        Duration::from_secs_f64(request as f64 * self.batch as f64 / self.rate)
    }

    /// Whether a request is due after the warm-up.
    pub fn is_measured(&self, request: usize) -> bool {
        self.due(request) >= self.warmup
    }

    /// The phone of a request, and the first of its fixes.
    pub fn content(&self, request: usize) -> (usize, u64) {
        (request % self.phones, ((self.first_round + request / self.phones) * self.batch) as u64)
    }

    /// The request that holds this fix of a phone, if there is one.
    pub fn request_of(&self, phone: usize, step: u64) -> Option<usize> {
        let round = (usize::try_from(step).ok()? / self.batch).checked_sub(self.first_round)?;
        let request = round.checked_mul(self.phones)?.checked_add(phone)?;
        (phone < self.phones && request < self.requests()).then_some(request)
    }

    /// The load that follows this one: as much of the same phones, from where they are.
    #[must_use]
    pub fn next(self) -> Self {
        Self { first_round: self.first_round + self.requests().div_ceil(self.phones), ..self }
    }

    /// The requests of one of `connections`, in their order: a phone's all go the same way, so that they arrive in
    /// their order.
    pub fn of_connection(self, connection: usize, connections: usize) -> impl Iterator<Item = usize> {
        let phones = move |round: usize| {
            (connection..self.phones).step_by(connections).map(move |phone| round * self.phones + phone)
        };
        let rounds = self.requests().div_ceil(self.phones);
        (0..rounds).flat_map(phones).filter(move |request| *request < self.requests())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        rate: 100.0,
        batch: 2,
        phones: 7,
        warmup: Duration::from_secs(1),
        duration: Duration::from_secs(2),
        first_round: 0,
    };

    #[test]
    fn requests_are_due_evenly_and_measured_after_the_warmup() {
        assert_eq!(SCHEDULE.requests(), 150);
        assert_eq!(SCHEDULE.due(10), Duration::from_millis(200));
        let measured = (0..150).filter(|request| SCHEDULE.is_measured(*request)).count();
        assert_eq!(measured, 100);
    }

    #[test]
    fn every_request_goes_over_one_connection_and_each_phones_in_order() {
        let mut all = Vec::new();
        for connection in 0..3 {
            let requests: Vec<_> = SCHEDULE.of_connection(connection, 3).collect();
            assert!(requests.is_sorted());
            assert!(requests.iter().all(|request| SCHEDULE.content(*request).0 % 3 == connection));
            all.extend(requests);
        }
        all.sort_unstable();
        assert_eq!(all, (0..150).collect::<Vec<_>>());
    }

    #[test]
    fn a_fix_leads_back_to_its_request() {
        for request in 0..SCHEDULE.requests() {
            let (phone, first) = SCHEDULE.content(request);
            for step in first..first + 2 {
                assert_eq!(SCHEDULE.request_of(phone, step), Some(request));
            }
        }
        assert_eq!(SCHEDULE.request_of(7, 0), None);
        assert_eq!(SCHEDULE.request_of(0, 1_000), None);
    }

    #[test]
    fn a_second_load_goes_on_where_the_first_one_ended() {
        let second = SCHEDULE.next();
        for request in 0..second.requests() {
            let (phone, first) = second.content(request);
            assert_eq!(second.request_of(phone, first), Some(request));
            assert_eq!(SCHEDULE.request_of(phone, first), None, "no fix is sent twice");
        }
    }
}
