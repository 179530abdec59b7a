//! How a summary lies in the database: one item, or one and some parts when it has many branches.
//!
//! Owns the stored shapes, which branch is in which part, and how items that were read are joined to a summary again. An
//! item stays under [`ITEM_BYTES_MAX`]: a write is billed by its size, and one branch of thousands that moves should not
//! cost all of them. Each item says by itself what it says and when: parts may arrive in another region in any order, so
//! the first item only names the stamps that its parts had, and a part older than that makes the whole as old.

use std::collections::BTreeMap;

use lakemirror_ports::{CommitId, Incarnation};
use serde::{Deserialize, Serialize};

use super::definition::Stamp;
use super::envelope;
use super::summary::{BranchState, BranchStatus, PROBLEMS_MAX, Summary};

/// Largest item of a summary, in bytes.
pub const ITEM_BYTES_MAX: usize = 99_000;
/// What a part has on average at most when a layout is chosen, in bytes.
const PART_BYTES: usize = 48_000;
/// Most parts of one summary: about half a million branches that are level.
pub(super) const PARTS_MAX: usize = 1024;
/// Bytes of a level branch besides its name: four quotes, a colon, a comma, 64 digits.
const LEVEL_BYTES: usize = 70;

/// A commit id as its hexadecimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
struct Head(#[serde(with = "envelope::commit_id")] CommitId);

/// Branches, the level ones in short.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Branches {
    /// Name and commit of those that are where their source was last seen.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    level: BTreeMap<String, Head>,
    /// The others.
    #[serde(rename = "branches", skip_serializing_if = "Vec::is_empty")]
    others: Vec<BranchStatus>,
}

impl Branches {
    fn push(&mut self, branch: BranchStatus) {
        match level_head(&branch) {
            Some(head) => {
                self.level.insert(branch.name, Head(head));
            }
            None => self.others.push(branch),
        }
    }

    fn take(self) -> impl Iterator<Item = BranchStatus> {
        let level = self.level.into_iter().map(|(name, Head(head))| BranchStatus {
            name,
            source_commit: Some(head),
            promoted_commit: Some(head),
            state: BranchState::Synced,
            waiting: Vec::new(),
            behind_since_ms: None,
        });
        level.chain(self.others)
    }
}

/// The commit of a branch of which there is nothing else to say.
fn level_head(branch: &BranchStatus) -> Option<CommitId> {
    let level = branch.state == BranchState::Synced
        && branch.source_commit == branch.promoted_commit
        && branch.waiting.is_empty();
    branch.promoted_commit.filter(|_| level)
}

/// The first item of a summary, and mostly the only one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Main {
    /// All but the branches.
    #[serde(flatten)]
    pub(super) summary: Summary,
    /// The branches, unless they are in parts.
    #[serde(flatten)]
    branches: Branches,
    /// The stamps of the parts when this was written; none where there are no parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Stamp>,
}

impl Main {
    /// Whether it says the same, whenever it was written.
    pub(super) fn says_what(&self, other: &Self) -> bool {
        (&self.summary.status, &self.branches, &self.parts) == (&other.summary.status, &other.branches, &other.parts)
    }
}

/// Those branches of a mirror whose names' BLAKE3 starts with two bytes that are `part` modulo `of`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Part {
    #[serde(with = "envelope::incarnation")]
    pub(super) incarnation: Incarnation,
    pub(super) part: usize,
    pub(super) of: usize,
    /// The summary's for which it was last changed.
    #[serde(flatten)]
    pub(super) stamp: Stamp,
    /// Milliseconds since 1970 by the writer's clock.
    pub(super) written_at_ms: u64,
    #[serde(flatten)]
    branches: Branches,
}

impl Part {
    /// Whether it says the same, whenever it was written.
    pub(super) fn says_what(&self, other: &Self) -> bool {
        (self.part, self.of, &self.branches) == (other.part, other.of, &other.branches)
    }

    /// Of what it says; equal exactly where [`Self::says_what`] is true.
    ///
    /// # Errors
    /// A text; see [`envelope::seal`].
    pub(super) fn digest(&self) -> Result<blake3::Hash, String> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{}/{} ", self.part, self.of).as_bytes()).update(&envelope::seal(&self.branches)?);
        Ok(hasher.finalize())
    }
}

