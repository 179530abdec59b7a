//! The mirror repository: made bare and read-only, marked as ours, and in the end deleted.
//!
//! A repository is ours when its metadata names this mirror's incarnation. One that is not is never written to: it may
//! be marked only while it is read-only, in the mirror's namespace, without branches, and marked by nobody. The mark
//! also says of which source it was made: a journal that begins later must not follow another one of its name.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_core::mutant;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::decide::KEEP_AS_IT_IS;
use lakemirror_journal::state::condition::MirrorCondition;
use lakemirror_journal::state::mirror::{Phase, Source};

use crate::conditions::ConditionKind;
use crate::mirror::{Ended, MirrorContext, Patience};
use crate::ownership::resolve;
use crate::ports::{Fault, FaultKind, MirrorDefinition, Repository};
use crate::recorder::RecordError;

mod placement;

/// The key of the mark in the repository's metadata; its value is the incarnation.
pub const MARK: &str = "lakemirror.incarnation";

/// The key of what the source was when the mark was set: when it was made, and its storage namespace.
pub const SOURCE_MARK: &str = "lakemirror.source";

/// How long a name rests after its repository was deleted: lakeFS answers from caches of up to seven seconds.
const NAME_REST_MS: u64 = 10_000;

/// How the text of that condition begins.
const FOREIGN: &str = "a repository of this name is already there";

/// Sees to it that the mirror repository is there and marked; returns once it is.
///
/// # Errors
/// [`Ended`].
pub async fn ensure(context: &MirrorContext) -> Result<(), Ended> {
    let mut namesake = Namesake::default();
    loop {
        context.leased().await?;
        match attempt(context, &mut namesake).await {
            Ok(true) => {
                context.conditions.clear(context.name(), &ConditionKind::Repository);
                return Ok(());
            }
            Ok(false) => {}
            Err(Attempt::Ended(ended)) => return Err(ended),
            Err(Attempt::Fault(fault)) => {
                context.conditions.note(context.name(), ConditionKind::Repository, fault.to_string())
            }
        }
        context.pause(Duration::from_secs(1)).await?;
    }
}

enum Attempt {
    Fault(Fault),
    Ended(Ended),
}

