//! The state as JSON. The same state gives the same bytes in every version with the same fields.
//!
//! Fields are in the order below, map entries in the order of the state's sorted maps. Ids are hexadecimal digits,
//! times milliseconds since 1970, sets of ordinals `[first, last]` pairs. The output is written directly from the
//! state, so memory does not grow with it. Later versions may add fields; no field is renamed or changes its meaning.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};

use lakemirror_core::archived::{Archived, class_name};
use lakemirror_core::commit::CommitRecord;
use lakemirror_journal::bits::Bits;
use lakemirror_journal::state::branch::{Branch, Presence, SeenHead};
use lakemirror_journal::state::graph::Commit;
use lakemirror_journal::state::mirror::{Mirror, Phase};
use lakemirror_journal::state::policy::{ArchivedRule, DivergenceRule, HistoryRule, ImportsRule, Policy, SizeRule};
use lakemirror_journal::state::tree::{Completeness, Metarange, Range, RangeDetail, Trees};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::replay::Replayed;

/// Version of this document; incremented if the meaning of a field changes.
const DOCUMENT_VERSION: u64 = 1;

/// Writes a replayed state as one indented document and a line feed.
///
/// # Errors
/// The errors of `out`.
pub fn write(replayed: &Replayed, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &View(replayed)).map_err(io::Error::from)?;
    out.write_all(b"\n")
}

/// A part of the state, serialized as in the document.
struct View<'a, T>(&'a T);

/// Writes an object: fields in this order.
macro_rules! object {
    ($to:expr, { $($name:literal: $value:expr),* $(,)? }) => {{
        let mut object = $to.serialize_map(None)?;
        $(object.serialize_entry($name, &$value)?;)*
        object.end()
    }};
}

/// A sorted map with its keys as strings and its values as views.
struct Keyed<'a, K, V>(&'a BTreeMap<K, V>);

impl<K: Display, V> Serialize for Keyed<'_, K, V>
where
    for<'v> View<'v, V>: Serialize,
{
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, value)| (key.to_string(), View(value))))
    }
}

/// A list of views, created on each call.
struct Each<F>(F);

impl<F, I> Serialize for Each<F>
where
    F: Fn() -> I,
    I: IntoIterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0())
    }
}

/// Ids as hexadecimal digits.
fn ids<'a, T: Display + 'a>(list: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    list.into_iter().map(ToString::to_string).collect()
}

fn id<T: Display>(id: &Option<T>) -> Option<String> {
    id.as_ref().map(ToString::to_string)
}

impl Serialize for View<'_, Replayed> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Replayed { uuid, state, at, .. } = self.0;
        object!(to, {
            "lakemirror_state": DOCUMENT_VERSION,
            "journal_uuid": uuid,
            "seq": at.seq,
            "frame_hash": at.frame_hash.map(hex::encode),
            "committed_ms": at.wall_ms,
            "writer_epoch": state.writer_epoch,
            "checks": state.checks,
            "strays": state.ignored_events,
            "policy": View(&state.policy),
            "gone_ms": state.gone_ms,
            "mirrors": Keyed(&state.mirrors),
        })
    }
}

impl Serialize for View<'_, Policy> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let policy = self.0;
        object!(to, {
            "history": match policy.history { HistoryRule::Complete => "complete", HistoryRule::Head => "head" },
            "size": match policy.size { SizeRule::Strict => "strict", SizeRule::Report => "report" },
            "archived": match policy.archived { ArchivedRule::Block => "block", ArchivedRule::Report => "report" },
            "imports": match policy.imports {
                ImportsRule::Check => "check",
                ImportsRule::Ignore => "ignore",
                ImportsRule::Block => "block",
            },
            "on_divergence": match policy.on_divergence {
                DivergenceRule::Report => "report",
                DivergenceRule::Restore => "restore",
            },
            "evidence_age_ms_max": policy.evidence_age_ms_max,
            "deletion_grace_ms": policy.deletion_grace_ms,
            "deletion_permille_max": policy.deletion_permille_max,
        })
    }
}

impl Serialize for View<'_, Mirror> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mirror = self.0;
        let Mirror { definition, source, .. } = mirror;
        let gravest = mirror.conditions().next().map(|(_, raised)| raised);
        let conditions = mirror.conditions().map(|(condition, raised)| {
            serde_json::json!({ "condition": condition.number(), "text": raised.text, "since_ms": raised.since_ms })
        });
        object!(to, {
            "name": definition.name,
            "source_repository": definition.source_repository,
            "source_region": definition.source_region,
            "region": definition.region,
            "storage_namespace": definition.storage_namespace,
            "created_ms": definition.created_ms,
            "phase": match mirror.phase {
                Phase::Defined => "defined",
                Phase::Intended => "intended",
                Phase::Ready => "ready",
                Phase::Deleting => "deleting",
            },
            "adopted_ms": mirror.adopted_ms,
            "source_storage_namespace": source.as_ref().map(|source| &source.storage_namespace),
            "source_default_branch": source.as_ref().map(|source| &source.default_branch),
            "source_creation_date": source.as_ref().map(|source| source.creation_date),
            "trouble": gravest.map(|raised| &raised.text),
            "trouble_since_ms": gravest.map(|raised| raised.since_ms),
            "conditions": conditions.collect::<Vec<_>>(),
            "checks": mirror.checks,
            "moves": mirror.moves,
            "published": mirror.published,
            "branches": Keyed(&mirror.branches),
            "commits": Keyed(&mirror.graph.commits),
            "frontier": ids(&mirror.graph.frontier),
            "resident": ids(&mirror.resident),
            "metaranges": Each(|| mirror.trees.metaranges.iter().map(|(id, tree)| Tree(&mirror.trees, id.to_string(), tree))),
            "ranges": Each(|| mirror.trees.range_index.values().filter_map(|index| mirror.trees.ranges.get(*index as usize)).map(View)),
        })
    }
}

