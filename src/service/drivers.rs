//! Tracks which process drives a mirror of another region, and when it last confirmed that.
//!
//! This module has the observed heartbeats and owners, and the one rule for when a driver counts as silent. An age is
//! the time on this process's monotonic clock since a heartbeat *changed*. Times from another process are compared only
//! with other times from it. Pure: readings in, what is known of a driver out.
//!
//! A process that has just started has not observed a heartbeat change and cannot tell the age of what it reads. Until
//! [`SILENT_AFTER`] has passed it reports no age and assumes that what it reads is current.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_ports::{Heartbeat, Incarnation, Owner};

/// How long after its last observed heartbeat a driver counts as silent. Heartbeats are written every 5 s and observed
/// within 3 s, so a dead driver is detected within 16 s, and a heartbeat that is one interval late does not count.
pub const SILENT_AFTER: Duration = Duration::from_secs(13);

/// How long a mirror may be without a driver while processes of its region live. They read definitions periodically.
pub const UNOWNED_AFTER: Duration = Duration::from_secs(120);

/// One reading of a region's heartbeats, and of its owners if they were read as well.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// When it was sent, on the monotonic clock.
    /// When the request was sent, monotonic.
    /// When it was answered.
    /// When the response came, monotonic.
    /// The heartbeats, each with its writer's time, milliseconds since 1970.
    pub beats: Vec<(Heartbeat, u64)>,
    /// Which process drives which mirror.
    pub owners: Option<BTreeMap<Incarnation, Owner>>,
}

/// What is known of a mirror's driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Time since it last confirmed what it published; `None` if unknown.
    pub age: Option<Duration>,
    /// The time on its own clock, if known, in milliseconds since 1970.
    pub their_now_ms: Option<u64>,
    /// Why what it published may be outdated, and since when.
    pub silence: Option<Silence>,
}

/// A driver that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Which process, for people.
    pub who: Who,
    /// How long it has lasted.
    pub lasting: Duration,
}

/// Who is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A process that does not answer.
    Driver(String),
    /// A process that reported its end.
    Ended(String),
    /// No process drives the mirror.
    Nobody,
    /// No process of the region is alive.
    Region,
}

#[derive(Debug)]
struct Seen {
    beat: Heartbeat,
    wall_ms: u64,
    /// When the reading that first had this heartbeat was answered.
    answered: Duration,
    /// When the last reading without this heartbeat was sent; `None` for the first heartbeat observed of a process.
    not_before: Option<Duration>,
}

#[derive(Debug, Default)]
struct Regional {
    first: Duration,
    last_sent: Duration,
    seen: BTreeMap<String, Seen>,
    owners: Option<(BTreeMap<Incarnation, Owner>, Duration)>,
    /// When each mirror was first observed without an owner.
    unowned: BTreeMap<Incarnation, Duration>,
}

/// What was observed of the processes of all regions.
#[derive(Debug, Default)]
pub struct Drivers {
    regions: BTreeMap<String, Regional>,
}

impl Drivers {
    /// Records a reading of a region.
    pub fn take(&mut self, region: &str, reading: Reading) {
        let Reading { sent, answered, beats, owners } = reading;
        let is_first = !self.regions.contains_key(region);
        let regional = self.regions.entry(region.to_owned()).or_default();
        if is_first {
            regional.first = answered;
        }
        let mut before = std::mem::take(&mut regional.seen);
        for (beat, wall_ms) in beats {
            let old = before.remove(&beat.process);
            // A heartbeat that the last reading did not have was written after that reading was sent.
            let not_before = (!is_first).then_some(regional.last_sent);
            let seen = match old {
                Some(old) if old.beat.count == beat.count && old.beat.ended == beat.ended => old,
                _ => Seen { wall_ms, answered, not_before, beat },
            };
            regional.seen.insert(seen.beat.process.clone(), seen);
        }
        regional.last_sent = sent;
        if let Some(owners) = owners {
            regional.owners = Some((owners, answered));
        }
    }

