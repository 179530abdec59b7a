//! One status each, and what it says when it is read.

use super::*;

fn status(state: MirrorState) -> Status {
    Status { state, ..Status::creating() }
}

#[test]
fn what_a_driver_confirms_is_said_as_it_is() {
    let heard = Heard { age: Some(Duration::from_secs(4)), their_now_ms: Some(9_000), silence: None };
    let present = published(status(MirrorState::Synced), &heard, None, "west", 1);
    let expected = Present { status: status(MirrorState::Synced), lag_seconds: 0, age_seconds: Some(4) };
    assert_eq!(present, expected);
}

#[test]
fn what_an_earlier_version_published_keeps_its_lag() {
    let before = Status { lag_seconds: 30, ..status(MirrorState::Syncing) };
    let heard = Heard { their_now_ms: Some(9_000), ..Heard::default() };
    assert_eq!(published(before, &heard, None, "west", 1).lag_seconds, 30);
}

#[test]
fn ones_own_status_is_stuck_while_the_database_is_away() {
    let outage = Outage { text: "connection refused".to_owned(), lasting: Duration::from_secs(61) };
    let present = own(status(MirrorState::Synced), Some(&outage), 100_000);
    assert_eq!(present.status.state, MirrorState::Stuck);
    let problem = &present.status.problems[0];
    assert!(problem.contains("connection refused (since 1970-01-01T00:00:39.000Z)"), "{problem}");
    assert_eq!(own(status(MirrorState::Failed), Some(&outage), 1).status.state, MirrorState::Failed);
}

#[test]
fn what_was_known_before_an_outage_is_not_the_present_even_where_no_driver_was_heard() {
    let outage = |seconds| Outage { text: "refused".to_owned(), lasting: Duration::from_secs(seconds) };
    let of = |seconds| published(status(MirrorState::Synced), &Heard::default(), Some(&outage(seconds)), "west", 1);
    assert_eq!((of(5).status.state, of(5).status.problems.len()), (MirrorState::Synced, 1));
    assert_eq!((of(14).status.state, of(14).status.problems.len()), (MirrorState::Unknown, 1));
}