impl From<Fault> for Attempt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Ended> for Attempt {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

async fn attempt(context: &MirrorContext, namesake: &mut Namesake) -> Result<bool, Attempt> {
    let Some(phase) = context.look(|mirror| mirror.phase).await? else { return Err(Ended::Stopped.into()) };
    if phase == Phase::Ready {
        return Ok(true);
    }
    let defined = context.registry.definitions().await?;
    if let Some(text) = namesake.rests(context, &defined).await? {
        context.conditions.note(context.name(), ConditionKind::Repository, text);
        return Ok(false);
    }
    let default_branch = default_branch(context).await?;
    match context.mirror.repository(context.name()).await {
        Ok(found) => take_over(context, phase, &found, &defined).await,
        Err(fault) if fault.kind == FaultKind::Absent => create(context, &default_branch, &defined).await,
        Err(fault) => Err(fault.into()),
    }
}

/// Whether nothing speaks against making the mirror in its namespace; else that is noted as the mirror's trouble.
async fn is_placed(context: &MirrorContext, defined: &[MirrorDefinition]) -> Result<bool, Attempt> {
    let Some(text) = placement::refusal(context, defined).await? else { return Ok(true) };
    context.ask(MirrorCommand::Raise { condition: MirrorCondition::NamespaceConflict, text }).await?;
    Ok(false)
}

/// The source's, as the journal knows it: what it has seen is mirrored also where the source is lost since (I10).
async fn default_branch(context: &MirrorContext) -> Result<String, Attempt> {
    let known = context.look(|mirror| mirror.source.as_ref().map(|source| source.default_branch.clone())).await?;
    if let Some(known) = known.flatten().filter(|_| !mutant::is_on("source_asked_anew")) {
        return Ok(known);
    }
    let source = context.source.repository(&context.definition.source_repository).await?;
    let (storage_namespace, default_branch) = (source.storage_namespace, source.default_branch);
    let creation_date = source.creation_date;
    let identity = Source { storage_namespace, default_branch: default_branch.clone(), creation_date };
    context.ask(MirrorCommand::IdentifySource(identity)).await?;
    Ok(default_branch)
}

/// An earlier mirror of the same name.
#[derive(Default)]
struct Namesake {
    /// When it was last seen in deletion, on the monotonic clock.
    seen: Option<Duration>,
    /// By the journal it went last at this wall time, and since then on the monotonic clock that is known here.
    gone: Option<(u64, Duration)>,
}

impl Namesake {
    /// Why the name cannot be used yet: an earlier mirror of it is still being deleted, or was only just. Which process
    /// deletes it, and what that one's journal says, does not matter: the mirrors database tells.
    async fn rests(
        &mut self,
        context: &MirrorContext,
        defined: &[MirrorDefinition],
    ) -> Result<Option<String>, Attempt> {
        let (name, id) = (context.name().to_owned(), context.definition.incarnation);
        if defined.iter().any(|other| other.name == name && other.incarnation != id && other.deleted) {
            self.seen = Some(context.clock.monotonic());
            return Ok(Some("waits until the earlier mirror of this name is deleted".to_owned()));
        }
        let look = context.recorder.read(move |state| {
            let mirrors = state.mirrors.iter();
            let earlier = mirrors.filter(|(other, mirror)| {
                **other != id && mirror.definition.name == name && mirror.phase == Phase::Deleting
            });
            (earlier.map(|(other, _)| *other).collect::<Vec<_>>(), state.gone_ms.get(&name).copied())
        });
        let (earlier, gone_ms) = look.await.map_err(|_| Ended::Journal)?;
        let mut rests = false;
        // How long ago that was by the wall clock says nothing: it may have been set since.
        if let Some(gone_ms) = gone_ms
            && self.gone.is_none_or(|(known_ms, _)| known_ms != gone_ms)
        {
            self.gone = Some((gone_ms, context.clock.monotonic()));
        }
        for other in earlier {
            // Another process has deleted it, and acknowledged that.
            if let Err(RecordError::Stopped) = context.recorder.ask(other, MirrorCommand::Gone).await {
                return Err(Ended::Journal.into());
            }
            rests = true;
        }
        let since = |seen: Duration| context.clock.monotonic().saturating_sub(seen);
        let gone = self.gone.map(|(_, since)| since);
        rests |= self.seen.max(gone).is_some_and(|seen| since(seen) < Duration::from_millis(NAME_REST_MS));
        Ok(rests.then(|| "waits until the destination has forgotten the earlier mirror of this name".to_owned()))
    }
}

async fn create(context: &MirrorContext, default_branch: &str, defined: &[MirrorDefinition]) -> Result<bool, Attempt> {
    if !is_placed(context, defined).await? {
        return Ok(false);
    }
    context.ask(MirrorCommand::IntendRepository).await?;
    context
        .mirror
        .create_mirror_repository(context.name(), &context.definition.storage_namespace, default_branch)
        .await?;
    // CreateOutcome or there already: the next attempt looks at what it is before it is marked.
    let found = context.mirror.repository(context.name()).await?;
    take_over(context, Phase::Intended, &found, defined).await
}

async fn take_over(
    context: &MirrorContext,
    phase: Phase,
    found: &Repository,
    defined: &[MirrorDefinition],
) -> Result<bool, Attempt> {
    let marked = context.mirror.metadata(context.name()).await?;
    let ours = marks(context).await?;
    let branches = context.mirror.branches(context.name(), true).await?.len();
    match judge(found, &marked, &ours, branches, &context.definition.storage_namespace) {
        Judgement::Ours => {}
        Judgement::Free if !is_placed(context, defined).await? => return Ok(false),
        Judgement::Free => {
            context.ask(MirrorCommand::IntendRepository).await?;
            context.mirror.set_metadata(context.name(), &ours).await?;
        }
        Judgement::Foreign(why) => {
            let text = format!(
                "{FOREIGN}: {why}; it is left alone: create the mirror under another name (that repository may have branches and commits that are nowhere else)"
            );
            context.ask(MirrorCommand::Raise { condition: MirrorCondition::RepositoryForeign, text }).await?;
            return Ok(false);
        }
        Judgement::OfAnother(source) => {
            let text = format!(
                "{FOREIGN}: it was mirrored from an earlier repository of the source's name ({source}), and is perhaps the only copy of that; \
                 {KEEP_AS_IT_IS}"
            );
            context.ask(MirrorCommand::Raise { condition: MirrorCondition::RepositoryForeign, text }).await?;
            return Ok(false);
        }
    }
    for condition in [MirrorCondition::RepositoryForeign, MirrorCondition::NamespaceConflict] {
        resolve(context, condition).await?;
    }
    // It has no branches before this journal knows it to be ready: those there are another journal's.
    let adopted = phase == Phase::Defined || branches > 0;
    if adopted {
        tracing::warn!(
            mirror = context.name(),
            "the mirror repository was there already: this journal's history of it begins now, everything is verified again"
        );
    }
    context.ask(MirrorCommand::RepositoryReady { adopted }).await?;
    Ok(true)
}

/// What the repository's metadata says when it is ours.
async fn marks(context: &MirrorContext) -> Result<BTreeMap<String, String>, Ended> {
    let mut marks = BTreeMap::from([(MARK.to_owned(), context.definition.incarnation.to_string())]);
    if let Some(source) = context.look(|mirror| mirror.source.clone()).await?.flatten() {
        let text = format!("{} {}", source.creation_date, source.storage_namespace);
        marks.insert(SOURCE_MARK.to_owned(), text);
    }
    Ok(marks)
}

/// Whose a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Judgement {
    Ours,
    Free,
    Foreign(String),
    /// Ours, but mirrored from this other source, which had the name before.
    OfAnother(String),
}

