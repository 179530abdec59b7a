//! The verifier over a world in memory.

mod archived;
mod counts;
mod many;
mod shown;
mod tracks;
mod why;
pub(crate) mod world;

use std::time::Duration;

use bytes::Bytes;
use lakemirror_core::ids::RangeId;
use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::ArrivalsCheckedV1;
use lakemirror_journal::state::State;
use lakemirror_journal::state::policy::{ImportsRule, Policy};
use lakemirror_journal::state::tree::Completeness;

use self::world::{MIRROR, World, id, tree, tree_of_bytes};
use super::Settings;
use super::status::{VerifyStatus, WaitsFor};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn arrival_in_any_order_ends_whole_and_then_nothing_happens() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)], &[("c", "data/3", 3)]]);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.arrive("data/3", 3);
    world
        .until_status("waiting for the metarange", |status| {
            status.tree(&files.id).is_some_and(|tree| tree.waits_for == WaitsFor::MetarangeFile && tree.fault.is_some())
        })
        .await;
    world.arrive_file(files.ranges[1].0, &files.ranges[1].1);
    world.arrive_file(files.id, &files.metarange);
    world
        .until_status("waiting for one range", |status| {
            status
                .tree(&files.id)
                .is_some_and(|tree| tree.waits_for == WaitsFor::RangeFiles && tree.counts.range_files == 1)
        })
        .await;
    world.arrive_file(files.ranges[0].0, &files.ranges[0].1);
    world.arrive("data/1", 1);
    world
        .until_status("waiting for one object", |status| {
            status.tree(&files.id).is_some_and(|tree| {
                tree.waits_for == WaitsFor::Objects && tree.counts.missing == 1 && tree.samples.len() == 1 && {
                    let sample = &tree.samples[0];
                    (sample.path.as_str(), sample.object.clone())
                        == ("b", Ok(("there".to_owned(), "ns/data/2".to_owned())))
                        && tree.checked_ms >= 1_000_000
                        && tree.next_check_ms.is_some()
                }
            })
        })
        .await;
    assert_eq!(world.completeness(files.id).await, Completeness::Incomplete);
    world.arrive("data/2", 2);
    world.until_grade(files.id, Completeness::Complete).await;
    world.pass(SECOND).await;
    let (reads, asked) = (world.store.reads.lock().unwrap().len(), world.store.asked.lock().unwrap().len());
    world.pass(20 * SECOND).await;
    assert_eq!(world.store.reads.lock().unwrap().len(), reads);
    assert_eq!(world.store.asked.lock().unwrap().len(), asked);
    assert_eq!(*world.clock.sleepers.lock().unwrap(), 0, "no timer without a need");
    assert!(world.status.lock().unwrap().trees.is_empty());
}

/// Records that the first of a range's two entries is there, and that the other one was not asked for.
async fn find_first(world: &World, range: RangeId) {
    let first = || Bits::from_ordinals(1, [0]).encode();
    let found = ArrivalsCheckedV1 {
        mirror: MIRROR,
        range,
        base: 0,
        asked: first(),
        present: first(),
        exceptions: vec![],
        started_ms: 1_000_000,
        finished_ms: 1_000_000,
    };
    world.recorder.ask(MIRROR, MirrorCommand::CheckArrivals(vec![found])).await.unwrap();
}

#[tokio::test]
async fn what_was_found_since_the_last_look_is_not_named_as_missing() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.arrive_files(&files);
    let names = |status: &VerifyStatus| -> Vec<String> {
        let samples = status.tree(&files.id).map(|tree| tree.samples.iter().map(|one| one.path.clone()).collect());
        samples.unwrap_or_default()
    };
    world.until_status("both are named", |status| names(status) == ["a", "b"]).await;
    find_first(&world, files.ranges[0].0).await;
    world
        .until_status("one is missing", |status| {
            status.tree(&files.id).is_some_and(|tree| tree.counts.missing == 1) && {
                assert_eq!(names(status), ["b"]);
                true
            }
        })
        .await;
}

