//! Readings of heartbeats and owners, and what is heard of a driver at which time.

use super::*;

const MIRROR: Incarnation = Incarnation([7; 16]);

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn beat(process: &str, count: u64, ended: bool) -> (Heartbeat, u64) {
    let text = process.to_owned();
    (Heartbeat { process: text.clone(), node: "n".to_owned(), about: text, count, ended }, 1_000_000 + 5_000 * count)
}

fn owned_by(process: Option<&str>) -> Option<BTreeMap<Incarnation, Owner>> {
    let owner = Owner {
        holder: process.map(str::to_owned),
        about: process.unwrap_or("before").to_owned(),
        node: "n".to_owned(),
        epoch: 1,
        meant_for: None,
        version: None,
    };
    Some(BTreeMap::from([(MIRROR, owner)]))
}

fn reading(at: u64, beats: Vec<(Heartbeat, u64)>, owner: Option<&str>) -> Reading {
    Reading { sent: s(at), answered: s(at), beats, owners: owned_by(owner) }
}

#[test]
fn the_age_is_counted_from_before_the_heartbeat_changed() {
    let mut drivers = Drivers::default();
    assert_eq!(drivers.heard("west", MIRROR, s(0)), Heard::default(), "nobody has looked");
    drivers.take("west", reading(0, vec![beat("p", 1, false)], Some("p")));
    let first = drivers.heard("west", MIRROR, s(2));
    assert_eq!((first.age, first.their_now_ms, first.silence), (None, Some(1_007_000), None));
    drivers.take("west", reading(3, vec![beat("p", 2, false)], Some("p")));
    let heard = drivers.heard("west", MIRROR, s(5));
    assert_eq!(
        (heard.age, heard.their_now_ms),
        (Some(s(5)), Some(1_012_000)),
        "it may have been written at once after 0"
    );
    // The same again confirms nothing.
    drivers.take("west", reading(6, vec![beat("p", 2, false)], Some("p")));
    assert_eq!(drivers.heard("west", MIRROR, s(15)).silence, None);
    let silence = drivers.heard("west", MIRROR, s(16)).silence.unwrap();
    assert_eq!(silence, Silence { who: Who::Driver("p".to_owned()), lasting: s(16) });
    assert_eq!(drivers.silent(s(16)), [("west".to_owned(), "p".to_owned())]);
}

#[test]
fn who_takes_over_is_heard_and_who_ended_is_told() {
    let mut drivers = Drivers::default();
    drivers.take("west", reading(0, vec![beat("p", 1, false), beat("q", 1, false)], Some("p")));
    drivers.take("west", reading(3, vec![beat("p", 2, true), beat("q", 2, false)], Some("p")));
    drivers.take("west", reading(16, vec![beat("p", 2, true), beat("q", 5, false)], Some("p")));
    assert_eq!(drivers.heard("west", MIRROR, s(17)).silence.unwrap().who, Who::Ended("p".to_owned()));
    assert!(drivers.wants_owners("west", s(17), s(10)), "somebody may have taken it over");
    drivers.take("west", reading(18, vec![beat("q", 6, false)], Some("q")));
    assert_eq!(drivers.heard("west", MIRROR, s(19)).silence, None);
    assert!(!drivers.wants_owners("west", s(19), s(10)));
}

#[test]
fn a_mirror_without_a_driver_is_told_sooner_where_nobody_could_take_it() {
    let mut drivers = Drivers::default();
    let look = |drivers: &mut Drivers, at: u64, alive: bool| {
        let beats = if alive { vec![beat("p", at, false)] } else { Vec::new() };
        drivers.take("west", reading(at, beats, None));
        drivers.note_unowned("west", &[MIRROR], s(at));
    };
    look(&mut drivers, 0, false);
    assert_eq!(drivers.heard("west", MIRROR, s(12)).silence, None);
    assert_eq!(drivers.heard("west", MIRROR, s(13)).silence.unwrap().who, Who::Region);
    for at in (15..=117).step_by(3) {
        look(&mut drivers, at, true);
        assert_eq!(drivers.heard("west", MIRROR, s(at)).silence, None, "a process lives and may not have read it yet");
    }
    look(&mut drivers, 120, true);
    assert_eq!(drivers.heard("west", MIRROR, s(120)).silence.unwrap().who, Who::Nobody);
}
