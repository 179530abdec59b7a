//! That a store of this process's own can no longer be written: raised where it is noticed, heard where the process is
//! ended and where people look.

use std::sync::Arc;

use tokio::sync::watch;

/// A handle; clones share it. Only the first reason counts: what fails after it follows from it.
#[derive(Debug, Clone)]
pub struct Alarm(Arc<watch::Sender<Option<String>>>);

impl Default for Alarm {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Alarm {
    /// Says what failed: which store, where it is, why, and what to do.
    pub fn raise(&self, reason: &str) {
        self.0.send_if_modified(|raised| {
            let first = raised.is_none();
            if first {
                *raised = Some(reason.to_owned());
            }
            first
        });
    }

    /// The reason, once it was raised.
    #[must_use]
    pub fn raised(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until it is raised.
    pub async fn wait(&self) -> String {
        let mut raised = self.0.subscribe();
        loop {
            if let Some(reason) = raised.borrow_and_update().clone() {
                return reason;
            }
            if raised.changed().await.is_err() {
                // Its sender is held by `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts_and_reaches_who_waits_before_and_after() {
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