/// By its metadata and by what that is where the repository is ours. One that was marked by an earlier version does not
/// say of which source it was made.
fn judge(
    found: &Repository,
    marked: &BTreeMap<String, String>,
    ours: &BTreeMap<String, String>,
    branches: usize,
    namespace: &str,
) -> Judgement {
    let source = marked.get(SOURCE_MARK).filter(|source| ours.get(SOURCE_MARK) != Some(*source));
    match marked.get(MARK) {
        _ if mutant::is_on("foreign_repository_taken") => Judgement::Ours,
        mark if mark.is_some() && mark == ours.get(MARK) => match source {
            Some(source) if !mutant::is_on("new_source_followed") => Judgement::OfAnother(source.clone()),
            _ => Judgement::Ours,
        },
        Some(mark) => Judgement::Foreign(format!("it belongs to another mirror (incarnation {mark})")),
        None if !found.read_only => Judgement::Foreign("it is writable".to_owned()),
        None if branches > 0 => {
            Judgement::Foreign(format!("it has {branches} branches and lakemirror did not make it"))
        }
        None if found.storage_namespace != namespace => {
            Judgement::Foreign(format!("its storage namespace is {}, not {namespace}", found.storage_namespace))
        }
        None => Judgement::Free,
    }
}

async fn is_ours(context: &MirrorContext) -> Result<bool, Ended> {
    let metadata = context.insist(&ConditionKind::Repository, || context.mirror.metadata(context.name())).await?;
    let marked = metadata.and_then(|metadata| metadata.get(MARK).cloned());
    let ours = marked.as_ref() == Some(&context.definition.incarnation.to_string())
        || marked.is_some() && mutant::is_on("any_repository_deleted");
    if !ours {
        tracing::info!(mirror = context.name(), "there is no repository of this mirror to delete");
    }
    Ok(ours)
}