    /// Forgets regions without mirrors.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.regions.retain(|region, _| keep(region));
    }

    /// Whether the next reading should read owners: none were read, they are old, or one of them is silent.
    #[must_use]
    pub fn wants_owners(&self, region: &str, now: Duration, old: Duration) -> bool {
        let Some(regional) = self.regions.get(region) else { return true };
        let Some((owners, read)) = &regional.owners else { return true };
        let holders = owners.values().map(|owner| owner.holder.as_deref());
        now.saturating_sub(*read) >= old || holders.into_iter().any(|holder| !regional.is_heard(holder, now))
    }

    /// Records since when the given mirrors of a region have no owner.
    pub fn note_unowned(&mut self, region: &str, mirrors: &[Incarnation], now: Duration) {
        let Some(regional) = self.regions.get_mut(region) else { return };
        let owners = regional.owners.as_ref().map(|(owners, _)| owners);
        let free = |mirror: &&Incarnation| owners.is_none_or(|owners| holder(owners, mirror).is_none());
        let known = std::mem::take(&mut regional.unowned);
        let since = |mirror: &Incarnation| (*mirror, known.get(mirror).copied().unwrap_or(now));
        regional.unowned = mirrors.iter().filter(free).map(since).collect();
    }

    /// What is known of a mirror's driver; empty before the first reading of its region.
    #[must_use]
    pub fn heard(&self, region: &str, mirror: Incarnation, now: Duration) -> Heard {
        let Some(regional) = self.regions.get(region) else { return Heard::default() };
        let watched = now.saturating_sub(regional.first);
        let owner = regional.owners.as_ref().and_then(|(owners, _)| owners.get(&mirror));
        let Some((holder, owner)) = owner.and_then(|owner| Some((owner.holder.as_ref()?, owner))) else {
            return regional.unowned(mirror, watched, now);
        };
        let Some(seen) = regional.seen.get(holder) else {
            let silence = Silence { who: Who::Driver(owner.about.clone()), lasting: watched };
            return Heard { silence: (watched >= SILENT_AFTER).then_some(silence), ..Heard::default() };
        };
        let shown = now.saturating_sub(seen.answered);
        let age = seen.not_before.map(|since| now.saturating_sub(since));
        let lasting = age.unwrap_or(shown);
        let about = seen.beat.about.clone();
        let who = if seen.beat.ended { Who::Ended(about) } else { Who::Driver(about) };
        Heard {
            age,
            their_now_ms: Some(seen.wall_ms.saturating_add(millis(shown))),
            silence: (shown >= SILENT_AFTER).then_some(Silence { who, lasting }),
        }
    }

    /// The silent processes that drive mirrors, by region, each with its description.
    #[must_use]
    pub fn silent(&self, now: Duration) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for (region, regional) in &self.regions {
            let Some((owners, _)) = &regional.owners else { continue };
            let holders: BTreeMap<&str, &str> =
                owners.values().filter_map(|one| Some((one.holder.as_deref()?, one.about.as_str()))).collect();
            let watched = now.saturating_sub(regional.first) >= SILENT_AFTER;
            let silent = holders.iter().filter(|(holder, _)| watched && !regional.is_heard(Some(holder), now));
            found.extend(silent.map(|(_, about)| (region.clone(), (*about).to_owned())));
        }
        found
    }
}

impl Regional {
    fn is_heard(&self, holder: Option<&str>, now: Duration) -> bool {
        let seen = holder.and_then(|holder| self.seen.get(holder));
        seen.is_some_and(|seen| now.saturating_sub(seen.answered) < SILENT_AFTER)
    }

    fn unowned(&self, mirror: Incarnation, watched: Duration, now: Duration) -> Heard {
        let lives = self.seen.iter().any(|(process, seen)| self.is_heard(Some(process), now) && !seen.beat.ended);
        let lasting = self.unowned.get(&mirror).map_or(Duration::ZERO, |since| now.saturating_sub(*since));
        let silence = match lives {
            true => (lasting >= UNOWNED_AFTER).then_some(Silence { who: Who::Nobody, lasting }),
            false => (watched >= SILENT_AFTER).then_some(Silence { who: Who::Region, lasting: watched }),
        };
        Heard { silence, ..Heard::default() }
    }
}

fn holder<'a>(owners: &'a BTreeMap<Incarnation, Owner>, mirror: &Incarnation) -> Option<&'a str> {
    owners.get(mirror)?.holder.as_deref()
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