impl Serialize for View<'_, Branch> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let branch = self.0;
        let (missed, missed_epoch) = match branch.presence {
            Presence::There => (0, None),
            Presence::Missed { times, writer_epoch } => (times, Some(writer_epoch)),
        };
        let moving = branch.moving.as_ref();
        let divergence = branch.divergence.as_ref();
        object!(to, {
            "source_head": branch.head.to_string(),
            "hidden": branch.hidden,
            "missed": missed,
            "missed_by_epoch": missed_epoch,
            "tombstone_ms": branch.tombstone_ms,
            "removing": branch.removing,
            "seen": branch.seen,
            "pending": Each(|| branch.pending.iter().map(View)),
            "mirror_head": id(&branch.mirror),
            "moved_ms": branch.moved_ms,
            "moving_from": moving.and_then(|moving| id(&moving.from)),
            "moving_to": moving.map(|moving| moving.to.to_string()),
            "moving_seen": moving.map(|moving| moving.seen),
            "moving_since_ms": moving.map(|moving| moving.at_ms),
            "diverged_since_ms": divergence.map(|divergence| divergence.since_ms),
            "diverged_expected": divergence.and_then(|divergence| id(&divergence.expected)),
            "diverged_found": divergence.and_then(|divergence| id(&divergence.found)),
        })
    }
}

impl Serialize for View<'_, SeenHead> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let SeenHead { seen, commit, at_ms } = self.0;
        object!(to, { "seen": seen, "commit": commit.to_string(), "at_ms": at_ms })
    }
}

impl Serialize for View<'_, Commit> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let commit = self.0;
        object!(to, {
            "parents": ids(&commit.parents),
            "metarange": id(&commit.metarange),
            "generation": commit.generation,
            "recorded": commit.recorded,
            "rooted": commit.rooted,
            "closed": commit.closed,
            "record": commit.record.as_deref().map(View),
        })
    }
}

impl Serialize for View<'_, CommitRecord> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        object!(to, {
            "committer": record.committer,
            "message": record.message,
            "creation_date": record.creation_date,
            "metadata": record.metadata,
            "version": record.version,
        })
    }
}

/// A tree, with its ranges' ids in place of their indexes.
struct Tree<'a>(&'a Trees, String, &'a Metarange);

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self(trees, id, tree) = self;
        object!(to, {
            "id": id,
            "grade": completeness(tree.completeness()),
            "total": tree.total,
            "open": tree.open,
            "expired": tree.expired,
            "let_go": tree.evicted,
            "read_ms": tree.read_ms,
            "commits": ids(&tree.commits),
            "ranges": Each(|| trees.ranges_of(tree).map(|range| range.id.to_string())),
        })
    }
}

impl Serialize for View<'_, Range> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let range = self.0;
        object!(to, {
            "id": range.id.to_string(),
            "entries": range.entries,
            "read": range.read,
            "grade": completeness(range.completeness),
            "oldest_ms": Some(range.oldest_ms).filter(|ms| *ms != u64::MAX),
            "checked_ms": range.checked_ms,
            "detail": range.detail.as_deref().map(View),
        })
    }
}

impl Serialize for View<'_, RangeDetail> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let detail = self.0;
        object!(to, {
            "missing": runs(&detail.missing),
            "imports": runs(&detail.imports),
            "wrong_size": detail.wrong_size,
            "archived": archived(&detail.archived),
            "gone_once": detail.gone_once,
            "expired": detail.expired,
            "forbidden": detail.forbidden,
        })
    }
}

fn completeness(completeness: Completeness) -> &'static str {
    match completeness {
        Completeness::Incomplete => "open",
        Completeness::CompleteExceptExpired => "expired",
        Completeness::Complete => "whole",
    }
}

/// By ordinal, the archive class and whether the mirror shows the object.
fn archived(archived: &BTreeMap<u32, Archived>) -> BTreeMap<u32, (&'static str, bool)> {
    archived.iter().map(|(ordinal, one)| (*ordinal, (class_name(one.class), one.shown))).collect()
}

/// A set as its runs, both ends included.
fn runs(bits: &Bits) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for ordinal in bits.iter() {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(ordinal) => *last = ordinal,
            _ => runs.push((ordinal, ordinal)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_runs() {
        assert_eq!(runs(&Bits::none(9)), []);
        assert_eq!(runs(&Bits::from_ordinals(9, [0, 1, 2, 4, 8])), [(0, 2), (4, 4), (8, 8)]);
    }
}
