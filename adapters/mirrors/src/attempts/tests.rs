//! What is made again and what not, and who looks at the table, on a clock driven by hand.

use std::sync::Mutex as StdMutex;
use std::sync::atomic::AtomicU32;

use super::*;

/// A clock that jumps over every sleep.
#[derive(Default)]
struct Jumping(StdMutex<Duration>);

#[async_trait::async_trait]
impl Clock for Jumping {
    fn wall_ms(&self) -> u64 {
        0
    }
    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
    async fn sleep(&self, duration: Duration) {
        // Others run before the time is over.
        tokio::task::yield_now().await;
        *self.0.lock().unwrap() += duration;
    }
}

struct Fixed(u64);

impl Entropy for Fixed {
    fn random_u64(&self) -> u64 {
        self.0
    }
}

fn attempts(tries: u32) -> Attempts {
    Attempts::new(Arc::new(Jumping::default()), Arc::new(Fixed(u64::MAX)), tries)
}

fn failure(effect: Effect) -> Failure {
    Failure::new(FaultKind::Retry, effect, "planted")
}

/// How often a call is made that fails so each time.
async fn times(access: Access, effect: Effect) -> u32 {
    let made = AtomicU32::new(0);
    let ended: Result<(), Failure> = attempts(5)
        .call(
            access,
            || Box::pin(async { Ok(()) }),
            || {
                made.fetch_add(1, Ordering::Relaxed);
                Box::pin(async move { Err(failure(effect)) })
            },
        )
        .await;
    assert_eq!(ended, Err(failure(effect)));
    made.into_inner()
}

#[tokio::test]
async fn only_what_was_not_done_and_reads_are_made_again() {
    assert_eq!(times(Access::Write, Effect::NoneTryAgain).await, 5);
    assert_eq!(times(Access::Read, Effect::NoneTryAgain).await, 5);
    assert_eq!(times(Access::Write, Effect::Unknown).await, 1);
    assert_eq!(times(Access::Read, Effect::Unknown).await, 2);
    for effect in [Effect::None, Effect::WrongTable] {
        assert_eq!(times(Access::Write, effect).await, 1);
        assert_eq!(times(Access::Read, effect).await, 1);
    }
}

#[tokio::test]
async fn repeats_end_in_time_for_a_lease() {
    let clock = Arc::new(Jumping::default());
    let attempts = Attempts::new(Arc::clone(&clock) as _, Arc::new(Fixed(u64::MAX)), 1000);
    let ended: Result<(), Failure> = attempts
        .call(Access::Write, || Box::pin(async { Ok(()) }), || Box::pin(async { Err(failure(Effect::NoneTryAgain)) }))
        .await;
    assert!(ended.is_err());
    assert!(clock.monotonic() <= CALL_WITHIN, "{:?}", clock.monotonic());
    assert!(clock.monotonic() > CALL_WITHIN / 2, "it did try");
}

#[tokio::test]
async fn versions_fit_a_signed_integer() {
    assert_eq!(attempts(1).new_version(), i64::MAX.cast_unsigned());
}

#[tokio::test]
async fn many_that_wait_share_one_look_at_the_table() {
    let clock = Arc::new(Jumping::default());
    let table = Readiness::default();
    let looks = AtomicU32::new(0);
    let failing = || -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async {
            looks.fetch_add(1, Ordering::Relaxed);
            clock.sleep(Duration::from_secs(1)).await;
            Err(failure(Effect::Unknown))
        })
    };
    let ended = futures_util::future::join_all((0..50).map(|_| table.ensure(&*clock, failing()))).await;
    assert!(ended.iter().all(|ended| *ended == Err(failure(Effect::Unknown))));
    assert_eq!(looks.load(Ordering::Relaxed), 1, "49 waited for the outcome of the first");
    // Who comes later looks again; once it is there, nobody does.
    table.ensure(&*clock, failing()).await.unwrap_err();
    assert_eq!(looks.load(Ordering::Relaxed), 2);
    table.ensure(&*clock, Box::pin(async { Ok(()) })).await.unwrap();
    table.ensure(&*clock, failing()).await.unwrap();
    assert_eq!(looks.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_first_contact_ends_with_a_wrong_table_only() {
    let wrong = || -> BoxFuture<'_, _> {
        Box::pin(async { Err(Failure::new(FaultKind::Refused, Effect::WrongTable, "other keys")) })
    };
    assert_eq!(attempts(1).first_contact("here", wrong).await, Err("other keys".to_owned()));
    let denied =
        || -> BoxFuture<'_, _> { Box::pin(async { Err(Failure::new(FaultKind::Denied, Effect::None, "no rights")) }) };
    assert_eq!(attempts(1).first_contact("here", denied).await, Ok(()));
    let looks = AtomicU32::new(0);
    let slow = || -> BoxFuture<'_, _> {
        let ended = if looks.fetch_add(1, Ordering::Relaxed) < 3 { Err(failure(Effect::None)) } else { Ok(()) };
        Box::pin(async { ended })
    };
    assert_eq!(attempts(1).first_contact("here", slow).await, Ok(()));
    assert_eq!(looks.into_inner(), 4);
}

#[tokio::test]
async fn a_table_that_throttles_every_call_gets_no_repeats_until_it_answers() {
    let attempts = attempts(10);
    let made = AtomicU32::new(0);
    let throttled = || async {
        let ended: Result<(), Failure> = attempts
            .call(
                Access::Write,
                || Box::pin(async { Ok(()) }),
                || {
                    made.fetch_add(1, Ordering::SeqCst);
                    Box::pin(async { Err(Failure { status: Some(400), ..failure(Effect::NoneTryAgain) }) })
                },
            )
            .await;
        ended.unwrap_err();
        made.swap(0, Ordering::SeqCst)
    };
    assert!(throttled().await > 1);
    throttled().await;
    assert_eq!((throttled().await, throttled().await), (1, 1));
    attempts.call(Access::Read, || Box::pin(async { Ok(()) }), || Box::pin(async { Ok(()) })).await.unwrap();
    assert!(throttled().await > 1, "one answer ends it");
}
