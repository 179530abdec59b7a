//! Replication with a manual clock and entropy.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

struct HandClock(AtomicU64);

#[async_trait::async_trait]
impl Clock for HandClock {
    fn wall_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _: Duration) {
        tokio::task::yield_now().await;
    }
}

/// SplitMix64: every number once, well mixed.
struct Mixed(AtomicU64);

impl Entropy for Mixed {
    fn random_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

struct World {
    dir: tempfile::TempDir,
    clock: Arc<HandClock>,
    replication: Arc<Replication>,
}

impl World {
    fn new(behaviour: Behaviour) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock(AtomicU64::new(0)));
        let at = |name: &str| dir.path().join(name);
        let entropy = Arc::new(Mixed(AtomicU64::new(7)));
        let replication = Replication::new(at("from"), at("to"), at("tmp"), behaviour, clock.clone(), entropy).unwrap();
        Self { dir, clock, replication: Arc::new(replication) }
    }

    fn write(&self, key: &str, bytes: &str) {
        let path = self.dir.path().join("from").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn arrived(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join("to").join(key)).ok()
    }

    fn advance(&self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Runs turns until nothing is waiting, and returns the keys in the order in which they were copied.
    fn settle(&self) -> Vec<String> {
        let mut copied = Vec::new();
        loop {
            for event in self.replication.turn().unwrap() {
                if let Event::Copied { key, .. } = event {
                    copied.push(key);
                }
            }
            if self.replication.status().waiting == 0 {
                return copied;
            }
            self.advance(50);
        }
    }
}

#[test]
fn files_arrive_late_and_out_of_order() {
    let world = World::new(Behaviour::default());
    let keys: Vec<String> = (0..200).map(|at| format!("b/ns/data/p/{at:03}")).collect();
    for key in &keys {
        world.write(key, key);
    }
    assert_eq!(world.replication.turn().unwrap(), [], "nothing comes at once");
    assert_eq!(world.replication.status().waiting, 200);
    let copied = world.settle();
    assert_ne!(copied, keys);
    assert!(copied.iter().zip(copied.iter().skip(1)).filter(|(a, b)| a > b).count() > 50);
    let sorted: BTreeSet<&String> = copied.iter().collect();
    assert_eq!(sorted.len(), 200);
    assert!(keys.iter().all(|key| world.arrived(key).as_ref() == Some(key)));
    // Later files are found as well, also in directories that were read long ago.
    world.advance(60_000);
    world.replication.turn().unwrap();
    world.write("b/ns/data/p/late", "x");
    world.write("c/new/folder", "y");
    assert_eq!(
        world.settle().into_iter().collect::<BTreeSet<_>>(),
        ["b/ns/data/p/late", "c/new/folder"].map(str::to_owned).into()
    );
}

#[test]
fn held_files_wait_for_their_release() {
    let world = World::new(Behaviour::default());
    world.replication.hold("*/data/*");
    world.replication.hold("*/data/2");
    world.write("b/data/1", "1");
    world.write("b/data/2", "2");
    world.write("b/_lakefs/x", "x");
    assert_eq!(world.settle(), ["b/_lakefs/x"]);
    assert_eq!(world.replication.held(), ["b/data/1", "b/data/2"]);
    world.replication.release("*/data/*");
    assert_eq!(world.settle(), ["b/data/1"], "the other hold stays");
    world.replication.release_all();
    assert_eq!(world.settle(), ["b/data/2"]);
}

#[test]
fn lost_files_stay_lost_until_they_are_released() {
    let world = World::new(Behaviour { lost_one_in: 4, ..Behaviour::default() });
    for at in 0..100 {
        world.write(&format!("b/{at}"), "x");
    }
    let copied = world.settle().len();
    let lost = world.replication.held().len();
    assert_eq!(copied + lost, 100);
    assert!((10..45).contains(&lost), "{lost} lost");
    world.replication.release("b/*");
    assert_eq!(world.settle().len(), lost);
}

#[test]
fn restart_copies_only_missing_files() {
    let world = World::new(Behaviour::default());
    for (key, bytes) in [("b/same", "12"), ("b/missing", "3"), ("b/half", "4567")] {
        world.write(key, bytes);
    }
    let to = world.dir.path().join("to/b");
    fs::create_dir_all(&to).unwrap();
    fs::write(to.join("same"), "12").unwrap();
    fs::write(to.join("half"), "4").unwrap();
    let copied: BTreeMap<String, ()> = world.settle().into_iter().map(|key| (key, ())).collect();
    assert_eq!(copied.into_keys().collect::<Vec<_>>(), ["b/half", "b/missing"]);
    assert_eq!(world.arrived("b/half").unwrap(), "4567");
}

#[test]
fn deletions_are_replicated_only_if_enabled() {
    for deletes in [false, true] {
        let world = World::new(Behaviour { deletes, ..Behaviour::default() });
        world.write("b/1", "1");
        world.settle();
        fs::remove_file(world.dir.path().join("from/b/1")).unwrap();
        world.settle();
        assert_eq!(world.arrived("b/1").is_none(), deletes);
    }
}

#[test]
fn same_seed_gives_same_events() {
    let run = || {
        let world = World::new(Behaviour { straggler_one_in: 5, ..Behaviour::default() });
        world.replication.turn().unwrap();
        // One at a time, because the order of a directory listing is not deterministic.
        for at in 0..30 {
            world.write(&format!("b/{at:02}"), "x");
            world.replication.turn().unwrap();
        }
        world.settle()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_turn_is_bounded() {
    let world = World::new(Behaviour { delay_min: Duration::ZERO, delay_max: Duration::ZERO, ..Behaviour::default() });
    for at in 0..EVENTS_PER_TURN_MAX + 1 {
        world.write(&format!("b/{at}"), "");
    }
    assert_eq!(world.replication.turn().unwrap().len(), EVENTS_PER_TURN_MAX);
    assert_eq!(world.replication.turn().unwrap().len(), 1);
}

#[tokio::test]
async fn running_replication_ends_when_cancelled() {
    let world = World::new(Behaviour { delay_max: Duration::ZERO, delay_min: Duration::ZERO, ..Behaviour::default() });
    world.write("b/1", "1");
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let mut seen = Vec::new();
    let show = |event| {
        seen.push(event);
        stop.cancel();
    };
    Arc::clone(&world.replication).run(cancel, show).await.unwrap();
    assert_eq!(seen, [Event::Copied { key: "b/1".into(), bytes: 1 }]);
}
