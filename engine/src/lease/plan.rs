//! Who takes which mirror. Pure: who lives and who has what go in, what this process takes and gives comes out.
//!
//! Every process of a region makes the same plan from the same view and carries out its own part of it. Views may differ
//! for a moment; then a conditional write fails, and the next plan is made. A mirror goes back to the process whose
//! journal has it where there is a choice: processes are ranked for each mirror by their journals' ids.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::ids::Incarnation;

use crate::ports::Owner;

/// Mirrors that one process gives away with one plan: each of them has to be verified anew elsewhere.
const GIVEN_AT_ONCE: usize = 16;

/// A living process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id: another one with every start.
    pub process: String,
    /// Its journal's id.
    pub node: String,
    /// Whether it has lived for long enough to be given what others have.
    pub settled: bool,
}

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// This process.
    pub me: &'a str,
    /// The living ones in the order of their ids, this one among them.
    pub alive: &'a [Member],
    /// Who has what.
    pub owners: &'a BTreeMap<Incarnation, Owner>,
    /// Every mirror of the region that is not gone.
    pub mirrors: &'a BTreeSet<Incarnation>,
}

/// What this process is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Take these: nobody who lives has them.
    pub take: Vec<Incarnation>,
    /// Give these to these.
    pub give: Vec<(Incarnation, String)>,
}

/// The plan.
#[must_use]
pub fn plan(view: &View<'_>) -> Plan {
    let mut has: BTreeMap<&str, BTreeSet<Incarnation>> =
        view.alive.iter().map(|member| (member.process.as_str(), BTreeSet::new())).collect();
    let mut free = Vec::new();
    for mirror in view.mirrors {
        let holder = view.owners.get(mirror).and_then(|owner| owner.holder.as_deref());
        match holder.and_then(|holder| has.get_mut(holder)) {
            Some(mirrors) => drop(mirrors.insert(*mirror)),
            None => free.push(*mirror),
        }
    }
    let mut plan = Plan::default();
    if free.is_empty() {
        plan.give = give(view, has);
        return plan;
    }
    let share = view.mirrors.len().div_ceil(view.alive.len().max(1));
    for mirror in free {
        let Some(taker) = taker(view, &has, share, &mirror) else { continue };
        if taker == view.me {
            plan.take.push(mirror);
        }
        has.entry(taker).or_default().insert(mirror);
    }
    plan
}

/// Who is to take a mirror that nobody has: whom the last holder named, else of those with less than their share the one
/// that ranks highest for it.
fn taker<'a>(
    view: &View<'a>,
    has: &BTreeMap<&'a str, BTreeSet<Incarnation>>,
    share: usize,
    mirror: &Incarnation,
) -> Option<&'a str> {
    let meant = view.owners.get(mirror).and_then(|owner| owner.meant_for.as_deref());
    let named = view.alive.iter().find(|member| Some(member.process.as_str()) == meant);
    if let Some(named) = named {
        return Some(&named.process);
    }
    let count = |member: &&Member| has.get(member.process.as_str()).map_or(0, BTreeSet::len);
    let room = view.alive.iter().filter(|member| count(member) < share);
    room.max_by_key(|member| (rank(&member.node, mirror), &member.process)).map(|member| member.process.as_str())
}

/// What this process gives away so that all have the same number or one more, as seen by all.
fn give<'a>(view: &View<'a>, mut has: BTreeMap<&'a str, BTreeSet<Incarnation>>) -> Vec<(Incarnation, String)> {
    if view.alive.iter().any(|member| !member.settled) {
        return Vec::new();
    }
    let nodes: BTreeMap<&str, &str> =
        view.alive.iter().map(|member| (member.process.as_str(), member.node.as_str())).collect();
    let mut given = Vec::new();
    loop {
        let most = has.iter().max_by_key(|(process, mirrors)| (mirrors.len(), **process));
        let least = has.iter().min_by_key(|(process, mirrors)| (mirrors.len(), **process));
        let (Some((&from, many)), Some((&to, few))) = (most, least) else { return given };
        if many.len() <= few.len() + 1 || given.len() >= GIVEN_AT_ONCE {
            return given;
        }
        let node = nodes.get(to).copied().unwrap_or_default();
        let Some(mirror) = many.iter().max_by_key(|mirror| rank(node, mirror)).copied() else { return given };
        has.entry(from).or_default().remove(&mirror);
        has.entry(to).or_default().insert(mirror);
        if from == view.me {
            given.push((mirror, to.to_owned()));
        }
    }
}

/// How a process ranks for a mirror; the same everywhere.
fn rank(node: &str, mirror: &Incarnation) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in node.bytes().chain(mirror.0) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // FNV's low bits follow the last bytes; mixed, ranks of one mirror are as good as random.
    hash ^= hash >> 32;
    hash.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 1
}

#[cfg(test)]
mod tests;
