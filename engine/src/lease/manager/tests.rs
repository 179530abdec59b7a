//! Processes that share a table, in virtual time: whatever is slow, paused or cut off, at most one holds a mirror (I7).

use std::sync::Mutex;

use proptest::prelude::*;

use super::super::{FAILURE_TIMEOUT, LEASE_TTL};
use super::*;
use crate::ports::FaultKind;

const REGION: &str = "west";

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn mirror(number: u8) -> Incarnation {
    Incarnation([number; 16])
}

fn mirrors(count: u8) -> BTreeSet<Incarnation> {
    (0..count).map(mirror).collect()
}

/// The table, the one clock of all, and what calls cost.
#[derive(Default)]
struct World {
    now: Mutex<Duration>,
    beats: Mutex<BTreeMap<String, Heartbeat>>,
    owners: Mutex<BTreeMap<Incarnation, Owner>>,
    versions: Mutex<u64>,
    /// How long the next calls take, before and after what they do.
    delays: Mutex<Vec<(Duration, Duration)>>,
    /// Whether calls fail: 1 before they did anything, 2 after.
    failing: Mutex<u8>,
}

impl World {
    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T, Fault> {
        let (before, after) = self.delays.lock().unwrap().pop().unwrap_or_default();
        let failing = *self.failing.lock().unwrap();
        self.pass(before);
        let done = (failing != 1).then(act);
        self.pass(after);
        let fault = || Fault { kind: FaultKind::Retry, call: "call".into(), status: None, message: "down".into() };
        done.filter(|_| failing == 0).ok_or_else(fault)
    }
}

#[async_trait::async_trait]
impl Clock for World {
    fn wall_ms(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }
}

#[async_trait::async_trait]
impl LeaseTable for World {
    fn is_shared(&self) -> bool {
        true
    }

    async fn beat(&self, _: &str, beat: &Heartbeat) -> Result<(), Fault> {
        self.call(|| drop(self.beats.lock().unwrap().insert(beat.process.clone(), beat.clone())))
    }

    async fn heartbeats(&self, _: &str) -> Result<Vec<Heartbeat>, Fault> {
        self.call(|| self.beats.lock().unwrap().values().cloned().collect())
    }

    async fn owners(&self, _: &str) -> Result<BTreeMap<Incarnation, Owner>, Fault> {
        self.call(|| self.owners.lock().unwrap().clone())
    }

    async fn write_owner(&self, _: &str, mirror: &Incarnation, owner: &Owner) -> Result<Option<u64>, Fault> {
        self.call(|| {
            let mut owners = self.owners.lock().unwrap();
            if owners.get(mirror).and_then(|old| old.version) != owner.version {
                return None;
            }
            let mut version = self.versions.lock().unwrap();
            *version += 1;
            owners.insert(*mirror, Owner { version: Some(*version), ..owner.clone() });
            Some(*version)
        })
    }
}

/// One process: its heartbeats and its loop, in steps.
struct Node {
    leases: Leases,
    heartbeats: HeartbeatTask,
    count: u64,
    /// What the journal was told: mirror and whether it was resumed.
    told: Vec<(Incarnation, bool)>,
}

impl Node {
    fn new(world: &Arc<World>, id: &str, node: &str) -> Self {
        let process = Process { id: id.into(), node: node.into(), about: id.into() };
        let leases = Leases::new(Arc::clone(world) as _, process, vec![REGION.into()], Arc::clone(world) as _);
        let heartbeats = leases.heartbeats();
        Self { leases, heartbeats, count: 0, told: Vec::new() }
    }

    async fn beat(&mut self) {
        self.count += 1;
        let sent = self.leases.clock.monotonic();
        if self.heartbeats.beat(self.count, false).await.is_ok() {
            self.heartbeats.lease_clock.acknowledged(sent, self.leases.clock.monotonic());
        }
    }

    async fn turn(&mut self, mirrors: &BTreeSet<Incarnation>) {
        let _ = self.leases.look().await;
        let Some(plan) = self.leases.plan(REGION, mirrors) else { return };
        for mirror in plan.take {
            match self.leases.take(REGION, mirror).await {
                Ok(Some(taken)) => {
                    self.told.push((mirror, taken.resumed));
                    let _ = self.leases.keep(taken).await;
                }
                _ => self.leases.doubt(REGION),
            }
        }
        for (mirror, to) in plan.give {
            let _ = self.leases.give(REGION, mirror, &to).await;
        }
    }

    fn holds(&mut self, mirror: u8) -> bool {
        let now = self.leases.clock.monotonic();
        self.leases.lease(&Incarnation([mirror; 16])).is_live(now)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Beat(usize),
    Turn(usize),
    Wait(u64),
    Fail(u8),
    /// Comes again with the same journal and another id.
    Restart(usize),
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64, u64)>> {
    let step = prop_oneof![
        5 => (0usize..3).prop_map(Step::Beat),
        5 => (0usize..3).prop_map(Step::Turn),
        3 => (0u64..13_000).prop_map(Step::Wait),
        1 => (0u8..3).prop_map(Step::Fail),
        1 => (0usize..3).prop_map(Step::Restart),
    ];
    let delay = prop_oneof![4 => 0u64..300, 1 => 0u64..12_000];
    prop::collection::vec((step, delay.clone(), delay), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// However slow calls are, whether they fail before or after they did something, and whoever is paused or restarted.
    #[test]
    fn at_most_one_process_holds_a_mirror(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = Arc::new(World::default());
            let mirrors = mirrors(4);
            let mut nodes: Vec<Node> = (0..3).map(|n| Node::new(&world, &format!("p{n}"), &format!("n{n}"))).collect();
            for (number, (step, before, after)) in steps.iter().enumerate() {
                let delay = (Duration::from_millis(*before), Duration::from_millis(*after));
                *world.delays.lock().unwrap() = vec![(delay.1, delay.0), delay];
                match step {
                    Step::Beat(node) => nodes[*node].beat().await,
                    Step::Turn(node) => nodes[*node].turn(&mirrors).await,
                    Step::Wait(ms) => world.pass(Duration::from_millis(*ms)),
                    Step::Fail(how) => *world.failing.lock().unwrap() = *how,
                    Step::Restart(node) => {
                        nodes[*node] = Node::new(&world, &format!("p{node}-{number}"), &format!("n{node}"));
                    }
                }
                for mirror in 0..4 {
                    let holders = nodes.iter_mut().map(|node| usize::from(node.holds(mirror))).sum::<usize>();
                    assert!(holders <= 1, "{holders} hold mirror {mirror} after step {number}, {step:?}");
                }
            }
        });
    }
}