/// What to write for a summary. The first item's stamps of parts are those of the summary: of parts that need not be
/// written, the earlier ones belong there.
///
/// `before` is the number of parts that there are: it is kept while it is not far off, so that a mirror at the edge of two
/// layouts is not written anew each time.
///
/// # Errors
/// A text; see [`envelope::seal`].
pub(super) fn split(summary: &Summary, before: usize) -> Result<(Main, Vec<Part>), String> {
    let mut bare = summary.clone();
    bare.status.problems.truncate(PROBLEMS_MAX);
    let branches = std::mem::take(&mut bare.status.branches);
    while !bare.status.problems.is_empty() && envelope::seal(&bare)?.len() > ITEM_BYTES_MAX {
        bare.status.problems.pop();
    }
    let mut main = Main { summary: bare, branches: Branches::default(), parts: Vec::new() };
    let sizes = branches.iter().map(stored_bytes).collect::<Result<Vec<usize>, String>>()?;
    let total: usize = sizes.iter().sum();
    // 30 for the names of the two fields.
    if envelope::seal(&main)?.len() + total + 30 <= ITEM_BYTES_MAX {
        branches.into_iter().for_each(|branch| main.branches.push(branch));
        return Ok((main, Vec::new()));
    }
    let of = layout(&branches, &sizes, total, before);
    let mut parts: Vec<Part> = (0..of).map(|part| part_of(&main.summary, part, of)).collect();
    let mut room = vec![ITEM_BYTES_MAX - 400; of];
    let mut order: Vec<(BranchStatus, usize)> = branches.into_iter().zip(sizes).collect();
    // If even the most parts do not hold everything, what is level is left out first.
    order.sort_by_key(|(branch, _)| level_head(branch).is_some());
    for (branch, bytes) in order {
        let number = part_number(&branch.name, of);
        let (Some(part), Some(room)) = (parts.get_mut(number), room.get_mut(number)) else { continue };
        if bytes <= *room {
            *room -= bytes;
            part.branches.push(branch);
        }
    }
    parts.iter_mut().for_each(|part| part.branches.others.sort_by(|a, b| a.name.cmp(&b.name)));
    main.parts = vec![summary.stamp; of];
    Ok((main, parts))
}

fn stored_bytes(branch: &BranchStatus) -> Result<usize, String> {
    match level_head(branch) {
        // Names with characters that JSON escapes are refused by lakeFS.
        Some(_) => Ok(branch.name.len() + LEVEL_BYTES),
        None => Ok(envelope::seal(branch)?.len() + 1),
    }
}

/// How many parts: a power of two, so that a change of the number splits or joins parts.
fn layout(branches: &[BranchStatus], sizes: &[usize], total: usize, before: usize) -> usize {
    let wanted = total.div_ceil(PART_BYTES).next_power_of_two().clamp(2, PARTS_MAX);
    let mut of = match before {
        before if before.is_power_of_two() && (wanted..=wanted * 4).contains(&before) => before,
        _ => wanted,
    };
    while of < PARTS_MAX && !fits(branches, sizes, of) {
        of *= 2;
    }
    of
}

fn fits(branches: &[BranchStatus], sizes: &[usize], of: usize) -> bool {
    let mut left = vec![ITEM_BYTES_MAX - 400; of];
    branches.iter().zip(sizes).all(|(branch, bytes)| {
        left.get_mut(part_number(&branch.name, of)).is_some_and(|left| match left.checked_sub(*bytes) {
            Some(rest) => {
                *left = rest;
                true
            }
            None => false,
        })
    })
}

fn part_number(branch: &str, of: usize) -> usize {
    let [first, second, ..] = *blake3::hash(branch.as_bytes()).as_bytes();
    usize::from(u16::from_be_bytes([first, second])) % of.max(1)
}

fn part_of(summary: &Summary, part: usize, of: usize) -> Part {
    Part {
        incarnation: summary.incarnation,
        part,
        of,
        stamp: summary.stamp,
        written_at_ms: summary.written_at_ms,
        branches: Branches::default(),
    }
}

/// The summary of these items. Parts of another layout are left out; a part that is older than the first item says makes
/// the whole as old as it is, and so does one that has not arrived: then not all branches are there.
pub(super) fn join(main: Main, parts: impl IntoIterator<Item = Part>) -> Summary {
    let Main { mut summary, branches, parts: stamps } = main;
    summary.status.branches.extend(branches.take());
    for part in parts.into_iter().filter(|part| part.of == stamps.len()) {
        if stamps.get(part.part).is_some_and(|stamp| part.stamp < *stamp) {
            summary.written_at_ms = summary.written_at_ms.min(part.written_at_ms);
        }
        summary.status.branches.extend(part.branches.take());
    }
    summary.status.branches.sort_by(|a, b| a.name.cmp(&b.name));
    summary
}

#[cfg(test)]
mod tests;
