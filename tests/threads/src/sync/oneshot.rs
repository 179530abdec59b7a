//! A channel for one answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use real_tokio::sync::oneshot;
pub use real_tokio::sync::oneshot::error;

use super::point;

/// A channel for one answer.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = oneshot::channel();
    (Sender(sender), Receiver(receiver))
}

/// Sends the answer.
pub struct Sender<T>(oneshot::Sender<T>);

impl<T> Sender<T> {
    /// As tokio's.
    pub fn send(self, value: T) -> Result<(), T> {
        point();
        self.0.send(value)
    }
}

/// Receives the answer.
pub struct Receiver<T>(oneshot::Receiver<T>);

impl<T> Future for Receiver<T> {
    type Output = Result<T, error::RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        point();
        Pin::new(&mut self.0).poll(cx)
    }
}
