//! Answers about callers: how long they count, and what stands in while lakeFS is silent.

use async_trait::async_trait;

use super::*;

/// A clock that stands still, and on which sleeping takes no time.
#[derive(Default)]
struct Still(Mutex<Duration>);

#[async_trait]
impl Clock for Still {
    fn wall_ms(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    async fn sleep(&self, _: Duration) {}
}

struct Fixed(u64);

impl Entropy for Fixed {
    fn random_u64(&self) -> u64 {
        self.0
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct World {
    clock: Arc<Still>,
    answers: Answers<u8>,
    asked: std::sync::atomic::AtomicUsize,
}

impl World {
    fn new(settings: Option<CacheSettings>, random: u64) -> Self {
        let clock = Arc::<Still>::default();
        let answers = Answers::new(settings, clock.clone(), Arc::new(Fixed(random)));
        Self { clock, answers, asked: Default::default() }
    }

    async fn ask(&self, at: u64, text: &str, freshness: Freshness, answer: Result<Option<u8>, Fault>) -> Reply {
        *self.clock.0.lock().unwrap() = s(at);
        let call = async {
            self.asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            answer
        };
        self.answers.ask(text, freshness, call).await
    }

    fn asked(&self) -> usize {
        self.asked.load(std::sync::atomic::Ordering::SeqCst)
    }
}

type Reply = Result<Option<u8>, Fault>;

fn down(kind: FaultKind) -> Fault {
    Fault { kind, call: "ask".into(), status: None, message: "connection refused".into() }
}

use Freshness::{Current, Stale};

const CACHED: CacheSettings = CacheSettings { size: 2, ttl: Duration::from_secs(20), jitter: Duration::from_secs(3) };

#[tokio::test]
async fn an_answer_is_fresh_for_its_time_and_jitter() {
    let world = World::new(Some(CACHED), 1_000_000_000);
    for (at, asked) in [(100, 1), (120, 1), (121, 2)] {
        assert_eq!(world.ask(at, "a", Current, Ok(Some(1))).await, Ok(Some(1)));
        assert_eq!(world.asked(), asked, "at {at}");
    }
}

#[tokio::test]
async fn without_a_cache_every_call_asks() {
    let world = World::new(None, 0);
    for asked in 1..4 {
        assert_eq!(world.ask(0, "a", Stale, Ok(Some(1))).await, Ok(Some(1)));
        assert_eq!(world.asked(), asked);
    }
}

#[tokio::test]
async fn reads_are_answered_for_a_quarter_of_an_hour_while_lakefs_is_silent_and_changes_never() {
    for settings in [None, Some(CACHED)] {
        let world = World::new(settings, 0);
        world.ask(0, "a", Current, Ok(Some(7))).await.unwrap();
        assert_eq!(world.ask(899, "a", Stale, Err(down(FaultKind::Retry))).await, Ok(Some(7)));
        assert_eq!(world.ask(899, "a", Current, Err(down(FaultKind::Retry))).await, Err(down(FaultKind::Retry)));
        assert_eq!(world.ask(899, "b", Stale, Err(down(FaultKind::Retry))).await, Err(down(FaultKind::Retry)));
        assert_eq!(world.ask(910, "a", Stale, Err(down(FaultKind::Retry))).await, Err(down(FaultKind::Retry)));
    }
}

#[tokio::test]
async fn a_lakefs_that_refuses_our_own_credentials_is_not_silent() {
    let world = World::new(None, 0);
    world.ask(0, "a", Current, Ok(Some(7))).await.unwrap();
    assert_eq!(world.ask(1, "a", Stale, Err(down(FaultKind::Denied))).await, Err(down(FaultKind::Denied)));
}

#[tokio::test]
async fn a_lakefs_that_lets_wait_is_silent() {
    let world = World::new(None, 0);
    world.ask(0, "a", Current, Ok(Some(7))).await.unwrap();
    let never = std::future::pending();
    assert_eq!(world.answers.ask("a", Stale, never).await, Ok(Some(7)));
    assert_eq!(world.ask(1, "a", Stale, Ok(Some(8))).await, Ok(Some(7)), "for a moment it is not asked again");
    assert_eq!(world.ask(6, "a", Stale, Ok(Some(8))).await, Ok(Some(8)));
}

#[tokio::test]
async fn a_refusal_ends_what_was_found_and_counts_for_five_seconds() {
    let world = World::new(None, 0);
    world.ask(0, "a", Current, Ok(Some(7))).await.unwrap();
    assert_eq!(world.ask(1, "a", Current, Ok(None)).await, Ok(None));
    assert_eq!(world.ask(1, "a", Stale, Err(down(FaultKind::Retry))).await, Ok(None), "refused a moment ago");
    assert_eq!(world.asked(), 2);
    assert_eq!(world.ask(6, "a", Stale, Err(down(FaultKind::Retry))).await, Err(down(FaultKind::Retry)));
    assert_eq!(world.ask(7, "a", Current, Ok(Some(8))).await, Ok(Some(8)));
}

#[tokio::test]
async fn a_thousand_wrong_passwords_are_one_call() {
    let world = World::new(None, 0);
    for _ in 0..1000 {
        assert_eq!(world.ask(0, "wrong", Current, Ok(None)).await, Ok(None));
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn no_more_is_kept_than_the_size() {
    let world = World::new(Some(CACHED), 0);
    for (at, text) in [(0, "a"), (1, "b"), (2, "c")] {
        world.ask(at, text, Current, Ok(Some(0))).await.unwrap();
    }
    assert_eq!(world.answers.memory().found.len(), 2);
    world.ask(3, "b", Current, Ok(Some(0))).await.unwrap();
    assert_eq!(world.asked(), 3, "the oldest has gone, the others are there");
    for wrong in 0..2 * KEPT_MAX {
        world.ask(3, &wrong.to_string(), Current, Ok(None)).await.unwrap();
    }
    assert_eq!(world.answers.memory().refused.len(), KEPT_MAX);
}

#[tokio::test]
async fn keys_are_salted() {
    let (one, other) = (World::new(None, 1), World::new(None, 2));
    assert_ne!(one.answers.key("AK:SK"), other.answers.key("AK:SK"));
}
