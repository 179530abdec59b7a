//! The hot store in memory, with separate written and flushed images. Test support.
//!
//! A flush is atomic, as it is in sled: after a crash the image is that of one flush, never a part of it. Tests add
//! damage explicitly.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{HotError, HotOpener, HotStore};
use crate::ids::Seq;
use crate::log::fault::{Faults, Survival};

type Image = BTreeMap<Seq, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    written: Image,
    flushed: Image,
    /// Numbers whose frames were inserted or removed since the last flush.
    changed: BTreeSet<Seq>,
    broken: Option<fn() -> HotError>,
    aside: Vec<u64>,
}

/// Opens the one store that all clones share.
#[derive(Debug, Clone, Default)]
pub struct MemoryHot {
    state: Arc<Mutex<State>>,
    faults: Faults,
}

impl MemoryHot {
    /// An empty store whose faults come from `faults`.
    #[must_use]
    pub fn new(faults: &Faults) -> Self {
        Self { state: Arc::default(), faults: faults.clone() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restarts the machine: what was not flushed is lost, unless `survival` is [`Survival::Everything`].
    pub fn reboot(&self, survival: Survival) {
        let mut state = self.state();
        state.changed.clear();
        if survival == Survival::Everything {
            state.flushed = state.written.clone();
        }
        state.written = state.flushed.clone();
    }

    /// Changes the frames durably.
    pub fn damage(&self, change: impl FnOnce(&mut BTreeMap<Seq, Vec<u8>>)) {
        let mut state = self.state();
        change(&mut state.written);
        state.changed.clear();
        state.flushed = state.written.clone();
    }

    /// Makes the next open fail with this error, until the store is moved aside.
    pub fn break_with(&self, error: fn() -> HotError) {
        self.state().broken = Some(error);
    }

    /// The frames that are visible now.
    #[must_use]
    pub fn frames(&self) -> BTreeMap<Seq, Vec<u8>> {
        self.state().written.clone()
    }

    /// Whether everything that was inserted or removed is flushed.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.state().changed.is_empty()
    }

    /// How often the store was moved aside.
    #[must_use]
    pub fn times_set_aside(&self) -> usize {
        self.state().aside.len()
    }
}

impl HotOpener for MemoryHot {
    fn open(&mut self) -> Result<Box<dyn HotStore>, HotError> {
        self.faults.look()?;
        match self.state().broken {
            Some(error) => Err(error()),
            None => Ok(Box::new(Opened(self.clone()))),
        }
    }

    fn set_aside(&mut self, label: u64) -> io::Result<Option<String>> {
        self.faults.step("set aside", "the hot store")?;
        let mut state = self.state();
        state.written.clear();
        state.flushed.clear();
        state.changed.clear();
        state.broken = None;
        state.aside.push(label);
        Ok(Some(format!("hot.broken.{label}")))
    }
}

struct Opened(MemoryHot);

impl HotStore for Opened {
    fn insert(&mut self, first_seq: Seq, frame: &[u8]) -> Result<(), HotError> {
        self.0.faults.step("insert into", "the hot store")?;
        let mut state = self.0.state();
        state.written.insert(first_seq, frame.to_vec());
        state.changed.insert(first_seq);
        Ok(())
    }

    fn remove(&mut self, first_seq: Seq) -> Result<(), HotError> {
        self.0.faults.step("remove from", "the hot store")?;
        let mut state = self.0.state();
        state.written.remove(&first_seq);
        state.changed.insert(first_seq);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), HotError> {
        self.0.faults.step("flush", "the hot store")?;
        let mut state = self.0.state();
        let State { written, flushed, changed, .. } = &mut *state;
        for seq in std::mem::take(changed) {
            match written.get(&seq) {
                Some(frame) => flushed.insert(seq, frame.clone()),
                None => flushed.remove(&seq),
            };
        }
        Ok(())
    }

    fn get(&self, first_seq: Seq) -> Result<Option<Vec<u8>>, HotError> {
        self.0.faults.look()?;
        Ok(self.0.state().written.get(&first_seq).cloned())
    }

    fn each(&self, visit: &mut dyn FnMut(Seq, &[u8])) -> Result<(), HotError> {
        self.0.faults.look()?;
        let frames = self.0.frames();
        frames.iter().for_each(|(&seq, frame)| visit(seq, frame));
        Ok(())
    }
}
