//! The mirrors database on a global table with eventual consistency: nothing is resurrected or lost, and no decision
//! rests on another region's data, however late and in whichever order the regions learn of each other.

#[path = "mrec/replicator.rs"]
mod replicator;
#[path = "mrec/service.rs"]
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lakemirror::clock::Clock;
use lakemirror::engine::ports::{CommitId, Incarnation};
use lakemirror::mirrors::records::{
    BranchState, BranchStatus, CreateError, Listing, NewMirror, Records, Stamp, Status, Summary, contested,
};
use proptest::prelude::*;

use replicator::Replicator;

const REGIONS: [&str; 3] = ["east", "west", "eu"];
const HOUR_MS: u64 = 3_600_000;
/// As configured for the service's housekeeping.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// Maximum time that a message is in flight, including its repetitions.
const LATEST_MS: u64 = 20 * 24 * HOUR_MS;

/// A clock that stands still until it is advanced, with a region's clock error.
struct Hand {
    now_ms: Arc<AtomicU64>,
    ahead_ms: u64,
}

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst) + self.ahead_ms
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst))
    }
    async fn sleep(&self, _: Duration) {}
}

#[derive(Debug, Clone)]
enum Step {
    Create { at: usize, name: usize, to: usize },
    Delete { at: usize, name: usize },
    Publish { pick: usize },
    Acknowledge { at: usize },
    Sweep { at: usize },
    Restart { at: usize },
    Deliver { pick: usize, again: bool, count: usize },
    Cut { a: usize, b: usize, cut: bool },
    Stale { at: usize, stale: bool },
    Pass { hours: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let region = || 0..REGIONS.len();
    prop_oneof![
        3 => (region(), 0..3usize, 1..3usize).prop_map(|(at, name, by)| Step::Create { at, name, to: (at + by) % 3 }),
        3 => (region(), 0..3usize).prop_map(|(at, name)| Step::Delete { at, name }),
        2 => any::<usize>().prop_map(|pick| Step::Publish { pick }),
        3 => region().prop_map(|at| Step::Acknowledge { at }),
        2 => region().prop_map(|at| Step::Sweep { at }),
        1 => region().prop_map(|at| Step::Restart { at }),
        8 => (any::<usize>(), any::<bool>(), 1..6usize)
            .prop_map(|(pick, again, count)| Step::Deliver { pick, again, count }),
        1 => (region(), region(), any::<bool>()).prop_map(|(a, b, cut)| Step::Cut { a, b, cut }),
        1 => (region(), any::<bool>()).prop_map(|(at, stale)| Step::Stale { at, stale }),
        2 => (0..480u64).prop_map(|hours| Step::Pass { hours }),
    ]
}

/// The three regions, and the true history.
struct World {
    replicator: Arc<Replicator>,
    now_ms: Arc<AtomicU64>,
    records: Vec<Records>,
    minted: u8,
    /// Incarnation to name, source region, mirror's region.
    created: BTreeMap<Incarnation, NewMirror>,
    deleted: BTreeSet<Incarnation>,
    acknowledged: BTreeSet<Incarnation>,
    published: BTreeMap<Incarnation, u64>,
    /// What each region's process has been told: tombstones, and the last summary.
    told_deleted: Vec<BTreeSet<Incarnation>>,
    told: Vec<BTreeMap<Incarnation, u64>>,
}

impl World {
    fn new() -> Self {
        let (replicator, now_ms) = (Replicator::new(&REGIONS), Arc::new(AtomicU64::new(1_800_000_000_000)));
        let mut world = Self {
            replicator,
            now_ms,
            records: Vec::new(),
            minted: 0,
            created: BTreeMap::new(),
            deleted: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            published: BTreeMap::new(),
            told_deleted: vec![BTreeSet::new(); 3],
            told: vec![BTreeMap::new(); 3],
        };
        world.records = (0..3).map(|region| world.process(region)).collect();
        world
    }

    fn process(&self, region: usize) -> Records {
        let ahead_ms = [0, 90_000, 5 * HOUR_MS][region];
        let clock = Hand { now_ms: Arc::clone(&self.now_ms), ahead_ms };
        Records::new(self.replicator.copy(region), Arc::new(clock))
    }

