//! Which process drives a mirror of another region, and when it last said that it does.
//!
//! Owns what was seen of heartbeats and owners, and the one rule when a driver counts as silent. Ages are those of this
//! process's monotonic clock since a heartbeat *changed*; the times that others write are compared only with other times
//! of the same writer. Pure: reads go in, what was heard comes out.
//!
//! A process that has just started has seen no heartbeat change: it does not know how old what it reads is, says so (no
//! age), and takes it for the present until [`SILENT_AFTER`] has passed.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_ports::{Heartbeat, Incarnation, Owner};

/// How long after its last heartbeat was seen a driver counts as silent. One is written every 5 s and seen within 3, so
/// that a driver which dies is known to within 16 s, and what delays a heartbeat by a turn is not a death.
pub const SILENT_AFTER: Duration = Duration::from_secs(13);

/// How long a mirror may be without a driver while processes of its region live: they read what is defined now and then.
pub const UNOWNED_AFTER: Duration = Duration::from_secs(120);

/// One read of a region's heartbeats, and of its owners where those were read too.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// When it was sent, on the monotonic clock.
    pub sent: Duration,
    /// When it was answered.
    pub answered: Duration,
    /// The heartbeats, each with its writer's time, milliseconds since 1970.
    pub beats: Vec<(Heartbeat, u64)>,
    /// Who has what.
    pub owners: Option<BTreeMap<Incarnation, Owner>>,
}

/// What is known of a mirror's driver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Time since it last confirmed what it published; none where that is not known.
    pub age: Option<Duration>,
    /// What its own clock says now, as far as that is known, milliseconds since 1970.
    pub their_now_ms: Option<u64>,
    /// Why what it published is not to be taken for the present, and for how long that has been so.
    pub silence: Option<Silence>,
}

/// A driver that does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Which, for people.
    pub who: Who,
    /// Since when, as time until now.
    pub lasting: Duration,
}

/// Who is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// This process.
    Driver(String),
    /// This process, which said that it ends.
    Ended(String),
    /// No process has the mirror.
    Nobody,
    /// No process of the region lives.
    Region,
}

#[derive(Debug)]
struct Seen {
    beat: Heartbeat,
    wall_ms: u64,
    /// When the read that first showed this beat was answered.
    answered: Duration,
    /// When the last read that did not show it yet was sent; none for the first beat that was seen of a process.
    not_before: Option<Duration>,
}

#[derive(Debug, Default)]
struct Regional {
    first: Duration,
    last_sent: Duration,
    seen: BTreeMap<String, Seen>,
    owners: Option<(BTreeMap<Incarnation, Owner>, Duration)>,
    /// Since when a mirror was seen to have no owner.
    unowned: BTreeMap<Incarnation, Duration>,
}

/// What was seen of the processes of all regions.
#[derive(Debug, Default)]
pub struct Drivers {
    regions: BTreeMap<String, Regional>,
}

impl Drivers {
    /// Takes a reading of a region.
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
            // One that was not there when the last read was sent was written after that.
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

    /// Forgets regions that no mirror is in.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.regions.retain(|region, _| keep(region));
    }

    /// Whether owners should be read with the next reading: none were, they are old, or one of them is silent.
    #[must_use]
    pub fn wants_owners(&self, region: &str, now: Duration, old: Duration) -> bool {
        let Some(regional) = self.regions.get(region) else { return true };
        let Some((owners, read)) = &regional.owners else { return true };
        let holders = owners.values().map(|owner| owner.holder.as_deref());
        now.saturating_sub(*read) >= old || holders.into_iter().any(|holder| !regional.is_heard(holder, now))
    }

    /// The mirrors of a region, for those that nobody has: since when that was seen.
    pub fn note_unowned(&mut self, region: &str, mirrors: &[Incarnation], now: Duration) {
        let Some(regional) = self.regions.get_mut(region) else { return };
        let owners = regional.owners.as_ref().map(|(owners, _)| owners);
        let free = |mirror: &&Incarnation| owners.is_none_or(|owners| holder(owners, mirror).is_none());
        let known = std::mem::take(&mut regional.unowned);
        let since = |mirror: &Incarnation| (*mirror, known.get(mirror).copied().unwrap_or(now));
        regional.unowned = mirrors.iter().filter(free).map(since).collect();
    }

    /// What is known of the driver of a mirror; nothing before the first reading of its region.
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

    /// Every process that drives a mirror and is silent, by region, with what it is.
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
