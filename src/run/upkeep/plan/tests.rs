//! The plan followed in a world of numbers: what goes, what stays, and that it ends.

use lakemirror_journal::codec;
use lakemirror_journal::command::{Command, UpkeepStep};
use lakemirror_journal::decide::decide;
use lakemirror_journal::state::State;
use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules { compress: true, archive: false, age_ms_max: 1_000_000, bytes_max: 250 };

/// A journal whose files do what the plan says.
struct World {
    state: State,
    kept: Vec<SegmentFile>,
    archived: Vec<Seq>,
    lost: Vec<Seq>,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        Self { state: State::default(), kept: Vec::new(), archived: Vec::new(), lost: Vec::new(), now_ms: 1 }
    }

    fn journal(&mut self, step: UpkeepStep) {
        let facts = decide(&self.state, Command::Upkeep { step, at_ms: self.now_ms }).unwrap();
        for fact in facts {
            codec::encode(&fact).unwrap();
            self.state.apply(&fact);
        }
    }

    fn seal(&mut self, bytes: u64) {
        let first = self.state.lifecycle.open_from();
        let (last, hash) = (first + 9, [first as u8; 32]);
        let (frames, checks, last_frame) = (1, 0, [0; 32]);
        self.journal(UpkeepStep::Sealed { first, last, frames, bytes, checks, hash, last_frame });
        self.kept.push(SegmentFile { first, last, bytes, packed: false });
    }

    fn snapshot(&mut self) {
        let seq = self.state.lifecycle.open_from() - 1;
        self.journal(UpkeepStep::SnapshotTaken { seq, digest: [1; 32], bytes: 10 });
    }

    fn proven(&self) -> Seq {
        self.state.lifecycle.snapshot.map_or(0, |snapshot| snapshot.seq)
    }

    /// Does every step there is; an archive that is down stays so.
    fn settle(&mut self, rules: &Rules, archive_down: bool) {
        let mut steps = 0;
        while let Some((step, file)) =
            next(&self.state.lifecycle, &self.kept, self.proven(), self.now_ms, rules, archive_down)
        {
            self.follow(step, file);
            steps += 1;
            assert!(steps < 1000, "the plan does not end");
        }
    }

    fn follow(&mut self, step: Step, file: SegmentFile) {
        let SegmentFile { first, last, bytes, .. } = file;
        let hash = [first as u8; 32];
        match step {
            Step::Compress => {
                for kept in self.kept.iter_mut().filter(|kept| kept.first == first) {
                    (kept.packed, kept.bytes) = (true, bytes / 2);
                }
            }
            Step::Archive => {
                self.archived.push(first);
                let (file_hash, place) = ([2; 32], "there".to_owned());
                self.journal(UpkeepStep::Archived { first, last, hash, bytes, file_hash, place });
            }
            Step::Drop { unarchived } => {
                self.journal(UpkeepStep::Dropped { first, last, hash });
                assert!(!unarchived, "only where a test expects it");
                self.lost.extend((!self.archived.contains(&first)).then_some(first));
            }
            Step::Remove => self.kept.retain(|kept| kept.first != first),
        }
    }
}

#[test]
fn nothing_is_dropped_without_a_snapshot_and_the_newest_never() {
    let mut world = World::new();
    for _ in 0..10 {
        world.seal(200);
    }
    world.settle(&RULES, false);
    assert_eq!(world.kept.len(), 10);
    world.snapshot();
    world.settle(&RULES, false);
    assert_eq!(world.kept.iter().map(|kept| kept.first).collect::<Vec<_>>(), [81, 91]);
    world.now_ms += RULES.age_ms_max * 2;
    world.settle(&RULES, false);
    assert_eq!(world.kept.len(), 1, "old ones go, the newest stays");
}

#[test]
fn with_an_archive_nothing_goes_that_is_not_in_it_unless_the_volume_would_run_full() {
    let rules = Rules { archive: true, ..RULES };
    let mut world = World::new();
    for _ in 0..4 {
        world.seal(200);
    }
    world.snapshot();
    world.settle(&rules, true);
    assert_eq!(world.kept.len(), 4, "400 bytes are less than twice 250");
    for _ in 0..2 {
        world.seal(200);
    }
    world.snapshot();
    while let Some((step @ Step::Compress, file)) =
        next(&world.state.lifecycle, &world.kept, world.proven(), 1, &rules, true)
    {
        world.follow(step, file);
    }
    let over = next(&world.state.lifecycle, &world.kept, world.proven(), 1, &rules, true).unwrap();
    assert_eq!((over.0, over.1.first), (Step::Drop { unarchived: true }, 1));
    world.settle(&rules, false);
    assert_eq!((world.archived.len(), world.kept.len(), world.lost.len()), (6, 2, 0), "it came back");
}

proptest! {
    #[test]
    fn the_volume_holds_what_the_rules_allow(
        sizes in prop::collection::vec(1u64..400, 1..30),
        snapshots in prop::collection::vec(any::<bool>(), 30),
        archive: bool,
        compress: bool,
    ) {
        let rules = Rules { archive, compress, ..RULES };
        let mut world = World::new();
        for (bytes, snapshot) in sizes.iter().zip(snapshots) {
            world.seal(*bytes);
            if snapshot {
                world.snapshot();
            }
            world.settle(&rules, false);
            let held: u64 = world.kept.iter().map(|kept| kept.bytes).sum();
            let proven = world.proven();
            let may_go: Vec<&SegmentFile> =
                world.kept.iter().filter(|kept| kept.last <= proven && kept.last + 1 != world.state.lifecycle.open_from()).collect();
            prop_assert!(held <= rules.bytes_max || may_go.is_empty(), "{held} bytes");
            prop_assert!(!archive || world.lost.is_empty());
            for kept in &world.kept {
                prop_assert!(!is_dropped(&world.state.lifecycle, kept.first));
            }
        }
    }
}
