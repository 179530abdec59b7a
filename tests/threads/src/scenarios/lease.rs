//! Whether a mirror is held, asked while a heartbeat is acknowledged that came too late: a lease ends with the pulse that
//! it was taken under.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread;

use crate::engine::lease::{Lease, Pulse};

pub(crate) fn of_one_pulse() {
    let s = Duration::from_secs;
    let pulse = Arc::new(Pulse::default());
    pulse.acknowledged(s(0), s(0));
    let lease = Arc::new(Lease::new(Arc::clone(&pulse)));
    let keeper = {
        let (pulse, lease) = (Arc::clone(&pulse), Arc::clone(&lease));
        thread::spawn(move || {
            // Taken under the pulse of before, or under the one that begins with the next heartbeat.
            let number = pulse.number(s(7)).unwrap();
            lease.grant(1, number);
            number
        })
    };
    let heart = thread::spawn(move || assert!(pulse.acknowledged(s(9), s(10)), "it had lapsed"));
    let caller = {
        let lease = Arc::clone(&lease);
        thread::spawn(move || lease.until(s(7)))
    };
    heart.join().unwrap();
    let (seen, late) = (caller.join().unwrap(), keeper.join().unwrap() == 1);
    let end = if late { s(17) } else { s(8) };
    assert!(seen.is_none_or(|until| until == end), "held until {seen:?} under a pulse that ended at {end:?}");
    assert_eq!(lease.until(s(11)), late.then_some(end), "held under a pulse that is over");
}