#[tokio::test]
async fn what_nobody_has_looked_for_is_not_said_to_be_missing() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    let keys = ["ns/data/1", "ns/data/2"];
    world.store.hanging.lock().unwrap().extend(keys.map(str::to_owned));
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.arrive_files(&files);
    let counts = |status: &VerifyStatus| {
        status
            .tree(&files.id)
            .filter(|tree| tree.waits_for == WaitsFor::Objects)
            .map(|tree| (tree.counts.unasked, tree.counts.missing))
    };
    world.until_status("nothing is known of either", |status| counts(status) == Some((2, 0))).await;
    world.pass(20 * SECOND).await;
    assert_eq!(counts(&world.status.lock().unwrap()), Some((2, 0)));
    find_first(&world, files.ranges[0].0).await;
    world.until_status("the other one is missing", |status| counts(status) == Some((0, 1))).await;
}

#[tokio::test]
async fn a_damaged_range_counts_as_not_there_until_it_is_good() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1)]]);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.arrive_files(&files);
    world.arrive("data/1", 1);
    let (range, bytes) = &files.ranges[0];
    world.arrive_file(range, &Bytes::from(bytes[..bytes.len() - 1].to_vec()));
    world
        .until_status("damaged", |status| {
            status.fault.as_deref().is_some_and(|fault| fault.contains("damaged") && fault.contains(&range.to_string()))
        })
        .await;
    world.arrive_file(range, &tree(&[&[("a", "data/9", 9)]]).ranges[0].1);
    world.pass(5 * SECOND).await;
    assert_eq!(
        (world.completeness(files.id).await, world.store.asked.lock().unwrap().len()),
        (Completeness::Incomplete, 0)
    );
    world.arrive_file(range, bytes);
    world.until_grade(files.id, Completeness::Complete).await;
}

#[tokio::test]
async fn a_child_asks_only_for_what_is_new() {
    let world = World::new().await;
    let parent = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2), ("c", "data/3", 3)]]);
    // The second has another size, the third another address, the fourth is new.
    let child = tree(&[&[("a", "data/1", 1), ("b", "data/2", 7), ("c", "data/33", 3), ("d", "data/4", 4)]]);
    world.arrive_files(&child);
    world.arrive_files(&parent);
    for (key, size) in [("data/1", 1), ("data/2", 2), ("data/3", 3), ("data/33", 3), ("data/4", 4)] {
        world.arrive(key, size);
    }
    world.see(&[("main", 2)], &[(2, &[1], child.id), (1, &[], parent.id)]).await;
    world.until_grade(parent.id, Completeness::Complete).await;
    world
        .until_status("wrong size", |status| {
            status.tree(&child.id).is_some_and(|tree| {
                (tree.counts.wrong_size, tree.counts.missing) == (1, 0)
                    && tree.samples.first().is_some_and(|one| (one.size, one.found) == (7, Some(2)))
            })
        })
        .await;
    for key in ["data/1", "data/3", "data/33", "data/4"] {
        assert_eq!(world.asked(key), 1, "{key}");
    }
    assert_eq!(world.completeness(child.id).await, Completeness::Incomplete);
    world.arrive("data/2", 7);
    world.until_grade(child.id, Completeness::Complete).await;
}

#[tokio::test]
async fn what_the_parent_misses_is_not_inherited() {
    let world = World::new().await;
    let parent = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2)]]);
    let child = tree(&[&[("a", "data/1", 1), ("b", "data/2", 2), ("c", "data/3", 3)]]);
    world.arrive_files(&child);
    world.arrive_files(&parent);
    world.arrive("data/2", 2);
    world.arrive("data/3", 3);
    world.see(&[("main", 2)], &[(2, &[1], child.id), (1, &[], parent.id)]).await;
    world
        .until_status("the child misses one", |status| {
            status.tree(&child.id).is_some_and(|tree| tree.counts.missing == 1 && tree.checked_ms > 0)
        })
        .await;
    assert_eq!((world.asked("data/2"), world.asked("data/3")), (1, 1));
    world.arrive("data/1", 1);
    world.until_grade(child.id, Completeness::Complete).await;
    world.until_grade(parent.id, Completeness::Complete).await;
}

