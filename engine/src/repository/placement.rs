//! Whether a mirror may be made in the namespace that it was asked for: asked at the destination, before anything is
//! made there, because only the destination knows its own store and all of its mirrors.
//!
//! A namespace in the source's own place would be complete without a byte having been copied. Two mirrors in one
//! namespace would each take the other's files for theirs.

use lakemirror_graveler::address::Namespace;

use crate::mirror::MirrorContext;
use crate::ports::{FaultKind, MirrorDefinition, Sameness, StoreIdentity};

use super::Attempt;

/// How the text of this trouble begins.
pub(super) const MISPLACED: &str = "the storage namespace cannot be used";

/// Why the mirror may not be made where it was asked for, if it may not. `defined` is every mirror of the mirrors
/// database.
pub(super) async fn refusal(context: &MirrorContext, defined: &[MirrorDefinition]) -> Result<Option<String>, Attempt> {
    let own = defined.iter().find(|other| other.incarnation == context.definition.incarnation);
    let own = own.unwrap_or(&context.definition);
    let source = context.look(|mirror| mirror.source.as_ref().map(|source| source.storage_namespace.clone())).await?;
    if let Some(source) = source.flatten()
        && let Some(text) = in_the_sources_place(own, &source, &context.store)
    {
        return Ok(Some(text));
    }
    for other in defined.iter().filter(|other| meets(own, other)) {
        if comes_first(other, own) || is_made(context, other).await? {
            return Ok(Some(format!(
                "{MISPLACED}: {} overlaps {} of mirror {}; nothing was made: delete this mirror and create it with \
                 another namespace",
                own.storage_namespace, other.storage_namespace, other.name
            )));
        }
    }
    Ok(None)
}

fn in_the_sources_place(own: &MirrorDefinition, source: &str, store: &StoreIdentity) -> Option<String> {
    let same = own.source_store.compare(store) == Sameness::Same && overlap(&own.storage_namespace, source);
    same.then(|| {
        format!(
            "{MISPLACED}: {} overlaps the source's own namespace {source} in the same store ({store}); nothing was \
             made: delete this mirror and create it with a namespace that the source's objects are replicated to",
            own.storage_namespace
        )
    })
}

/// Whether both are mirrors of one region in one place. Two of one name are one repository, which is another matter.
fn meets(own: &MirrorDefinition, other: &MirrorDefinition) -> bool {
    !other.deleted
        && other.incarnation != own.incarnation
        && other.name != own.name
        && other.region == own.region
        && overlap(&own.storage_namespace, &other.storage_namespace)
}

/// The same answer at every process, whichever of the two it drives.
fn comes_first(one: &MirrorDefinition, other: &MirrorDefinition) -> bool {
    (one.created_ms, one.incarnation) < (other.created_ms, other.incarnation)
}

/// Whether a later one was made before this one was seen.
async fn is_made(context: &MirrorContext, other: &MirrorDefinition) -> Result<bool, Attempt> {
    match context.mirror.repository(&other.name).await {
        Ok(found) => Ok(overlap(&found.storage_namespace, &context.definition.storage_namespace)),
        Err(fault) if fault.kind == FaultKind::Absent => Ok(false),
        Err(fault) => Err(fault.into()),
    }
}

/// What cannot be read as a namespace is compared as text.
fn overlap(one: &str, other: &str) -> bool {
    match (Namespace::parse(one), Namespace::parse(other)) {
        (Ok(one), Ok(other)) => one.overlaps(&other),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
