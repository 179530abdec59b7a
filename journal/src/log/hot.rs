//! The hot store: the second copy of recent frames, by the number of their first record. A port with two
//! implementations: `sled_store`, and `memory` for tests.
//!
//! This module owns the port. It does not know what a frame holds, nor how many are kept (`window`). One thread uses
//! it.

pub mod memory;
pub mod sled_store;

use std::io;

use crate::ids::Seq;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HotError {
    /// It returned an error.
    #[error("the hot store failed")]
    Io(#[from] io::Error),
    /// Its code panicked.
    #[error("the hot store's code panicked")]
    Panicked,
    /// It did not open in time and cannot be stopped; only a new process can continue.
    #[error("the hot store did not open within {seconds} s")]
    Hung {
        /// The time waited.
        seconds: u64,
    },
    /// Two earlier attempts to open it ended the process, or one hung.
    #[error("opening the hot store ended {attempts} earlier processes")]
    Deadly {
        /// The number of attempts.
        attempts: u32,
    },
}

impl HotError {
    /// The error of the operating system, if there is one.
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
    /// Stores a frame under its first record's number and replaces what is there; durable after [`HotStore::flush`].
    ///
    /// # Errors
    /// Any error of the store.
    fn insert(&mut self, first_seq: Seq, frame: &[u8]) -> Result<(), HotError>;

    /// Removes the frame, if it exists; durable after [`HotStore::flush`].
    ///
    /// # Errors
    /// Any error of the store.
    fn remove(&mut self, first_seq: Seq) -> Result<(), HotError>;

    /// Makes everything before durable, past the drive's cache.
    ///
    /// # Errors
    /// Any error of the store; what was written before is in doubt then.
    fn flush(&mut self) -> Result<(), HotError>;

    /// The frame under exactly this number.
    ///
    /// # Errors
    /// Any error of the store.
    fn get(&self, first_seq: Seq) -> Result<Option<Vec<u8>>, HotError>;

    /// Calls `visit` with every frame in rising order.
    ///
    /// # Errors
    /// Any error of the store.
    fn each(&self, visit: &mut dyn FnMut(Seq, &[u8])) -> Result<(), HotError>;
}

/// Opens the store, and moves a broken one aside.
pub trait HotOpener: Send {
    /// Opens the store; creates it if it is missing.
    ///
    /// # Errors
    /// Any error of the store.
    fn open(&mut self) -> Result<Box<dyn HotStore>, HotError>;

    /// Renames the closed store, so that the next open creates an empty one. `label` distinguishes several. Returns the
    /// new place, or `None` if there was no store.
    ///
    /// # Errors
    /// Any error of the disk.
    fn set_aside(&mut self, label: u64) -> io::Result<Option<String>>;
}
