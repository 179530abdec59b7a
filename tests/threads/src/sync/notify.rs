//! A wake-up for all waiting tasks.

use std::pin::Pin;

/// As tokio's.
#[derive(Debug, Default)]
pub struct Notify(real_tokio::sync::Notify);

impl Notify {
    /// As tokio's: notifications count from this call on, not from the first poll.
    pub fn notified(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        super::point();
        let waiting = self.0.notified();
        Box::pin(async move {
            super::point();
            waiting.await;
        })
    }

    /// As tokio's.
    pub fn notify_waiters(&self) {
        super::point();
        self.0.notify_waiters();
    }

    /// As tokio's.
    pub fn notify_one(&self) {
        super::point();
        self.0.notify_one();
    }
}
