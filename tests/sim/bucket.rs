//! The destination's bucket and the replication into it; the engine's port over it.
//!
//! The store does not lie: an object that it reports as present exists with that size. It may be late, deny access, or
//! not respond.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror::engine::ports::{Answer, Destination, Effort, Fault, FaultKind, Fetched, Location, Outcome, Wanted};

use crate::agenda::{MS, Micros, SECOND, Sim};
use crate::wire::{Call, Wire, fault};
use crate::world::{Place, World};

/// An object, or a metadata file with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) size: u64,
    pub(crate) bytes: Option<Bytes>,
}

/// The contents, and what is being replicated. Keys are `bucket/key`.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Stored>,
    pub(crate) markers: BTreeSet<String>,
    /// Everything that the source has ever written.
    pub(crate) written: BTreeMap<String, Stored>,
    /// What garbage collection has removed at the source.
    pub(crate) gone: BTreeSet<String>,
    /// What does not arrive until it is released.
    pub(crate) held: BTreeSet<String>,
}

fn arrive(sim: &Sim, key: &str, stored: Stored) {
    let mut world = sim.world();
    if world.bucket.gone.contains(key) {
        return;
    }
    world.bucket.markers.remove(key);
    world.happened += 1;
    world.note(|| format!("  {key} arrives ({} bytes)", stored.size));
    world.bucket.objects.insert(key.to_owned(), stored);
}

/// Starts replicating an object, once.
pub(crate) fn replicate(sim: &Sim, world: &mut World, key: &str, stored: Stored) {
    if world.bucket.written.insert(key.to_owned(), stored).is_some() {
        return;
    }
    if world.dice.chance(world.weather.held) {
        world.bucket.held.insert(key.to_owned());
        world.note(|| format!("  {key} is held"));
        return;
    }
    send(sim, world, key);
}

/// Lets a written object arrive after a delay.
pub(crate) fn send(sim: &Sim, world: &mut World, key: &str) {
    let Some(stored) = world.bucket.written.get(key).cloned() else { return };
    let mut delay = world.dice.between(20 * MS, 1500 * MS);
    if world.dice.chance(world.weather.stragglers) {
        delay = world.dice.between(2 * SECOND, 40 * SECOND);
    }
    let first = match &stored.bytes {
        Some(bytes) if world.dice.chance(world.weather.damaged_first) => {
            let mut damaged = bytes.to_vec();
            let place = world.dice.below(damaged.len() as u64) as usize;
            damaged[place] ^= 1 << world.dice.below(8);
            Some(Stored { bytes: Some(Bytes::from(damaged)), ..stored.clone() })
        }
        None if world.dice.chance(world.weather.wrong_first) => Some(Stored { size: stored.size + 1, bytes: None }),
        _ => None,
    };
    if let Some(first) = first {
        later(sim, key, first, delay);
        delay += world.dice.between(SECOND, 20 * SECOND);
    }
    later(sim, key, stored, delay);
}

fn later(sim: &Sim, key: &str, stored: Stored, delay: Micros) {
    let key = key.to_owned();
    sim.after(delay, Box::new(move |sim| arrive(sim, &key, stored)));
}

/// The bucket as a process reaches it.
pub(crate) struct Port(pub(crate) Wire);

fn look(world: &mut World, key: &str, size: u64) -> Outcome {
    let weather = &world.weather;
    if world.dice.chance(weather.unknown) {
        return Outcome::Unknown;
    }
    if world.dice.chance(weather.forbidden) {
        return Outcome::Forbidden;
    }
    match world.bucket.objects.get(key) {
        Some(_) if world.dice.chance(weather.late_keys) => Outcome::Absent,
        Some(found) if found.size == size => Outcome::Present,
        Some(found) => Outcome::WrongSize { found: found.size },
        None if world.bucket.markers.contains(key) => Outcome::Deleted,
        None => Outcome::Absent,
    }
}

#[async_trait]
impl Destination for Port {
    async fn read(&self, at: &Location, limit: u64) -> Result<Fetched, Fault> {
        let key = format!("{}/{}", at.bucket, at.key);
        let of = key.clone();
        let work = move |_: &_, world: &mut World| {
            if world.dice.chance(world.weather.forbidden) {
                return Err(fault(FaultKind::Denied, "read", "403"));
            }
            let found = world.bucket.objects.get(&of).and_then(|stored| stored.bytes.clone());
            Ok(match found {
                Some(bytes) if bytes.len() as u64 > limit => {
                    return Err(fault(FaultKind::Refused, "read", "too large"));
                }
                Some(_) if world.dice.chance(world.weather.late_keys) => Fetched::Absent,
                Some(bytes) => Fetched::Bytes(bytes),
                None if world.bucket.markers.contains(&of) => Fetched::Deleted,
                None => Fetched::Absent,
            })
        };
        let answer = self.0.call(Call::read(Place::Bucket, "read"), &key, work).await?;
        if let Fetched::Bytes(bytes) = &answer {
            let mut world = self.0.sim.world();
            // A file that arrived damaged is not evidence.
            let whole = world.bucket.written.get(&key).and_then(|stored| stored.bytes.as_ref()) == Some(bytes);
            if whole {
                world.judge.now = world.now;
                world.judge.arrival_told(&self.0.who, &key);
            }
        }
        Ok(answer)
    }

    async fn check(
        &self,
        bucket: &str,
        wanted: Vec<Wanted>,
        _: Effort,
        answers: &(dyn Fn(Vec<Answer>) + Send + Sync),
    ) -> Result<(), Fault> {
        let name = bucket.to_owned();
        let work = move |_: &_, world: &mut World| {
            let look = |one: &Wanted| {
                let key = format!("{name}/{}", one.key);
                let outcome = look(world, &key, one.size);
                (key, Answer { tag: one.tag, outcome })
            };
            let mut found: Vec<(String, Answer)> = wanted.iter().map(look).collect();
            // In any order.
            for place in (1..found.len()).rev() {
                found.swap(place, world.dice.below(place as u64 + 1) as usize);
            }
            Ok(found)
        };
        let found = self.0.call(Call::read(Place::Bucket, "check"), bucket, work).await?;
        let parts = self.0.sim.world().dice.between(1, 2) as usize;
        for part in found.chunks(found.len().div_ceil(parts).max(1)) {
            self.0.sim.pass(self.0.process, MS).await;
            {
                let mut world = self.0.sim.world();
                world.judge.now = world.now;
                for (key, answer) in part.iter().filter(|(_, answer)| answer.outcome == Outcome::Present) {
                    let _ = answer;
                    world.judge.arrival_told(&self.0.who, key);
                }
            }
            answers(part.iter().map(|(_, answer)| *answer).collect());
        }
        Ok(())
    }
}
