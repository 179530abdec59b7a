//! Decisions about a mirror as a whole: its definition, its source's identity, its repository, its end.

use super::{Case, Refused, named};
use crate::event::{
    BranchForgottenV1, ConditionRaisedV1, ConditionResolvedV1, Event, MirrorDefinedV1, MirrorDeletionStartedV1,
    MirrorGoneV1, MirrorTakenV1, RepositoryIntendedV1, RepositoryReadyV1, SourceIdentifiedV1, SummaryPublishedV1,
    TroubleNotedV1,
};
use crate::ids::Incarnation;
use crate::limits::{TEXT_BYTES_MAX, clipped};
use crate::state::State;
use crate::state::condition::MirrorCondition;
use crate::state::mirror::{Definition, Mirror, Phase, Source};

/// What is safe where the source is another repository by now, and what deleting the mirror would lose.
pub const KEEP_AS_IT_IS: &str = "keep this mirror as it is, and mirror the new repository under another name and storage namespace; \
     deleting this mirror would delete its repository, and with it the branches and commits that only it still has";

pub(super) fn define(
    state: &State,
    mirror: Incarnation,
    definition: Definition,
    at_ms: u64,
) -> Result<Vec<Event>, Refused> {
    if state.mirrors.contains_key(&mirror) {
        return Ok(Vec::new());
    }
    let _ = at_ms;
    named("the mirror", &definition.name)?;
    named("the source repository", &definition.source_repository)?;
    named("the source's region", &definition.source_region)?;
    named("the region", &definition.region)?;
    named("the storage namespace", &definition.storage_namespace)?;
    Ok(vec![Event::MirrorDefined(MirrorDefinedV1 {
        mirror,
        name: definition.name,
        source_repository: definition.source_repository,
        source_region: definition.source_region,
        region: definition.region,
        storage_namespace: definition.storage_namespace,
        at_ms: definition.created_ms,
    })])
}

pub(super) fn take(case: &Case<'_>, epoch: u64, resumed: bool, before: String) -> Vec<Event> {
    let before = clipped(before, TEXT_BYTES_MAX);
    let mut events =
        vec![Event::MirrorTaken(MirrorTakenV1 { mirror: case.id, epoch, resumed, before, at_ms: case.at_ms })];
    // That fact begins the branches of a repository anew that is ready. Before this journal knows it to be, the other
    // process may have made it and gone on to what was seen here never (I2).
    if !resumed && case.mirror.phase != Phase::Ready {
        events.extend(case.mirror.branches.keys().map(|branch| forget(case.id, branch, case.at_ms)));
    }
    events
}

/// Removals that a process before this one had begun: whether they were carried out is not known, and the branch may
/// come back at the source.
pub(super) fn half_removed(state: &State, at_ms: u64) -> Vec<Event> {
    let removing = |(id, mirror): (&Incarnation, &Mirror)| {
        let open = mirror.branches.iter().filter(|(_, branch)| branch.removing);
        open.map(|(branch, _)| forget(*id, branch, at_ms)).collect::<Vec<_>>()
    };
    state.mirrors.iter().flat_map(removing).collect()
}

fn forget(mirror: Incarnation, branch: &str, at_ms: u64) -> Event {
    Event::BranchForgotten(BranchForgottenV1 { mirror, branch: branch.to_owned(), at_ms })
}

/// The first answer is the identity for good. Another one later is another repository under the same name: it is
/// never followed, because its branches are not the past of the old one's.
pub(super) fn identify(case: &Case<'_>, source: Source) -> Result<Vec<Event>, Refused> {
    named("the source's storage namespace", &source.storage_namespace)?;
    named("the source's default branch", &source.default_branch)?;
    Ok(match &case.mirror.source {
        None => vec![Event::SourceIdentified(SourceIdentifiedV1 {
            mirror: case.id,
            storage_namespace: source.storage_namespace,
            default_branch: source.default_branch,
            creation_date: source.creation_date,
            at_ms: case.at_ms,
        })],
        Some(known)
            if known.creation_date == source.creation_date && known.storage_namespace == source.storage_namespace =>
        {
            resolve(case, MirrorCondition::SourceReplaced)
        }
        // Also where an earlier version said it in other words.
        Some(_) => raise(
            case,
            MirrorCondition::SourceReplaced,
            format!(
                "the source repository was deleted and made again under its name: the new one is not followed, and what was mirrored stays as it is, perhaps the only copy; {KEEP_AS_IT_IS}"
            ),
        ),
    })
}

/// Whether the source is another repository than the one that was mirrored.
pub(super) fn is_recreated(mirror: &Mirror) -> bool {
    mirror.condition(MirrorCondition::SourceReplaced).is_some()
}

pub(super) fn intend(case: &Case<'_>) -> Vec<Event> {
    match case.mirror.phase {
        Phase::Defined => vec![Event::RepositoryIntended(RepositoryIntendedV1 { mirror: case.id, at_ms: case.at_ms })],
        Phase::Intended | Phase::Ready | Phase::Deleting => Vec::new(),
    }
}

pub(super) fn ready(case: &Case<'_>, adopted: bool) -> Vec<Event> {
    match case.mirror.phase {
        Phase::Defined | Phase::Intended => {
            vec![Event::RepositoryReady(RepositoryReadyV1 { mirror: case.id, adopted, at_ms: case.at_ms })]
        }
        Phase::Ready | Phase::Deleting => Vec::new(),
    }
}

/// Raises a condition, unless it holds already with this text.
pub(super) fn raise(case: &Case<'_>, condition: MirrorCondition, text: String) -> Vec<Event> {
    let text = clipped(text, TEXT_BYTES_MAX);
    if case.mirror.condition(condition).is_some_and(|raised| raised.text == text) {
        return Vec::new();
    }
    let (mirror, condition, at_ms) = (case.id, condition.number(), case.at_ms);
    vec![Event::ConditionRaised(ConditionRaisedV1 { mirror, condition, text, at_ms })]
}

/// Resolves a condition, whichever version of lakemirror raised it.
pub(super) fn resolve(case: &Case<'_>, condition: MirrorCondition) -> Vec<Event> {
    let (mirror, at_ms) = (case.id, case.at_ms);
    let mut events = Vec::new();
    if case.mirror.raised.contains_key(&condition.number()) {
        let condition = condition.number();
        events.push(Event::ConditionResolved(ConditionResolvedV1 { mirror, condition, at_ms }));
    }
    if case.mirror.earlier(condition).is_some() {
        events.push(Event::TroubleNoted(TroubleNotedV1 { mirror, text: String::new(), at_ms }));
    }
    events
}

pub(super) fn start_deletion(case: &Case<'_>) -> Vec<Event> {
    if case.mirror.phase == Phase::Deleting {
        return Vec::new();
    }
    vec![Event::MirrorDeletionStarted(MirrorDeletionStartedV1 { mirror: case.id, at_ms: case.at_ms })]
}

pub(super) fn gone(case: &Case<'_>) -> Result<Vec<Event>, Refused> {
    if case.mirror.phase != Phase::Deleting {
        return Err(Refused::Rule(format!("mirror {} is not being deleted", case.id)));
    }
    Ok(vec![Event::MirrorGone(MirrorGoneV1 { mirror: case.id, at_ms: case.at_ms })])
}

pub(super) fn published(case: &Case<'_>, number: u64) -> Vec<Event> {
    if number <= case.mirror.published {
        return Vec::new();
    }
    vec![Event::SummaryPublished(SummaryPublishedV1 { mirror: case.id, number, at_ms: case.at_ms })]
}
