//! A bounded queue. Sending takes two steps, as in tokio: reserving a slot, and then storing the value in it. Anything
//! that can happen between the two (including the end of the queue) can happen here.

use real_tokio::sync::mpsc;
pub use real_tokio::sync::mpsc::error;
use shuttle::future::block_on;

use super::point;

/// A queue with room for `room` values.
pub fn channel<T>(room: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(room);
    (Sender(sender), Receiver(receiver))
}

/// The sending half.
pub struct Sender<T>(mpsc::Sender<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// As tokio's.
    pub async fn send(&self, value: T) -> Result<(), error::SendError<T>> {
        point();
        match self.0.reserve().await {
            Ok(place) => {
                point();
                place.send(value);
                Ok(())
            }
            Err(_) => Err(error::SendError(value)),
        }
    }

    /// As tokio's.
    pub async fn closed(&self) {
        point();
        self.0.closed().await;
    }
}

/// The receiving half.
pub struct Receiver<T>(mpsc::Receiver<T>);

impl<T> Receiver<T> {
    /// As tokio's.
    pub async fn recv(&mut self) -> Option<T> {
        point();
        self.0.recv().await
    }

    /// As tokio's, which blocks on [`Receiver::recv`] too.
    pub fn blocking_recv(&mut self) -> Option<T> {
        block_on(self.recv())
    }

    /// As tokio's.
    pub fn try_recv(&mut self) -> Result<T, error::TryRecvError> {
        point();
        self.0.try_recv()
    }

    /// As tokio's.
    pub fn close(&mut self) {
        point();
        self.0.close();
    }
}
