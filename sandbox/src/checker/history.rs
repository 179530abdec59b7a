//! The heads that a source branch had, in order, and whether a mirror's branch follows them (I2).
//!
//! Pure: takes heads with their first-parent lines, returns positions. A head adds the commits of its first-parent line
//! that are new to the branch, oldest first, because a mirror may show those on the way. A hard reset adds the commit
//! that it resets to, so that going back is allowed exactly when the source went back.

use std::collections::HashSet;

#[derive(Debug, Clone)]
struct Step {
    /// `None`: the branch did not exist.
    commit: Option<String>,
    at_ms: u64,
}

/// One branch of the source.
#[derive(Debug, Clone, Default)]
pub struct History {
    steps: Vec<Step>,
    line: HashSet<String>,
}

impl History {
    /// Adds the current commit of the branch. `line` is the head's first-parent line, starting with the head; empty if
    /// the branch does not exist.
    pub fn push(&mut self, line: &[String], at_ms: u64) {
        let head = line.first();
        if self.steps.last().map(|step| step.commit.as_ref()) == Some(head) {
            return;
        }
        let Some(head) = head else {
            self.steps.push(Step { commit: None, at_ms });
            self.line.clear();
            return;
        };
        let fresh = line.iter().take_while(|commit| !self.line.contains(*commit)).count();
        let fresh = line.get(1..fresh).unwrap_or_default().iter().rev();
        self.steps.extend(fresh.chain([head]).map(|commit| Step { commit: Some(commit.clone()), at_ms }));
        self.line = line.iter().cloned().collect();
    }

    /// The last observed head of the branch; `None` if it does not exist.
    pub fn head(&self) -> Option<&str> {
        self.steps.last().and_then(|step| step.commit.as_deref())
    }

    /// The first position at or after `from` at which the branch pointed to `commit` (`None`: did not exist).
    pub fn find(&self, from: usize, commit: Option<&str>) -> Option<usize> {
        let later = self.steps.iter().enumerate().skip(from);
        later.into_iter().find(|(_, step)| step.commit.as_deref() == commit).map(|(place, _)| place)
    }

    /// When the position was observed, milliseconds since 1970.
    pub fn at_ms(&self, place: usize) -> Option<u64> {
        self.steps.get(place).map(|step| step.at_ms)
    }

    /// The last few steps, for a message.
    pub fn shown(&self) -> String {
        let from = self.steps.len().saturating_sub(20);
        let steps = self.steps.iter().skip(from);
        let short = |step: &Step| step.commit.as_deref().map_or("gone", |id| id.get(..12).unwrap_or(id)).to_owned();
        steps.map(short).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn history(lines: &[&str]) -> History {
        let mut history = History::default();
        lines.iter().zip(1..).for_each(|(text, at)| history.push(&line(text), at));
        history
    }

    fn follows(history: &History, moves: &[Option<&str>]) -> bool {
        let mut position = 0;
        moves.iter().all(|wanted| match history.find(position, *wanted) {
            Some(place) => {
                position = place;
                true
            }
            None => false,
        })
    }

    #[test]
    fn forward_moves_may_skip_and_never_turn_back() {
        let history = history(&["b a", "d c b a", "e d c b a"]);
        assert_eq!(history.shown(), "a b c d e");
        assert!(follows(&history, &[Some("a"), Some("c"), Some("e")]));
        assert!(follows(&history, &[Some("e")]));
        assert!(!follows(&history, &[Some("d"), Some("c")]));
        assert!(!follows(&history, &[Some("x")]));
        assert!(!follows(&history, &[Some("a"), None]), "the source's branch was never deleted");
    }

    #[test]
    fn a_hard_reset_allows_what_the_source_did_and_no_more() {
        let history = history(&["c b a", "b a", "d b a"]);
        assert_eq!(history.shown(), "a b c b d");
        assert!(follows(&history, &[Some("c"), Some("b"), Some("d")]));
        assert!(follows(&history, &[Some("c"), Some("d")]));
        assert!(!follows(&history, &[Some("c"), Some("a")]));
        assert!(!follows(&history, &[Some("d"), Some("c")]));
    }

    #[test]
    fn returning_to_an_earlier_head_is_allowed_if_the_source_returned() {
        let history = history(&["b a", "c a", "b a"]);
        assert_eq!(history.shown(), "a b c b");
        assert!(follows(&history, &[Some("b"), Some("c"), Some("b")]));
        assert!(!follows(&history, &[Some("b"), Some("c"), Some("b"), Some("c")]));
    }

    #[test]
    fn deleted_branch_may_be_deleted_on_the_mirror_and_return() {
        let history = history(&["b a", "", "b a"]);
        assert!(follows(&history, &[Some("b"), None, Some("b")]));
        assert!(!follows(&history, &[Some("b"), None, Some("b"), None]));
        assert_eq!(history.at_ms(history.find(0, None).unwrap()), Some(2));
        assert_eq!(history.head(), Some("b"));
    }
}
