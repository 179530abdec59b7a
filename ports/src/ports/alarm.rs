//! The alarm that a store of this process itself can no longer be written. The code that notices it raises the alarm;
//! the code that ends the process and the code that reports to people listen to it.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle; clones share the alarm. Only the first reason is kept: later failures follow from it.
#[derive(Debug, Clone)]
pub struct Alarm(Arc<watch::Sender<Option<String>>>);

impl Default for Alarm {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Alarm {
    /// Raises the alarm with a reason: which store failed, where it is, why, and what to do.
    pub fn raise(&self, reason: &str) {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            if first {
                *raised = Some(reason.to_owned());
            }
            first
        });
    }

    /// The reason, if the alarm was raised.
    #[must_use]
    pub fn raised(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until the alarm is raised.
    pub async fn wait(&self) -> String {
        let mut raised = self.0.subscribe();
        loop {
            if let Some(reason) = raised.borrow_and_update().clone() {
                return reason;
            }
            if raised.changed().await.is_err() {
                // `self` holds the sender.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn earlier_and_later_waiters_get_the_first_reason() {
        let alarm = Alarm::default();
        assert_eq!(alarm.raised(), None);
        let before = tokio::spawn({
            let alarm = alarm.clone();
            async move { alarm.wait().await }
        });
        tokio::task::yield_now().await;
        alarm.raise("first");
        alarm.raise("second");
        assert_eq!((before.await.unwrap(), alarm.wait().await), ("first".to_owned(), "first".to_owned()));
        assert_eq!(alarm.raised().as_deref(), Some("first"));
    }
}
