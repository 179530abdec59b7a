//! Archived objects that the mirror shows, in words: their readers get an error until somebody restores them. The branch
//! stays where it is, and what comes after it is promoted.

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_core::archived::class_name;
use lakemirror_core::ids::MetarangeId;
use lakemirror_journal::state::mirror::Mirror;

use super::problems::{Problem, Topic};

/// Branches that are named.
const NAMED_MAX: usize = 10;

/// A problem for every branch that shows a commit with archived objects.
pub(super) fn shown(mirror: &Mirror) -> Vec<Problem> {
    let trees = trees(mirror);
    if trees.is_empty() {
        return Vec::new();
    }
    let of = |name: &String, head| {
        let tree = mirror.graph.get(head)?.metarange?;
        let classes = trees.get(&tree)?;
        let parts: Vec<String> =
            classes.iter().map(|(class, count)| format!("{count} in {}", class_name(*class))).collect();
        let objects = parts.join(", ");
        let text = format!(
            "branch {name} shows commit {head}, objects of which cannot be read before they are restored: {objects}"
        );
        Some(Problem { topic: Topic::Archived(name.clone()), text, since_ms: None })
    };
    let branches = mirror.branches.iter().filter(|(_, branch)| branch.diverged().is_none() && !branch.removing);
    let mut said: Vec<Problem> = branches.filter_map(|(name, branch)| of(name, branch.mirror.as_ref()?)).collect();
    let more = said.len().saturating_sub(NAMED_MAX);
    said.truncate(NAMED_MAX);
    if more > 0 {
        let text = format!("{more} more branches show commits with archived objects");
        said.push(Problem { topic: Topic::MoreArchived, text, since_ms: None });
    }
    said
}

/// How many objects of each class the trees have of which the journal knows that any is archived. From the few ranges
/// that have some to their trees: a mirror without any costs one look at each range that is not simply whole.
fn trees(mirror: &Mirror) -> BTreeMap<MetarangeId, BTreeMap<u8, u64>> {
    let mut trees: BTreeMap<MetarangeId, BTreeMap<u8, u64>> = BTreeMap::new();
    for range in &mirror.trees.ranges {
        let Some(detail) = range.detail.as_deref().filter(|detail| !detail.archived.is_empty()) else { continue };
        for tree in range.users.iter().collect::<BTreeSet<_>>() {
            let classes = trees.entry(*tree).or_default();
            for archived in detail.archived.values() {
                *classes.entry(archived.class).or_default() += 1;
            }
        }
    }
    trees
}