/// Deletes the mirror repository, if it is ours, and ends the mirror.
///
/// # Errors
/// [`Ended`].
pub async fn dismantle(context: &MirrorContext) -> Result<(), Ended> {
    let epoch = context.leased().await?;
    // A call that was given up when the deletion came may still be carried out: the mark, above all.
    context.pause(context.lease.unsettled(context.clock.monotonic())).await?;
    // Asked before each attempt: between two of them somebody may have put another one in its place.
    let mut patience = Patience::default();
    while is_ours(context).await? {
        let call = context.mirror.delete_repository(context.name());
        if context.try_once(&ConditionKind::Repository, call, &mut patience).await?.is_some() {
            break;
        }
    }
    // First the fact, then its acknowledgement: what is acknowledged is never asked for again, so that a crash between
    // the two would leave the mirror in deletion for good, and its name taken.
    if mutant::is_on("acknowledged_before_gone") {
        context
            .insist(&ConditionKind::Registry, || context.registry.acknowledge_deletion(&context.definition, epoch))
            .await?;
    }
    context.ask(MirrorCommand::Gone).await?;
    context
        .insist(&ConditionKind::Registry, || context.registry.acknowledge_deletion(&context.definition, epoch))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use lakemirror_core::ids::Incarnation;
    use lakemirror_journal::event::{Event, MirrorDefinedV1, MirrorGoneV1};

    use super::*;
    use crate::engine::tests::Loop;

    fn repository(read_only: bool, namespace: &str) -> Repository {
        Repository {
            id: "m".into(),
            creation_date: 1,
            default_branch: "main".into(),
            storage_namespace: namespace.into(),
            read_only,
        }
    }

    fn marks(incarnation: &str, source: Option<&str>) -> BTreeMap<String, String> {
        let incarnation = (MARK.to_owned(), incarnation.to_owned());
        let source = source.map(|source| (SOURCE_MARK.to_owned(), source.to_owned()));
        std::iter::once(incarnation).chain(source).collect()
    }

    #[test]
    fn only_what_is_marked_or_was_never_used_is_taken() {
        let judged = |read_only, namespace, marked: Option<&str>, branches| {
            let marked = marked.map(|mark| marks(mark, None)).unwrap_or_default();
            let ours = marks("aa", Some("17 s3://a/p"));
            judge(&repository(read_only, namespace), &marked, &ours, branches, "s3://b/p")
        };
        assert_eq!(judged(false, "s3://elsewhere", Some("aa"), 7), Judgement::Ours);
        assert_eq!(judged(true, "s3://b/p", None, 0), Judgement::Free);
        assert!(matches!(judged(true, "s3://b/p", Some("bb"), 0), Judgement::Foreign(_)));
        assert!(matches!(judged(true, "s3://b/p", None, 1), Judgement::Foreign(_)));
        assert!(matches!(judged(true, "s3://b/q", None, 0), Judgement::Foreign(_)));
        assert!(matches!(judged(false, "s3://b/p", None, 0), Judgement::Foreign(_)));
    }

    #[test]
    fn what_was_mirrored_from_an_earlier_source_is_left_as_it_is() {
        let judged = |source| {
            let ours = marks("aa", Some("17 s3://a/p"));
            judge(&repository(true, "s3://b/p"), &marks("aa", Some(source)), &ours, 3, "s3://b/p")
        };
        assert_eq!(judged("17 s3://a/p"), Judgement::Ours);
        assert_eq!(judged("16 s3://a/p"), Judgement::OfAnother("16 s3://a/p".to_owned()));
        assert_eq!(judged("17 s3://a/q"), Judgement::OfAnother("17 s3://a/q".to_owned()));
    }

    fn gone(at_ms: u64) -> [Event; 2] {
        let mirror = Incarnation([9; 16]);
        let text = str::to_owned;
        let defined = MirrorDefinedV1 {
            mirror,
            name: text("m"),
            source_repository: text("s"),
            source_region: text("east"),
            region: text("west"),
            storage_namespace: text("s3://west/s"),
            at_ms: 1,
        };
        [Event::MirrorDefined(defined), Event::MirrorGone(MirrorGoneV1 { mirror, at_ms })]
    }

    #[tokio::test]
    async fn a_name_rests_by_the_time_that_passed_and_not_by_the_wall_clock() {
        // By the wall clock, which was put forward since, the earlier mirror has been gone for long.
        let (context, clock) = Loop::after(&gone(1)).await.site_and_clock();
        let mut namesake = Namesake::default();
        let mut rests = async |passed: Duration| {
            clock.advance(passed);
            namesake.rests(&context, &[]).await.is_ok_and(|text| text.is_some())
        };
        assert!(rests(Duration::ZERO).await);
        assert!(rests(Duration::from_millis(NAME_REST_MS - 1)).await);
        assert!(!rests(Duration::from_millis(1)).await);
    }
}