async fn run_for(world: &Arc<World>, nodes: &mut [&mut Node], mirrors: &BTreeSet<Incarnation>, seconds: u64) {
    for second in 0..seconds {
        for node in nodes.iter_mut() {
            if second % 5 == 0 {
                node.beat().await;
            }
            if second % 2 == 0 {
                node.turn(mirrors).await;
            }
        }
        world.pass(s(1));
    }
}

#[tokio::test]
async fn a_dead_holder_is_followed_within_fifteen_seconds_and_its_history_is_not_believed() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(3));
    let (mut a, mut b) = (Node::new(&world, "a", "na"), Node::new(&world, "b", "nb"));
    run_for(&world, &mut [&mut a], &mirrors, 6).await;
    assert!((0..3).all(|mirror| a.holds(mirror)));
    assert!(a.told.iter().all(|(_, resumed)| *resumed), "nobody had them before");
    run_for(&world, &mut [&mut a, &mut b], &mirrors, 20).await;
    assert!(b.told.is_empty());
    run_for(&world, &mut [&mut b], &mirrors, 15).await;
    assert!((0..3).all(|mirror| b.holds(mirror) && !a.holds(mirror)));
    assert_eq!(b.told.len(), 3);
    assert!(b.told.iter().all(|(_, resumed)| !resumed), "another journal had them");
    assert!(LEASE_TTL < FAILURE_TIMEOUT);
}

#[tokio::test]
async fn the_same_journal_goes_on_where_it_was() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(1));
    let mut a = Node::new(&world, "a", "na");
    run_for(&world, &mut [&mut a], &mirrors, 3).await;
    let mut again = Node::new(&world, "a2", "na");
    run_for(&world, &mut [&mut again], &mirrors, 15).await;
    assert!(again.holds(0));
    assert_eq!(again.told, [(mirror(0), true)]);
}

#[tokio::test]
async fn a_pulse_that_lapsed_is_taken_again_and_counts_as_resumed() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(1));
    let mut a = Node::new(&world, "a", "na");
    run_for(&world, &mut [&mut a], &mirrors, 3).await;
    let epoch = a.leases.lease(&mirror(0)).epoch();
    world.pass(s(60));
    assert!(!a.holds(0));
    run_for(&world, &mut [&mut a], &mirrors, 3).await;
    assert!(a.holds(0));
    assert_eq!(a.told, [(mirror(0), true); 2]);
    assert!(a.leases.lease(&mirror(0)).epoch() > epoch);
}

#[tokio::test]
async fn a_goodbye_hands_over_at_once() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(2));
    let (mut a, mut b) = (Node::new(&world, "a", "na"), Node::new(&world, "b", "nb"));
    run_for(&world, &mut [&mut a], &mirrors, 3).await;
    a.heartbeats.beat(99, true).await.unwrap();
    run_for(&world, &mut [&mut b], &mirrors, 3).await;
    assert!(b.holds(0) && b.holds(1));
}

#[tokio::test]
async fn two_that_live_share_evenly_after_a_minute() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(8));
    let (mut a, mut b) = (Node::new(&world, "a", "na"), Node::new(&world, "b", "nb"));
    run_for(&world, &mut [&mut a], &mirrors, 4).await;
    run_for(&world, &mut [&mut a, &mut b], &mirrors, 50).await;
    assert!((0..8).all(|mirror| a.holds(mirror)), "not before the other has settled");
    run_for(&world, &mut [&mut a, &mut b], &mirrors, 40).await;
    let of_a = (0..8).filter(|mirror| a.holds(*mirror)).count();
    let of_b = (0..8).filter(|mirror| b.holds(*mirror)).count();
    assert_eq!((of_a, of_b), (4, 4));
}

#[tokio::test]
async fn what_cannot_be_read_is_nobodys_to_take() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(1));
    let mut a = Node::new(&world, "a", "na");
    a.beat().await;
    *world.failing.lock().unwrap() = 1;
    assert!(a.leases.look().await.is_err());
    assert_eq!(a.leases.plan(REGION, &mirrors), None);
}

#[tokio::test]
async fn nothing_counts_as_taken_while_it_is_in_doubt_who_has_it() {
    let (world, mirrors) = (Arc::new(World::default()), mirrors(1));
    let mut a = Node::new(&world, "a", "na");
    run_for(&world, &mut [&mut a], &mirrors, 3).await;
    assert!(a.leases.is_taken(REGION, &mirror(0)));
    a.leases.doubt(REGION);
    assert!(!a.leases.is_taken(REGION, &mirror(0)));
    run_for(&world, &mut [&mut a], &mirrors, 3).await;
    assert!(a.leases.is_taken(REGION, &mirror(0)));
}
