//! Losses after promotion, in words: what the mirror shows and is not whole any more. The branch stays where it is.

use std::collections::BTreeMap;

use lakemirror_core::ids::MetarangeId;
use lakemirror_journal::state::mirror::{Definition, Mirror};

use super::problems::{Problem, Topic};
use super::waits::sample;
use crate::verify::loss::Loss;

/// Branches that are named; one lost object may be shown by thousands.
const NAMED_MAX: usize = 10;

/// An alarm for every branch that shows a commit of which something was looked for and is not there.
#[must_use]
pub(super) fn losses(mirror: &Mirror, lost: &BTreeMap<MetarangeId, Loss>) -> Vec<Problem> {
    if lost.is_empty() {
        return Vec::new();
    }
    let ours = mirror.branches.iter().filter(|(_, branch)| branch.diverged().is_none() && !branch.removing);
    let shown = ours.filter_map(|(name, branch)| {
        let head = branch.mirror?;
        let loss = lost.get(&mirror.graph.get(&head)?.metarange?)?;
        let text = format!("branch {name} shows commit {head}, which is not whole: {}", what(&mirror.definition, loss));
        Some(Problem { topic: Topic::Lost(name.clone()), text, since_ms: None })
    });
    let mut shown: Vec<Problem> = shown.collect();
    let more = shown.len().saturating_sub(NAMED_MAX);
    shown.truncate(NAMED_MAX);
    if more > 0 {
        let text = format!("{more} more branches show commits that are not whole");
        shown.push(Problem { topic: Topic::MoreLost, text, since_ms: None });
    }
    shown
}

fn what(of: &Definition, loss: &Loss) -> String {
    let mut parts: Vec<String> = loss.files.clone();
    if loss.objects > 0 {
        let samples: Vec<String> = loss.samples.iter().map(|one| sample(of, one)).collect();
        let many = if loss.objects == 1 { "object is" } else { "objects are" };
        parts.push(format!("{} {many} missing or of another size: {}", loss.objects, samples.join(", ")));
    }
    parts.join("; ")
}
