//! One scan: detects what the mirror's branches did since the last one, and checks it.
//!
//! The mirror is queried before the source, so whatever the mirror shows was at the source before the source is
//! queried. Heads of the source are added to the histories. Each move of the mirror is checked against I2 (the history)
//! and I1 (the bucket and the mirror's records).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bucket::Tree;
use super::lake::Commit;
use super::{CheckError, Checker, HttpError, KEPT_MAX, Move, Rule, Violation};

/// Maximum number of commits that a walk over parents visits.
const WALK_MAX: usize = 100_000;

/// A change of one branch of the mirror.
struct Change {
    at_ms: u64,
    branch: String,
    from: Option<String>,
    to: Option<String>,
    /// Found by the first scan, so the previous commit is not known.
    found: bool,
}

impl Checker {
    /// Scans once and checks the moves.
    ///
    /// # Errors
    /// The mirror, or both, do not respond: the moves are checked at the next scan.
    pub async fn look(&self) -> Result<(), CheckError> {
        let _turn = self.inner.turn.lock().await;
        let mirror = self.inner.mirror.branches().await?;
        let at_ms = self.inner.clock.wall_ms();
        let gate = self.inner.gate.lock().await;
        let recorded = self.record_source().await;
        drop(gate);
        for change in self.changes(&mirror, at_ms) {
            self.judge(change, recorded.is_ok()).await?;
        }
        let mut state = self.state();
        if recorded.is_ok() {
            state.attached = true;
            state.turns += 1;
        }
        drop(state);
        recorded
    }

    /// Adds the source's heads to the histories. The caller must hold the gate.
    pub(super) async fn record_source(&self) -> Result<(), CheckError> {
        let branches = self.inner.source.branches().await?;
        let at_ms = self.inner.clock.wall_ms();
        let mut seen: Vec<(String, Option<String>)> = Vec::new();
        {
            let state = self.state();
            for (branch, head) in &branches {
                if state.histories.get(branch).and_then(|history| history.head()) != Some(head) {
                    seen.push((branch.clone(), Some(head.clone())));
                }
            }
            let gone = state
                .histories
                .iter()
                .filter(|(name, history)| history.head().is_some() && !branches.contains_key(*name));
            seen.extend(gone.map(|(name, _)| (name.clone(), None)));
        }
        for (branch, head) in seen {
            let line = match head {
                Some(head) => self.first_parents(&head).await?,
                None => Vec::new(),
            };
            self.state().histories.entry(branch).or_default().push(&line, at_ms);
        }
        Ok(())
    }

    fn changes(&self, mirror: &BTreeMap<String, String>, at_ms: u64) -> Vec<Change> {
        let state = self.state();
        let names: BTreeSet<&String> = mirror.keys().chain(state.standings.keys()).collect();
        let changed = names.into_iter().filter_map(|branch| {
            let from = state.standings.get(branch).and_then(|standing| standing.head.clone());
            let to = mirror.get(branch).cloned();
            let found = !state.attached;
            (from != to).then(|| Change { at_ms, branch: branch.clone(), from, to, found })
        });
        changed.collect()
    }

    async fn judge(&self, change: Change, source_known: bool) -> Result<(), CheckError> {
        let place = self.place(&change);
        if place.is_none() && !source_known {
            // The source may have been at this commit in the meantime; the next scan decides.
            return Ok(());
        }
        let (message, tree, mut wrong) = match &change.to {
            Some(head) => self.examine(head, change.at_ms).await?,
            None => (String::new(), Tree::default(), Vec::new()),
        };
        let mut state = self.state();
        let at_source_ms = place.and_then(|place| state.histories.get(&change.branch)?.at_ms(place));
        let standing = state.standings.entry(change.branch.clone()).or_default();
        standing.head.clone_from(&change.to);
        standing.position = place.unwrap_or(standing.position);
        let outside = (place.is_none() && !change.found).then(|| (Rule::I2, self.outside(&state, &change)));
        let broken = outside.into_iter().chain(wrong.drain(..).map(|text| (Rule::I1, text)));
        for (rule, text) in broken.take(KEPT_MAX.saturating_sub(state.violations.len())).collect::<Vec<_>>() {
            let Change { at_ms, ref branch, ref to, .. } = change;
            state.violations.push(Violation { at_ms, rule, branch: branch.clone(), commit: to.clone(), text });
        }
        if state.moves.len() < KEPT_MAX {
            let Change { at_ms, branch, from, to, found } = change;
            state.moves.push(Move { at_ms, branch, from, to, message, tree, at_source_ms, found });
        }
        Ok(())
    }

