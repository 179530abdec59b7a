//! The hot store: the second witness, recent frames by the number of their first record. A port with two
//! implementations: `sled_store`, and `memory` for tests.
//!
//! Owns the port. Does not know what a frame holds, nor how many are kept (`window`). One thread uses it.

pub mod memory;
pub mod sled_store;

use std::io;

use crate::ids::Seq;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HotError {
    /// It said so.
    #[error("the hot store failed")]
    Io(#[from] io::Error),
    /// Its code panicked.
    #[error("the hot store's code panicked")]
    Panicked,
    /// It did not open in time, and cannot be stopped: only a new process can go on.
    #[error("the hot store did not open within {seconds} s")]
    Hung {
        /// How long was waited.
        seconds: u64,
    },
    /// Two earlier attempts to open it ended the process, or one hung.
    #[error("opening the hot store ended {attempts} earlier processes")]
    Deadly {
        /// How many.
        attempts: u32,
    },
}

impl HotError {
    /// The operating system's error in it.
    #[must_use]
    pub fn as_io(&self) -> Option<&io::Error> {
        match self {
            Self::Io(error) => Some(error),
            Self::Panicked | Self::Hung { .. } | Self::Deadly { .. } => None,
        }
    }
}

/// An open store.
pub trait HotStore: Send {
    /// Puts a frame under its first record's number, replacing what is there; durable after [`HotStore::flush`].
    ///
    /// # Errors
    /// As the store says.
    fn insert(&mut self, first_seq: Seq, frame: &[u8]) -> Result<(), HotError>;

    /// Removes the frame, if there is one; durable after [`HotStore::flush`].
    ///
    /// # Errors
    /// As the store says.
    fn remove(&mut self, first_seq: Seq) -> Result<(), HotError>;

    /// Makes everything before durable, past the drive's cache.
    ///
    /// # Errors
    /// As the store says; what was written before is then in doubt.
    fn flush(&mut self) -> Result<(), HotError>;

    /// The frame under exactly this number.
    ///
    /// # Errors
    /// As the store says.
    fn get(&self, first_seq: Seq) -> Result<Option<Vec<u8>>, HotError>;

    /// Calls `visit` with every frame in rising order.
    ///
    /// # Errors
    /// As the store says.
    fn each(&self, visit: &mut dyn FnMut(Seq, &[u8])) -> Result<(), HotError>;
}

/// Opens the store, and puts a broken one out of the way.
pub trait HotOpener: Send {
    /// Opens the store, making it if it is missing.
    ///
    /// # Errors
    /// As the store says.
    fn open(&mut self) -> Result<Box<dyn HotStore>, HotError>;

    /// Renames the closed store, so that the next open makes an empty one; `label` tells several apart. Returns where
    /// it is now, or `None` if there was none.
    ///
    /// # Errors
    /// As the disk says.
    fn set_aside(&mut self, label: u64) -> io::Result<Option<String>>;
}
