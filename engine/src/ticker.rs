//! A tick for everybody who waits: that there is something new, never what.
//!
//! Unlike a watch channel it wakes those who wait in the order in which they began to, so that a run can be repeated.

use std::sync::Arc;

use lakemirror_core::mutant;
use tokio::sync::Notify;

use crate::threads::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
struct Shared {
    count: AtomicU64,
    notify: Notify,
}

/// The side that ticks.
#[derive(Debug, Clone, Default)]
pub struct Ticker(Arc<Shared>);

/// The side that waits.
#[derive(Debug)]
pub struct Ticks {
    shared: Arc<Shared>,
    seen: u64,
}

impl Ticker {
    /// Wakes everybody who waits, and lets everybody who is busy not wait the next time.
    pub fn tick(&self) {
        let early = mutant::is_on("tick_before_count");
        if early {
            self.0.notify.notify_waiters();
        }
        self.0.count.fetch_add(1, Ordering::AcqRel);
        if mutant::is_on("one_watcher_woken") {
            return self.0.notify.notify_one();
        }
        if !early {
            self.0.notify.notify_waiters();
        }
    }

    /// Waits for ticks from now on.
    #[must_use]
    pub fn ticks(&self) -> Ticks {
        Ticks { shared: Arc::clone(&self.0), seen: self.0.count.load(Ordering::Acquire) }
    }
}

impl Ticks {
    /// What ticked until now is known.
    pub fn mark_unchanged(&mut self) {
        self.seen = self.shared.count.load(Ordering::Acquire);
    }

    /// Returns once there was a tick since the last return, or since [`Ticks::mark_unchanged`].
    pub async fn changed(&mut self) {
        loop {
            // Begun before the count is looked at: a tick in between is not missed.
            let mut next = self.shared.notify.notified();
            let count = self.shared.count.load(Ordering::Acquire);
            if mutant::is_on("count_before_waiting") {
                next = self.shared.notify.notified();
            }
            if count != self.seen {
                self.seen = count;
                return;
            }
            next.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn ticks_are_not_missed_and_count_once() {
        let ticker = Ticker::default();
        let (mut one, mut two) = (ticker.ticks(), ticker.ticks());
        assert_eq!(one.changed().now_or_never(), None);
        ticker.tick();
        ticker.tick();
        assert_eq!(one.changed().now_or_never(), Some(()));
        assert_eq!(one.changed().now_or_never(), None);
        two.mark_unchanged();
        assert_eq!(two.changed().now_or_never(), None);
        let mut waiting = Box::pin(two.changed());
        assert_eq!((&mut waiting).now_or_never(), None);
        ticker.tick();
        assert_eq!(waiting.now_or_never(), Some(()));
    }
}