    fn place(&self, change: &Change) -> Option<usize> {
        let state = self.state();
        let from = state.standings.get(&change.branch).map_or(0, |standing| standing.position);
        state.histories.get(&change.branch)?.find(from, change.to.as_deref())
    }

    fn outside(&self, state: &super::State, change: &Change) -> String {
        let Some(history) = state.histories.get(&change.branch) else {
            return "the source never had a branch of this name".to_owned();
        };
        let from = change.from.as_deref().unwrap_or("nothing");
        let what = match (&change.to, history.find(0, change.to.as_deref())) {
            (None, None) => "it was removed, and the source's branch never was",
            (None, Some(_)) => "it was removed again, and the source's branch was not",
            (Some(_), Some(_)) => "the source's branch had it before what the mirror showed already",
            (Some(_), None) => "the source's branch never pointed to it",
        };
        format!("moved from {from}: {what}; the source's branch had {}", history.shown())
    }

    /// Checks I1 for a head. Returns its message, its tree, and the faults.
    async fn examine(&self, head: &str, at_ms: u64) -> Result<(String, Tree, Vec<String>), CheckError> {
        let commit = match self.commit(head).await {
            Ok(commit) => commit,
            Err(error) if error.status() == Some(404) => {
                return Ok((String::new(), Tree::default(), vec!["the source has no such commit".to_owned()]));
            }
            Err(error) => return Err(error.into()),
        };
        let (tree, mut wrong) = match self.tree(&commit.meta_range_id, at_ms).await? {
            Ok(tree) => (tree, Vec::new()),
            Err(wrong) => (Tree::default(), wrong),
        };
        wrong.extend(self.ancestors(head, at_ms).await?);
        Ok((commit.message.clone(), tree, wrong))
    }

    async fn tree(&self, metarange: &str, at_ms: u64) -> Result<Result<Tree, Vec<String>>, CheckError> {
        let (bucket, id) = (Arc::clone(&self.inner.bucket), metarange.to_owned());
        let outcome = tokio::task::spawn_blocking(move || bucket.tree(&id, at_ms)).await?;
        if outcome.is_ok() {
            self.state().whole.insert(metarange.to_owned());
        }
        Ok(outcome)
    }

    /// Checks the records on the mirror, from a head down to those that were checked before.
    async fn ancestors(&self, head: &str, at_ms: u64) -> Result<Vec<String>, CheckError> {
        let (mut open, mut wrong) = (vec![head.to_owned()], Vec::new());
        for _ in 0..WALK_MAX {
            let Some(id) = open.pop() else { break };
            if self.state().recorded.contains(&id) {
                continue;
            }
            let wanted = self.commit(&id).await?;
            match self.inner.mirror.commit(&id).await {
                Ok(found) if found == *wanted => {}
                Ok(found) => wrong.push(format!("the mirror's record of {id} is {found:?}, the source's {wanted:?}")),
                Err(error) if error.status() == Some(404) => wrong.push(format!("the mirror has no record of {id}")),
                Err(error) => return Err(error.into()),
            }
            let known = self.state().whole.contains(&wanted.meta_range_id);
            if self.inner.ancestors_complete && id != head && !known {
                let missing = self.tree(&wanted.meta_range_id, at_ms).await?.err().unwrap_or_default();
                wrong.extend(missing.into_iter().map(|text| format!("of ancestor {id}: {text}")));
            }
            self.state().recorded.insert(id);
            open.extend(wanted.parents.iter().cloned());
        }
        Ok(wrong)
    }

    /// A commit from the source or, if that does not respond, from the mirror.
    async fn commit(&self, id: &str) -> Result<Arc<Commit>, HttpError> {
        if let Some(known) = self.state().commits.get(id) {
            return Ok(Arc::clone(known));
        }
        let commit = match self.inner.source.commit(id).await {
            Err(error @ HttpError::NoAnswer { .. }) => self.inner.mirror.commit(id).await.map_err(|_| error)?,
            answer => answer?,
        };
        let commit = Arc::new(commit);
        self.state().commits.insert(id.to_owned(), Arc::clone(&commit));
        Ok(commit)
    }

    async fn first_parents(&self, head: &str) -> Result<Vec<String>, CheckError> {
        let (mut line, mut next) = (Vec::new(), Some(head.to_owned()));
        while let Some(id) = next.take().filter(|_| line.len() < WALK_MAX) {
            next = self.commit(&id).await?.parents.first().cloned();
            line.push(id);
        }
        Ok(line)
    }
}
