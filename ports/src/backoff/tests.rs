//! The back-off policy and the bounded retry loop, on a clock driven by hand.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

struct Fixed(u64);

impl Entropy for Fixed {
    fn random_u64(&self) -> u64 {
        self.0
    }
}

/// A clock that jumps over every sleep.
#[derive(Default)]
struct Jumping(Mutex<Duration>);

#[async_trait::async_trait]
impl Clock for Jumping {
    fn wall_ms(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    async fn sleep(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const BUDGET: Budget =
    Budget { tries: 3, within: Duration::from_secs(5), backoff: Backoff { base: ms_const(200), cap: ms_const(2000) } };

const fn ms_const(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn delays_double_up_to_the_cap_and_jitter_covers_the_upper_half() {
    let backoff = Backoff { base: ms(200), cap: ms(1000) };
    let least: Vec<_> = (0..6).map(|n| backoff.delay(n, &Fixed(0))).collect();
    assert_eq!(least, [ms(0), ms(100), ms(200), ms(400), ms(500), ms(500)]);
    let most = backoff.delay(2, &Fixed(u64::MAX));
    assert!(most > ms(399) && most < ms(400), "{most:?}");
}

proptest! {
    #[test]
    fn a_delay_is_within_its_bounds(base in 0u64..10_000, cap in 0u64..100_000, failures in 1u32.., random: u64) {
        let backoff = Backoff { base: ms(base), cap: ms(cap) };
        let whole = ms(base).saturating_mul(1 << (failures - 1).min(31)).min(ms(cap));
        let delay = backoff.delay(failures, &Fixed(random));
        prop_assert!(delay >= whole / 2 && delay <= whole);
    }
}

/// Runs `retry` over an attempt that fails `failing` times. Returns the number of tries, the time at the end, and the
/// result.
async fn run(failing: u32, again: Again) -> (u32, Duration, Result<u32, u32>) {
    let clock = Jumping::default();
    let tried = AtomicU32::new(0);
    let attempt = |failures: u32| -> BoxFuture<'_, Result<u32, u32>> {
        let n = tried.fetch_add(1, Ordering::SeqCst);
        assert_eq!(n, failures);
        Box::pin(async move { if n < failing { Err(n) } else { Ok(n) } })
    };
    let end = retry(&clock, &Fixed(0), BUDGET, attempt, |_| again).await;
    (tried.load(Ordering::SeqCst), clock.monotonic(), end)
}

#[tokio::test]
async fn retry_returns_the_success_or_the_last_failure() {
    assert_eq!(run(0, Again::Yes).await, (1, ms(0), Ok(0)));
    assert_eq!(run(2, Again::Yes).await, (3, ms(300), Ok(2)));
    assert_eq!(run(9, Again::Yes).await, (3, ms(300), Err(2)));
    assert_eq!(run(9, Again::No).await, (1, ms(0), Err(0)));
}

#[tokio::test]
async fn a_requested_delay_is_kept_within_the_budget_and_ends_the_retries_beyond_it() {
    assert_eq!(run(1, Again::NotBefore(ms(4000))).await, (2, ms(4000), Ok(1)));
    assert_eq!(run(1, Again::NotBefore(ms(5001))).await, (1, ms(0), Err(0)));
    assert_eq!(run(9, Again::NotBefore(ms(2600))).await, (2, ms(2600), Err(1)), "the second wait would pass 5 s");
}