    async fn listing(&self, region: usize) -> Listing {
        let listing = self.records[region].list_definitions().await.unwrap();
        assert_eq!(listing.unreadable, []);
        listing
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Create { at, name, to } => self.create(at, name, to).await,
            Step::Delete { at, name } => {
                let name = format!("m{name}");
                for mirror in self.listing(at).await.definitions {
                    let own = mirror.source_region == REGIONS[at] && mirror.name == name && mirror.is_active();
                    if own {
                        assert!(self.records[at].mark_deleted(REGIONS[at], &name, mirror.incarnation).await.unwrap());
                        self.deleted.insert(mirror.incarnation);
                    }
                }
            }
            Step::Publish { pick } => self.publish(pick).await,
            Step::Acknowledge { at } => {
                for mirror in self.listing(at).await.definitions {
                    if mirror.region == REGIONS[at] && !mirror.is_active() {
                        self.records[at].ack_deletion(REGIONS[at], mirror.incarnation, 1).await.unwrap();
                        self.acknowledged.insert(mirror.incarnation);
                    }
                }
            }
            Step::Sweep { at } => {
                self.records[at].remove_tombstones(REGIONS[at], KEPT).await.unwrap();
            }
            Step::Restart { at } => {
                self.records[at] = self.process(at);
                self.told[at].clear();
                self.told_deleted[at].clear();
            }
            Step::Deliver { pick, again, count } => {
                (0..count).for_each(|number| self.replicator.deliver(pick.wrapping_add(number * 7), again));
            }
            Step::Cut { a, b, cut } => self.replicator.cut(a, b, cut),
            Step::Stale { at, stale } => self.replicator.stale(at, stale),
            Step::Pass { hours } => {
                self.now_ms.fetch_add(hours * HOUR_MS + 1, Ordering::SeqCst);
                self.replicator.pass(hours * HOUR_MS + 1, LATEST_MS);
            }
        }
    }

    async fn create(&mut self, at: usize, name: usize, to: usize) {
        self.minted += 1;
        let new = NewMirror {
            name: format!("m{name}"),
            incarnation: Incarnation([self.minted; 16]),
            source_repository: "sample".to_owned(),
            source_region: REGIONS[at].to_owned(),
            region: REGIONS[to].to_owned(),
            storage_namespace: "s3://bucket/sample".to_owned(),
            created_by: "admin".to_owned(),
            source_store: lakemirror::engine::ports::StoreIdentity::Unknown,
        };
        let known_holder = self.listing(at).await.active(&new.name).is_some();
        let made = self.records[at].create(&new).await;
        assert_eq!(made.is_ok(), !known_holder, "a name is given away where it is not known to be taken: {made:?}");
        match made {
            Ok(_) => {}
            Err(CreateError::AlreadyExists { .. }) => return,
            Err(error) => panic!("{error}"),
        }
        self.created.insert(new.incarnation, new);
    }

    /// A mirror's region publishes a new summary.
    async fn publish(&mut self, pick: usize) {
        let mut known = Vec::new();
        for (at, region) in REGIONS.iter().enumerate() {
            let all = self.listing(at).await.definitions;
            known.extend(all.into_iter().filter(|one| one.region == *region && one.is_active()).map(|one| (at, one)));
        }
        let Some((at, mirror)) = (!known.is_empty()).then(|| &known[pick % known.len()]) else { return };
        let seq = self.published.get(&mirror.incarnation).copied().unwrap_or(0) + 1;
        let summary = Summary {
            incarnation: mirror.incarnation,
            name: mirror.name.clone(),
            stamp: Stamp { epoch: 1, seq },
            written_at_ms: self.now_ms.load(Ordering::SeqCst),
            status: Status { lag_seconds: seq, ..Status::creating() },
        };
        self.records[*at].put_summary(REGIONS[*at], &summary).await.unwrap();
        self.published.insert(mirror.incarnation, seq);
    }

    /// Asserts what must hold at any time, whatever has arrived.
    async fn look(&mut self) {
        for (at, region) in REGIONS.iter().enumerate() {
            for mirror in self.listing(at).await.definitions {
                let made = self.created.get(&mirror.incarnation).unwrap_or_else(|| panic!("from nowhere: {mirror:?}"));
                assert_eq!((&made.region, &made.source_region), (&mirror.region, &mirror.source_region));
                let own = mirror.source_region == *region;
                match mirror.is_active() {
                    true => {
                        assert!(!self.told_deleted[at].contains(&mirror.incarnation), "resurrected: {mirror:?}");
                        assert!(!(own && self.deleted.contains(&mirror.incarnation)), "its own region: {mirror:?}");
                    }
                    false => {
                        assert!(self.deleted.contains(&mirror.incarnation), "nobody deleted {mirror:?}");
                        self.told_deleted[at].insert(mirror.incarnation);
                    }
                }
            }
            let acknowledged = self.records[at].acknowledged().await.unwrap();
            assert!(acknowledged.is_subset(&self.acknowledged));
            for (incarnation, summary) in self.records[at].summaries().await.unwrap() {
                assert!(summary.stamp.seq <= self.published[&incarnation]);
                assert_eq!(summary.stamp.seq, summary.status.lag_seconds);
                let before = self.told[at].insert(incarnation, summary.stamp.seq).unwrap_or(0);
                assert!(before <= summary.stamp.seq, "{} after {before}", summary.stamp.seq);
            }
        }
    }