#[tokio::test]
async fn forbidden_is_not_absent_and_not_asked_for_often() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1)]]);
    world.store.forbidden.lock().unwrap().insert("ns/data/1".into());
    world.arrive_files(&files);
    world.arrive("data/1", 1);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world
        .until_status("forbidden", |status| {
            status.tree(&files.id).is_some_and(|tree| tree.counts.forbidden == 1 && tree.counts.missing == 1)
        })
        .await;
    let before = world.asked("data/1");
    world.pass(10 * SECOND).await;
    assert!(world.asked("data/1") - before <= 2);
    world.store.forbidden.lock().unwrap().clear();
    world.until_grade(files.id, Completeness::Complete).await;
}

#[tokio::test]
async fn denied_reads_are_reported_and_tried_slowly() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1)]]);
    *world.store.denied.lock().unwrap() = true;
    world.arrive_files(&files);
    world.arrive("data/1", 1);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world
        .until_status("denied", |status| status.fault.as_deref().is_some_and(|fault| fault.contains("AccessDenied")))
        .await;
    world.pass(20 * SECOND).await;
    assert!(world.store.reads.lock().unwrap().len() <= 6);
    *world.store.denied.lock().unwrap() = false;
    world.until_grade(files.id, Completeness::Complete).await;
}

#[tokio::test]
async fn an_ancestor_is_expired_by_two_answers_and_a_head_is_not() {
    let world = World::new().await;
    let old = tree(&[&[("a", "data/1", 1)]]);
    let new = tree(&[&[("b", "data/2", 2)]]);
    world.arrive_files(&old);
    world.arrive_files(&new);
    world.source.gone.lock().unwrap().extend(["a".to_owned(), "b".to_owned()]);
    *world.source.down.lock().unwrap() = true;
    world.see(&[("main", 2)], &[(2, &[1], new.id), (1, &[], old.id)]).await;
    world.pass(10 * SECOND).await;
    assert_eq!(world.completeness(old.id).await, Completeness::Incomplete, "an unreachable source decides nothing");
    world.source.probes.lock().unwrap().clear();
    *world.source.down.lock().unwrap() = false;
    world.until_grade(old.id, Completeness::CompleteExceptExpired).await;
    assert_eq!(*world.source.probes.lock().unwrap(), ["a", "a"]);
    assert_eq!(world.completeness(new.id).await, Completeness::Incomplete);
    world.pass(5 * SECOND).await;
    assert_eq!(world.completeness(new.id).await, Completeness::Incomplete);
    assert!(!world.source.probes.lock().unwrap().contains(&"b".to_owned()), "a head is diagnosed later");
    world.arrive("data/2", 2);
    world.until_grade(new.id, Completeness::Complete).await;
    assert!(world.look(|mirror| mirror.graph.get(&id(2)).unwrap().closed).await);
}

#[tokio::test]
async fn a_head_is_diagnosed_late_and_still_asked_for() {
    let settings = Settings { diagnose_after: 30 * SECOND, ..Settings::default() };
    let world = World::with(State::default(), settings).await;
    let files = tree(&[&[("a", "data/1", 1)]]);
    world.arrive_files(&files);
    world.source.gone.lock().unwrap().insert("a".to_owned());
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world.pass(20 * SECOND).await;
    world.clock.forward_ms.store(3_600_000, std::sync::atomic::Ordering::Relaxed);
    world.pass(5 * SECOND).await;
    assert!(
        world.source.probes.lock().unwrap().is_empty(),
        "the clock was put forward an hour: nobody has waited for it"
    );
    world.until_grade(files.id, Completeness::CompleteExceptExpired).await;
    world
        .until_status("expired", |status| {
            status.tree(&files.id).is_some_and(|tree| tree.counts.expired == 1 && tree.counts.missing == 0)
        })
        .await;
    world.arrive("data/1", 1);
    world.until_grade(files.id, Completeness::Complete).await;
}

/// The source is asked by the bytes of the path, which need not be text.
#[tokio::test]
async fn an_ancestor_whose_path_is_not_utf_8_expires_as_any_other() {
    let world = World::new().await;
    let old = tree_of_bytes(&[vec![(b"caf\xe9.csv", "data/1", 1)]]);
    let new = tree(&[&[("b", "data/2", 2)]]);
    world.arrive_files(&old);
    world.arrive_files(&new);
    world.arrive("data/2", 2);
    world.source.gone.lock().unwrap().insert("caf\\xe9.csv".to_owned());
    world.see(&[("main", 2)], &[(1, &[], old.id), (2, &[1], new.id)]).await;
    let named = |status: &VerifyStatus| {
        status.tree(&old.id).is_some_and(|tree| tree.samples.iter().any(|sample| sample.path == "caf\\xE9.csv"))
    };
    world.until_status("named for people", named).await;
    world.until_grade(old.id, Completeness::CompleteExceptExpired).await;
    assert!(world.look(|mirror| mirror.graph.get(&id(2)).unwrap().closed).await);
}

