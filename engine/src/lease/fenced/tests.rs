//! Calls under a lease that is not there, ends, is renewed, or ends while the process is paused.

use std::sync::atomic::{AtomicU32, Ordering};

use lakemirror_ports::clock::system::SystemClock;

use super::super::LeaseClock;
use super::*;

/// A clock that a test sets. Sleeping never ends, or ends at once after moving it.
struct Hand(std::sync::Mutex<Duration>, bool);

#[async_trait]
impl Clock for Hand {
    fn wall_ms(&self) -> u64 {
        0
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        if self.1 {
            return std::future::pending().await;
        }
        tokio::task::yield_now().await;
        *self.0.lock().unwrap() += duration;
    }
}

fn leased(lease_clock: &Arc<LeaseClock>) -> Lease {
    let lease = Lease::new(Arc::clone(lease_clock));
    lease.grant(1, lease_clock.number(Duration::ZERO).unwrap());
    lease
}

#[tokio::test]
async fn without_a_lease_no_call_is_begun() {
    let lease = Lease::new(Arc::new(LeaseClock::endless()));
    let begun = AtomicU32::new(0);
    let call = async { begun.fetch_add(1, Ordering::Relaxed) };
    assert_eq!(while_live(&lease, &SystemClock::new(), call).await, None);
    assert_eq!(begun.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_call_is_given_up_when_the_lease_ends_and_not_before() {
    let lease_clock = Arc::new(LeaseClock::default());
    lease_clock.acknowledged(Duration::ZERO, Duration::ZERO);
    let (lease, hand) = (leased(&lease_clock), Hand(Duration::ZERO.into(), false));
    assert_eq!(while_live(&lease, &hand, async { 5 }).await, Some(5));
    assert_eq!(while_live(&lease, &hand, std::future::pending::<u8>()).await, None);
    assert!(hand.monotonic() >= super::super::LEASE_TTL, "it was waited for as long as the lease held");
}

/// A process that was paused between two steps of a call (its repeats, say) does not take the next one.
#[tokio::test]
async fn a_call_that_wakes_up_after_the_lease_goes_no_further() {
    let lease_clock = Arc::new(LeaseClock::default());
    lease_clock.acknowledged(Duration::ZERO, Duration::ZERO);
    let (lease, hand) = (leased(&lease_clock), Hand(Duration::ZERO.into(), true));
    let steps = AtomicU32::new(0);
    let call = async {
        steps.fetch_add(1, Ordering::Relaxed);
        *hand.0.lock().unwrap() += Duration::from_secs(60);
        tokio::task::yield_now().await;
        steps.fetch_add(1, Ordering::Relaxed);
    };
    assert_eq!(while_live(&lease, &hand, call).await, None);
    assert_eq!(steps.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_renewed_lease_lets_a_long_call_finish() {
    let lease_clock = Arc::new(LeaseClock::default());
    lease_clock.acknowledged(Duration::ZERO, Duration::ZERO);
    let (lease, hand) = (leased(&lease_clock), Hand(Duration::ZERO.into(), true));
    let call = async {
        for beat in 1..6 {
            *hand.0.lock().unwrap() = Duration::from_secs(beat * 5);
            lease_clock.acknowledged(hand.monotonic(), hand.monotonic());
            tokio::task::yield_now().await;
        }
        9
    };
    assert_eq!(while_live(&lease, &hand, call).await, Some(9));
}