    /// Once everything has arrived everywhere: all regions see the same, and it agrees with the true history.
    async fn conclude(&mut self, seed: usize) {
        self.replicator.settle(seed);
        assert_eq!(self.replicator.under_way(), 0);
        self.look().await;
        self.records = (0..3).map(|region| self.process(region)).collect();
        self.told = vec![BTreeMap::new(); 3];
        self.look().await;
        let first = self.listing(0).await;
        for (at, region) in REGIONS.iter().enumerate() {
            let listing = self.listing(at).await;
            assert_eq!(listing.definitions, first.definitions, "{region}");
            let active: BTreeSet<Incarnation> =
                listing.definitions.iter().filter(|one| one.is_active()).map(|one| one.incarnation).collect();
            let meant: BTreeSet<Incarnation> =
                self.created.keys().filter(|one| !self.deleted.contains(one)).copied().collect();
            assert_eq!(active, meant, "lost or resurrected in {region}");
            let counted: BTreeSet<&str> = listing.all_active().into_iter().map(|one| one.name.as_str()).collect();
            assert_eq!(counted.len(), listing.all_active().len(), "one of a name counts");
            assert_eq!(contested(&listing.definitions).len() + counted.len(), active.len());
            let summaries = self.records[at].summaries().await.unwrap();
            for incarnation in &active {
                let last = summaries.get(incarnation).map(|summary| summary.stamp.seq);
                assert_eq!(last, self.published.get(incarnation).copied(), "{incarnation} in {region}");
            }
        }
    }
}

fn run<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn three_regions_converge_and_never_see_what_did_not_happen(
        steps in proptest::collection::vec(step(), 1..70), seed in any::<usize>(),
    ) {
        run(async {
            let mut world = World::new();
            for step in &steps {
                world.take(step).await;
                world.look().await;
            }
            world.conclude(seed).await;
        });
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    /// A status of several items, each of which may arrive before or after any other.
    #[test]
    fn partial_status_never_goes_back_and_is_never_newer_than_its_oldest_part(
        moves in proptest::collection::vec((any::<u32>(), any::<usize>(), 0..5usize), 1..12), seed in any::<usize>(),
    ) {
        run(async {
            let (world, mut moments) = (World::new(), Vec::new());
            let mirror = Incarnation([9; 16]);
            let mut status = Status { branches: (0..1_800).map(|number| branch(number, 0)).collect(), ..Status::creating() };
            let mut shown: BTreeMap<String, CommitId> = BTreeMap::new();
            for (seq, (moved, pick, count)) in (1u64..).zip(moves) {
                let number = moved % 1_800;
                status.branches[number as usize] = branch(number, seq);
                status.lag_seconds = seq;
                let written_at_ms = 1_000 * seq;
                moments.push((seq, status.branches[number as usize].name.clone()));
                let stamp = Stamp { epoch: 1, seq };
                let summary = Summary { incarnation: mirror, name: "m".into(), stamp, written_at_ms, status: status.clone() };
                world.records[1].put_summary("west", &summary).await.unwrap();
                (0..count).for_each(|number| world.replicator.deliver(pick.wrapping_add(number), false));
                let Some(read) = world.records[0].summary("west", mirror).await.unwrap() else { continue };
                for branch in &read.status.branches {
                    let head = branch.promoted_commit.unwrap();
                    let before = shown.insert(branch.name.clone(), head).unwrap_or(head);
                    assert!(before.0[..8] <= head.0[..8], "{} went back", branch.name);
                    // The status contains every move up to the time that it claims.
                    let until_then = moments.iter().filter(|(seq, name)| {
                        *seq * 1_000 <= read.written_at_ms && *name == branch.name
                    });
                    let latest = until_then.map(|(seq, _)| *seq).max().unwrap_or(0);
                    let made = u64::from_be_bytes(head.0[..8].try_into().unwrap());
                    assert!(made >= latest, "{} as of {} is older than {}", branch.name, made, read.written_at_ms);
                }
            }
            world.replicator.settle(seed);
            let read = world.records[0].summary("west", mirror).await.unwrap().unwrap();
            assert_eq!(read.status, status);
        });
    }
}

/// A branch that was moved at `seq`; later ones have greater commits.
fn branch(number: u32, seq: u64) -> BranchStatus {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    id[8..12].copy_from_slice(&number.to_be_bytes());
    BranchStatus {
        name: format!("branch-{number:05}"),
        source_commit: Some(CommitId(id)),
        promoted_commit: Some(CommitId(id)),
        state: BranchState::Synced,
        waiting: Vec::new(),
        behind_since_ms: None,
    }
}
