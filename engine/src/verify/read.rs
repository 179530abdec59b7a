//! Jobs that read metadata files of the destination and record what they hold.
//!
//! Flow: file of the store → verified records → command to the journal. What to read, and when, is the verifier's.

use lakemirror_core::ids::{MetarangeId, RangeId};
use lakemirror_journal::bits::Bits;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::event::RangeReadV1;
use lakemirror_journal::state::policy::ImportsRule;

use super::JobContext;
use super::files::{Miss, blocking, damaged_range};
use super::inherit::{Base, Surveyed, survey};
use crate::recorder::RecordError;

/// Ranges of the parents that one range may inherit from; more overlap only where a tree was written anew.
const BASES_MAX: usize = 16;
/// Bytes of files that are held at once for comparison.
const BASE_BYTES_MAX: usize = 64 << 20;

/// Reads a metarange and records its ranges.
pub(super) async fn metarange(context: &JobContext, id: MetarangeId) -> Result<(), Miss> {
    let ranges = context.files.metarange(id).await?;
    let mut listed = Vec::with_capacity(ranges.len());
    for range in ranges.iter() {
        let count = u32::try_from(range.count).map_err(|_| {
            Miss::Damaged(format!("metarange {id} gives range {} more entries than a range can have", range.id))
        })?;
        listed.push((range.id, count));
    }
    context.recorder.ask(context.mirror, MirrorCommand::ReadMetarange { metarange: id, ranges: listed }).await?;
    Ok(())
}

/// Reads a range of `tree` and records it with what it inherits from the trees of the parents.
pub(super) async fn range(
    context: &JobContext,
    id: RangeId,
    tree: MetarangeId,
    parents: &[MetarangeId],
) -> Result<(), Miss> {
    let file = context.files.fetch_range(id).await?;
    let bases = bases(context, id, tree, parents).await;
    let (bytes, namespace) = (file.clone(), context.files.namespace().clone());
    let found =
        blocking(move || survey(id, &bytes, &namespace, &bases)).await?.map_err(|damage| damaged_range(id, &damage))?;
    context.files.keep_range(id, &file);
    match record(context, id, found.clone()).await {
        // What it would inherit may have been opened again meanwhile: then everything is asked for.
        Err(RecordError::Refused(_)) if !found.inherited_from.is_empty() => {
            let plain = Surveyed {
                inherited: Bits::none(found.entries),
                inherited_from: Vec::new(),
                oldest_ms: u64::MAX,
                ..found
            };
            Ok(record(context, id, plain).await?)
        }
        other => Ok(other?),
    }
}

async fn record(context: &JobContext, range: RangeId, found: Surveyed) -> Result<(), RecordError> {
    let read = RangeReadV1 {
        mirror: context.mirror,
        range,
        entries: found.entries,
        imports: found.imports.encode(),
        inherited: found.inherited.encode(),
        inherited_from: found.inherited_from,
        inherited_oldest_ms: found.oldest_ms,
        at_ms: context.clock.wall_ms(),
    };
    context.recorder.ask(context.mirror, MirrorCommand::ReadRange(read)).await.map(drop)
}

/// The proven ranges of the parents that overlap the range. Whatever fails here only costs checks.
async fn bases(context: &JobContext, id: RangeId, tree: MetarangeId, parents: &[MetarangeId]) -> Vec<Base> {
    let overlapping = overlapping(context, id, tree, parents).await;
    let (mirror, now_ms) = (context.mirror, context.clock.wall_ms());
    let looked = context.recorder.read(move |state| {
        let trees = &state.mirror(&mirror)?.trees;
        let ignored = state.policy.imports == ImportsRule::Ignore;
        let proven = overlapping.into_iter().filter_map(|id| proven(trees, id, ignored));
        // What is stamped after now has no known age; the journal refuses it as well.
        Some(proven.filter(|(_, _, oldest_ms)| *oldest_ms <= now_ms).collect::<Vec<_>>())
    });
    let (mut bases, mut bytes) = (Vec::new(), 0);
    for (id, unproven, oldest_ms) in looked.await.ok().flatten().unwrap_or_default() {
        let Ok(file) = context.files.known_range(id).await else { continue };
        bytes += file.len();
        if bytes > BASE_BYTES_MAX {
            break;
        }
        bases.push(Base { id, file, unproven, oldest_ms });
    }
    bases
}

/// What a range proves: all of its entries but the ones returned, as of the time returned.
fn proven(
    trees: &lakemirror_journal::state::tree::Trees,
    id: RangeId,
    imports_ignored: bool,
) -> Option<(RangeId, Bits, u64)> {
    let range = trees.range(&id).filter(|range| range.read && range.oldest_ms != u64::MAX)?;
    let mut unproven = Bits::none(range.entries);
    if let Some(detail) = range.detail.as_deref() {
        unproven.union(&detail.missing);
        for ordinal in detail.wrong_size.keys().chain(&detail.expired) {
            unproven.insert(*ordinal);
        }
        // What the mirror shows keeps nothing back, in whatever class it is: nor does it where it stands anew.
        for (ordinal, _) in detail.archived.iter().filter(|(_, archived)| !archived.shown) {
            unproven.insert(*ordinal);
        }
        if imports_ignored {
            unproven.union(&detail.imports);
        }
    }
    (unproven.count() < range.entries).then_some((id, unproven, range.oldest_ms))
}

async fn overlapping(context: &JobContext, id: RangeId, tree: MetarangeId, parents: &[MetarangeId]) -> Vec<RangeId> {
    let mut found = Vec::new();
    let Ok(ours) = context.files.known_metarange(tree).await else { return found };
    let Some(range) = ours.iter().find(|range| range.id == id) else { return found };
    for parent in parents {
        let Ok(theirs) = context.files.known_metarange(*parent).await else { continue };
        let first = theirs.partition_point(|base| base.max_key < range.min_key);
        let overlap = theirs.iter().skip(first).take_while(|base| base.min_key <= range.max_key);
        found.extend(overlap.map(|base| base.id).filter(|base| *base != id));
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(BASES_MAX);
    found
}