/// It is looked for all the while: what was found between two answers does not undo the first.
#[tokio::test]
async fn an_object_of_another_size_expires_for_an_ancestor_and_comes_right_for_a_head() {
    let world = World::new().await;
    let old = tree(&[&[("a", "data/1", 1)]]);
    let new = tree(&[&[("b", "data/2", 2)]]);
    for files in [&old, &new] {
        world.arrive_files(files);
    }
    world.arrive("data/1", 77);
    world.arrive("data/2", 77);
    world.source.gone.lock().unwrap().extend(["a".to_owned(), "b".to_owned()]);
    *world.source.down.lock().unwrap() = true;
    world.see(&[("main", 2)], &[(2, &[1], new.id), (1, &[], old.id)]).await;
    world
        .until_status("both sizes", |status| {
            status.tree(&old.id).is_some_and(|tree| {
                tree.counts.wrong_size == 1
                    && tree.samples.first().is_some_and(|one| (one.size, one.found) == (1, Some(77)))
            })
        })
        .await;
    world.source.probes.lock().unwrap().clear();
    *world.source.down.lock().unwrap() = false;
    world.until_grade(old.id, Completeness::CompleteExceptExpired).await;
    assert_eq!(*world.source.probes.lock().unwrap(), ["a", "a"]);
    world.pass(5 * SECOND).await;
    assert!(!world.source.probes.lock().unwrap().contains(&"b".to_owned()), "a head's size is not the source's to say");
    assert_eq!(world.completeness(new.id).await, Completeness::Incomplete);
    world.arrive("data/2", 2);
    world.until_grade(new.id, Completeness::Complete).await;
    world.see(&[("main", 2), ("again", 1)], &[]).await;
    world.arrive("data/1", 1);
    world.until_grade(old.id, Completeness::Complete).await;
}

#[tokio::test]
async fn an_object_that_the_source_contradicts_itself_about_holds_up_no_question_about_another() {
    let world = World::new().await;
    let old = tree(&[&[("a", "data/1", 1), ("b", "data/2", 1)]]);
    let new = tree(&[&[("c", "data/3", 2)]]);
    world.arrive_files(&old);
    world.arrive_files(&new);
    world.source.broken.lock().unwrap().insert("a".to_owned());
    world.source.gone.lock().unwrap().insert("b".to_owned());
    world.see(&[("main", 2)], &[(2, &[1], new.id), (1, &[], old.id)]).await;
    world.pass(10 * SECOND).await;
    assert!(world.source.probes.lock().unwrap().contains(&"b".to_owned()));
    world.arrive("data/1", 1);
    world.until_grade(old.id, Completeness::CompleteExceptExpired).await;
}

#[tokio::test]
async fn objects_that_the_source_has_are_not_asked_about_again_and_again() {
    let world = World::new().await;
    let old = tree(&[&[("a", "data/1", 1)]]);
    let new = tree(&[&[("b", "data/2", 2)]]);
    world.arrive_files(&old);
    world.arrive_files(&new);
    world.see(&[("main", 2)], &[(2, &[1], new.id), (1, &[], old.id)]).await;
    world.pass(25 * SECOND).await;
    assert_eq!(*world.source.probes.lock().unwrap(), ["a"]);
}

