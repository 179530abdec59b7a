//! Whether a mirror is held, queried while a late heartbeat is acknowledged: a lease ends with the lease clock under
//! which it was acquired.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use crate::engine::lease::{Lease, LeaseClock};

pub(crate) fn of_one_pulse() {
    let s = Duration::from_secs;
    let lease_clock = Arc::new(LeaseClock::default());
    lease_clock.acknowledged(s(0), s(0));
    let lease = Arc::new(Lease::new(Arc::clone(&lease_clock)));
    let keeper = {
        let (lease_clock, lease) = (Arc::clone(&lease_clock), Arc::clone(&lease));
        thread::spawn(move || {
            // Acquired under the previous lease clock, or under the one that begins with the next heartbeat.
            let number = lease_clock.number(s(7)).unwrap();
            lease.grant(1, number);
            number
        })
    };
    let heart = thread::spawn(move || assert!(lease_clock.acknowledged(s(9), s(10)), "it had expired_lease"));
    let caller = {
        let lease = Arc::clone(&lease);
        thread::spawn(move || lease.until(s(7)))
    };
    heart.join().unwrap();
    let (seen, late) = (caller.join().unwrap(), keeper.join().unwrap() == 1);
    let end = if late { s(17) } else { s(8) };
    assert!(seen.is_none_or(|until| until == end), "held until {seen:?} under a lease_clock that ended at {end:?}");
    assert_eq!(lease.until(s(11)), late.then_some(end), "held under a lease_clock that is over");
}
