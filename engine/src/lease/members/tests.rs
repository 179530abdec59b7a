//! The living and the dead, by what reads show and when they were made.

use super::*;

fn beat(process: &str, count: u64) -> Heartbeat {
    Heartbeat { process: process.into(), node: format!("n{process}"), about: process.into(), count, ended: false }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn me() -> Member {
    Member { process: "me".into(), node: "nme".into(), settled: true }
}

fn alive(members: &Members, now: u64) -> Vec<String> {
    members.alive(&me(), s(now)).into_iter().map(|member| member.process).collect()
}

#[test]
fn dead_is_who_shows_the_same_beat_in_two_reads_that_far_apart() {
    let mut members = Members::default();
    assert!(members.take(vec![beat("a", 1)], s(100), s(101)), "somebody came");
    assert_eq!(alive(&members, 101), ["a", "me"]);
    assert!(!members.take(vec![beat("a", 1)], s(110), s(112)), "sent less than 10 s after the first answer");
    assert_eq!(alive(&members, 112), ["a", "me"]);
    assert!(members.take(vec![beat("a", 1)], s(111), s(113)));
    assert_eq!(alive(&members, 113), ["me"]);
    assert!(!members.take(vec![beat("a", 1)], s(114), s(114)), "dead stays dead");
    assert!(members.take(vec![beat("a", 2)], s(115), s(115)), "until a new beat");
    assert_eq!(alive(&members, 115), ["a", "me"]);
}

#[test]
fn time_without_answers_counts_for_nobody() {
    let mut members = Members::default();
    members.take(vec![beat("a", 1)], s(0), s(0));
    members.take(vec![beat("a", 9)], s(500), s(500));
    assert_eq!(alive(&members, 500), ["a", "me"]);
}

#[test]
fn who_says_goodbye_is_gone_at_once() {
    let mut members = Members::default();
    members.take(vec![beat("a", 1)], s(0), s(0));
    assert!(members.take(vec![Heartbeat { ended: true, ..beat("a", 2) }], s(1), s(1)));
    assert_eq!(alive(&members, 1), ["me"]);
    assert!(!members.take(Vec::new(), s(2), s(2)));
}

#[test]
fn settled_is_who_was_seen_for_a_minute_without_dying() {
    let mut members = Members::default();
    let settled = |members: &Members, now| members.alive(&me(), s(now))[0].settled;
    for now in (0..60).step_by(5) {
        members.take(vec![beat("a", now)], s(now), s(now));
        assert!(!settled(&members, now));
    }
    members.take(vec![beat("a", 60)], s(60), s(60));
    assert!(settled(&members, 60));
    members.take(vec![beat("a", 60)], s(75), s(75));
    members.take(vec![beat("a", 61)], s(80), s(80));
    assert!(!settled(&members, 80), "it counts from its return");
}

#[test]
fn a_copy_of_the_own_journal_is_noticed() {
    let mut members = Members::default();
    let twin = Heartbeat { node: "nme".into(), ..beat("b", 1) };
    members.take(vec![beat("a", 1), beat("me", 4)], s(0), s(0));
    assert_eq!(members.twin(&me()), None);
    members.take(vec![twin.clone()], s(1), s(1));
    members.take(vec![twin.clone()], s(3), s(3));
    assert_eq!(members.twin(&me()), None, "perhaps it is only the last beat of the process before this one");
    members.take(vec![Heartbeat { count: 2, ..twin }], s(5), s(5));
    assert_eq!(members.twin(&me()), Some("b"));
}