#[tokio::test]
async fn a_large_tree_that_hangs_holds_up_no_small_one() {
    let world = World::new().await;
    let names: Vec<(String, String)> = (0..40).map(|n| (format!("big/{n:03}"), format!("data/big{n}"))).collect();
    let entries: Vec<Vec<(&str, &str, i64)>> =
        names.iter().map(|(path, address)| vec![(path.as_str(), address.as_str(), 1)]).collect();
    let ranges: Vec<&[(&str, &str, i64)]> = entries.iter().map(Vec::as_slice).collect();
    let big = tree(&ranges);
    let small = tree(&[&[("a", "data/1", 1)]]);
    world.store.hanging.lock().unwrap().insert("ns/data/big0".into());
    world.arrive_files(&big);
    world.see(&[("big", 1)], &[(1, &[], big.id)]).await;
    world.pass(5 * SECOND).await;
    world.see(&[("big", 1), ("small", 2)], &[(2, &[], small.id)]).await;
    world.arrive_files(&small);
    world.arrive("data/1", 1);
    world.until_grade(small.id, Completeness::Complete).await;
    assert_eq!(world.completeness(big.id).await, Completeness::Incomplete);
}

#[tokio::test]
async fn blocked_imports_are_never_asked_for_and_checked_ones_in_their_own_bucket() {
    for (imports, completeness) in
        [(ImportsRule::Check, Completeness::Complete), (ImportsRule::Block, Completeness::Incomplete)]
    {
        let state = State { policy: Policy { imports, ..Policy::default() }, ..State::default() };
        let world = World::with(state, Settings::default()).await;
        let files = tree(&[&[("a", "s3://outside/x/1", 1), ("b", "data/2", 2)]]);
        world.store.objects.lock().unwrap().insert(("outside".into(), "x/1".into()), 1);
        world.arrive("data/2", 2);
        world.arrive_files(&files);
        world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
        world.pass(10 * SECOND).await;
        assert_eq!(world.completeness(files.id).await, completeness);
        if imports == ImportsRule::Block {
            world
                .until_status("an import", |status| status.tree(&files.id).is_some_and(|tree| tree.counts.imports == 1))
                .await;
            assert!(!world.store.asked.lock().unwrap().contains(&"x/1".to_owned()));
        }
    }
}

#[tokio::test]
async fn an_address_of_another_store_is_reported_and_never_present() {
    let world = World::new().await;
    let files = tree(&[&[("a", "gs://outside/x/1", 1)]]);
    world.arrive_files(&files);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world
        .until_status("unresolvable", |status| {
            status
                .tree(&files.id)
                .is_some_and(|tree| tree.counts.unresolvable == 1 && tree.samples.iter().any(|one| one.object.is_err()))
        })
        .await;
    assert_eq!(world.completeness(files.id).await, Completeness::Incomplete);
}

#[tokio::test]
async fn two_trees_that_revert_each_other_do_not_wait_for_each_other() {
    let world = World::new().await;
    let one = tree(&[&[("a", "data/1", 1)]]);
    let two = tree(&[&[("a", "data/2", 2)]]);
    for files in [&one, &two] {
        world.arrive_files(files);
    }
    world.arrive("data/1", 1);
    world.arrive("data/2", 2);
    world.see(&[("main", 3)], &[(3, &[2], one.id), (2, &[1], two.id), (1, &[], one.id)]).await;
    world.until_grade(one.id, Completeness::Complete).await;
    world.until_grade(two.id, Completeness::Complete).await;
}

#[tokio::test]
async fn the_last_missing_objects_are_asked_for_every_200_ms_and_without_reading_the_range_again() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1)]]);
    world.arrive_files(&files);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    world
        .until_status("missing", |status| {
            status.tree(&files.id).is_some_and(|tree| tree.waits_for == WaitsFor::Objects && tree.checked_ms > 0)
        })
        .await;
    let (reads, asked) = (world.store.reads.lock().unwrap().len(), world.asked("data/1"));
    world.pass(10 * SECOND).await;
    let more = world.asked("data/1") - asked;
    assert!((40..=70).contains(&more), "{more} looks in 10 s");
    assert_eq!(world.store.reads.lock().unwrap().len(), reads);
}

#[tokio::test]
async fn stopping_does_not_wait_for_the_store() {
    let world = World::new().await;
    let files = tree(&[&[("a", "data/1", 1)]]);
    world.store.hanging.lock().unwrap().insert("ns/data/1".into());
    world.arrive_files(&files);
    world.see(&[("main", 1)], &[(1, &[], files.id)]).await;
    while world.asked("data/1") == 0 {
        world.pass(SECOND).await;
    }
    world.stop.cancel();
    world.running.await.unwrap();
}
