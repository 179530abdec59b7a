//! Rate and gate against a clock that stands still unless it is told otherwise.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[derive(Default)]
struct Hand(AtomicU64);

#[async_trait::async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }
    async fn sleep(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

struct Chance(u64);

impl Entropy for Chance {
    fn random_u64(&self) -> u64 {
        self.0
    }
}

#[tokio::test]
async fn a_rate_is_kept_whatever_the_start() {
    let (clock, rate) = (Hand::default(), Rate::new(Some(100)));
    clock.sleep(Duration::from_secs(10)).await;
    for _ in 0..101 {
        rate.take(&clock).await;
    }
    // 101 requests are 100 intervals, of which the burst of 50 ms is free.
    assert_eq!(clock.monotonic(), Duration::from_millis(10_950));
}

#[tokio::test]
async fn no_rate_means_no_waiting() {
    let (clock, rate) = (Hand::default(), Rate::new(None));
    for _ in 0..1000 {
        rate.take(&clock).await;
    }
    assert_eq!(clock.monotonic(), Duration::ZERO);
}

async fn round(gate: &Gate, load: Load, now: Duration) {
    let mut passes = Vec::new();
    for _ in 0..gate.limit() {
        passes.push(gate.enter().await);
    }
    for pass in passes {
        pass.leave(load, now);
    }
}

#[tokio::test]
async fn the_limit_doubles_until_throttled_then_halves_and_grows_by_one_a_round() {
    let gate = Gate::new(2, 64);
    let mut seen = Vec::new();
    for _ in 0..4 {
        round(&gate, Load::Carried, Duration::ZERO).await;
        seen.push(gate.limit());
    }
    round(&gate, Load::Throttled, Duration::from_secs(5)).await;
    seen.push(gate.limit());
    round(&gate, Load::Carried, Duration::from_secs(6)).await;
    seen.push(gate.limit());
    assert_eq!(seen, [4, 8, 16, 32, 16, 17]);
}

#[tokio::test]
async fn the_limit_has_bounds_and_is_what_the_gate_lets_through() {
    let gate = Gate::new(3, 4);
    for second in 0..5 {
        round(&gate, Load::Throttled, Duration::from_secs(second)).await;
    }
    assert_eq!(gate.limit(), 1);
    let pass = gate.enter().await;
    assert_eq!(gate.permits.available_permits(), 0, "one and no more");
    pass.leave(Load::Carried, Duration::from_secs(9));
    for _ in 0..50 {
        round(&gate, Load::Carried, Duration::from_secs(9)).await;
    }
    assert_eq!((gate.limit(), gate.permits.available_permits()), (4, 4));
}

#[tokio::test]
async fn a_pass_that_is_dropped_comes_back() {
    let gate = Gate::new(1, 1);
    drop(gate.enter().await);
    drop(gate.enter().await);
    assert_eq!(gate.permits.available_permits(), 1);
}

#[test]
fn pauses_grow_and_are_bounded() {
    let most: Vec<_> = (1..8).map(|failed| pause(failed, &Chance(99_999)).as_millis()).collect();
    assert_eq!(most, [199, 299, 499, 899, 1699, 2599, 2599]);
    assert_eq!(pause(1, &Chance(0)), Duration::from_millis(100));
    assert!(pause(u32::MAX, &Chance(u64::MAX)) < Duration::from_secs(5));
}
