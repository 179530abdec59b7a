//! Asking the source about objects that do not come: only its own answer, twice, makes one expired.

use futures_util::StreamExt;
use lakemirror_journal::command::Ask;
use lakemirror_journal::event::SourceProbedV1;
use lakemirror_journal::ids::{CommitId, Incarnation};

use super::check::{Question, Tally};
use crate::engine::mirror::{Ended, Site};
use crate::engine::ports::SourceObject;

/// Objects of one range that are asked about in one pass.
const PROBES_MAX: usize = 64;

/// Objects that are asked about first: if the source has them all, the others are not asked for either.
const SAMPLE: usize = 8;

/// Questions to the source at a time.
const PROBES_AT_A_TIME: usize = 8;

/// What a pass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probed {
    /// Objects that the source has.
    pub there: usize,
    /// Objects that are gone at the source.
    pub gone: usize,
}

/// Asks the source about what is absent of one range, on behalf of a commit.
///
/// # Errors
/// [`Ended::Journal`].
pub async fn probe(site: &Site, commit: CommitId, question: &Question, tally: &Tally) -> Result<Probed, Ended> {
    let lacks: Vec<(u32, String)> = tally
        .absent
        .iter()
        .filter_map(|place| question.lacks.get(*place))
        .filter_map(|lack| std::str::from_utf8(&lack.item.path).ok().map(|path| (lack.ordinal, path.to_owned())))
        .take(PROBES_MAX)
        .collect();
    let (sample, rest) = lacks.split_at(lacks.len().min(SAMPLE));
    let (mut gone, mut there) = (Vec::new(), Vec::new());
    ask_source(site, commit, sample, &mut gone, &mut there).await;
    if !gone.is_empty() {
        ask_source(site, commit, rest, &mut gone, &mut there).await;
    }
    let probed = Probed { there: there.len(), gone: gone.len() };
    if probed.gone + probed.there > 0 {
        let fact = SourceProbedV1 { mirror: Incarnation([0; 16]), range: question.range, gone, there, at_ms: 0 };
        site.ask(Ask::ProbeSource(fact)).await?;
    }
    Ok(probed)
}

/// A source that does not answer decides nothing.
async fn ask_source(site: &Site, commit: CommitId, lacks: &[(u32, String)], gone: &mut Vec<u32>, there: &mut Vec<u32>) {
    let repository = &site.definition.source_repository;
    let asked = lacks.to_vec().into_iter().map(|(ordinal, path)| async move {
        let answer = site.source.probe_object(repository, &commit, &path).await;
        (ordinal, answer)
    });
    let mut answers = futures_util::stream::iter(asked).buffer_unordered(PROBES_AT_A_TIME);
    while let Some((ordinal, answer)) = answers.next().await {
        match answer {
            Ok(SourceObject::Gone) => gone.push(ordinal),
            Ok(SourceObject::There { .. }) => there.push(ordinal),
            Ok(SourceObject::NoSuchPath) | Err(_) => {}
        }
    }
}
