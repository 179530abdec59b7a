//! The heads that a source branch had, in order, and whether a mirror's branch follows them (I2).
//!
//! Pure: heads and their first-parent lines in, positions out. A head brings the commits of its first-parent line
//! with it that are new to the branch, oldest first, because a mirror may show those on the way. A hard reset brings
//! the commit that it resets to, so that going back is legal exactly when the source went back.

use std::collections::HashSet;

#[derive(Debug, Clone)]
struct Step {
    /// None: the branch was not there.
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
    /// Takes where the branch points to now. `line` is the head's first-parent line, the head first; empty for none.
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

    /// Where the branch was last seen; none where it is not there.
    pub fn head(&self) -> Option<&str> {
        self.steps.last().and_then(|step| step.commit.as_deref())
    }

    /// The first place at or after `from` where the branch pointed to `commit` (none: was not there).
    pub fn find(&self, from: usize, commit: Option<&str>) -> Option<usize> {
        let later = self.steps.iter().enumerate().skip(from);
        later.into_iter().find(|(_, step)| step.commit.as_deref() == commit).map(|(place, _)| place)
    }

    /// When the place was seen, milliseconds since 1970.
    pub fn at_ms(&self, place: usize) -> Option<u64> {
        self.steps.get(place).map(|step| step.at_ms)
    }

    /// The steps for a message, the last few only.
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
        assert!(!follows(&history, &[Some("a"), None]), "the source's branch was never gone");
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
    fn returning_to_an_earlier_head_is_legal_when_the_source_returned() {
        let history = history(&["b a", "c a", "b a"]);
        assert_eq!(history.shown(), "a b c b");
        assert!(follows(&history, &[Some("b"), Some("c"), Some("b")]));
        assert!(!follows(&history, &[Some("b"), Some("c"), Some("b"), Some("c")]));
    }

    #[test]
    fn a_branch_that_was_gone_may_be_gone_and_come_back() {
        let history = history(&["b a", "", "b a"]);
        assert!(follows(&history, &[Some("b"), None, Some("b")]));
        assert!(!follows(&history, &[Some("b"), None, Some("b"), None]));
        assert_eq!(history.at_ms(history.find(0, None).unwrap()), Some(2));
        assert_eq!(history.head(), Some("b"));
    }
}
