//! The lease clock and what is held under it, second by second.

use std::sync::Arc;

use super::*;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_heartbeat_counts_from_when_it_was_sent() {
    let lease_clock = LeaseClock::default();
    assert_eq!(lease_clock.number(s(0)), None, "none before the first");
    assert!(!lease_clock.acknowledged(s(10), s(12)));
    assert_eq!(lease_clock.number(s(17)), Some(0));
    assert_eq!(lease_clock.until(s(17)), Some(s(18)));
    assert_eq!(lease_clock.number(s(18)), None, "8 s after it was sent, whenever it was acknowledged");
}

#[test]
fn what_was_held_before_a_lapse_is_not_held_after_it() {
    let lease_clock = Arc::new(LeaseClock::default());
    lease_clock.acknowledged(s(0), s(0));
    let lease = Lease::new(Arc::clone(&lease_clock));
    assert!(!lease.is_live(s(1)) && lease.epoch().is_none());
    lease.grant(7, lease_clock.number(s(1)).unwrap());
    assert!(lease.is_live(s(7)) && !lease.is_live(s(8)));
    assert!(!lease_clock.acknowledged(s(5), s(7)));
    assert!(lease.is_live(s(12)), "renewed in time");
    assert!(lease_clock.acknowledged(s(11), s(13)), "sent in time and acknowledged too late");
    assert!(!lease.is_live(s(13)) && lease_clock.number(s(13)) == Some(1));
    assert_eq!(lease.epoch(), Some(7), "what it was is known");
    lease.grant(8, 1);
    assert!(lease.is_live(s(14)));
    lease.end();
    assert!(!lease.is_live(s(14)));
}

#[test]
fn a_grant_under_an_older_pulse_is_worth_nothing() {
    let lease_clock = Arc::new(LeaseClock::default());
    lease_clock.acknowledged(s(0), s(0));
    let number = lease_clock.number(s(7)).unwrap();
    lease_clock.acknowledged(s(9), s(9));
    let lease = Lease::new(lease_clock);
    lease.grant(1, number);
    assert!(!lease.is_live(s(9)));
}

#[test]
fn a_process_alone_has_no_end() {
    let lease_clock = LeaseClock::endless();
    assert_eq!(lease_clock.number(Duration::from_secs(1 << 40)), Some(0));
}

#[test]
fn what_was_given_up_without_an_answer_is_waited_for_before_anything_is_given_away() {
    let lease_clock = LeaseClock::default();
    let at = Duration::from_secs;
    assert_eq!(lease_clock.unsettled(at(5)), Duration::ZERO);
    lease_clock.gave_up(at(5));
    assert_eq!(lease_clock.unsettled(at(6)), at(1));
    assert_eq!(lease_clock.unsettled(at(7)), Duration::ZERO);
    assert!(FAILURE_TIMEOUT.checked_sub(LEASE_TTL) >= Some(IN_FLIGHT_MAX), "as long as who dies is waited for");
}
