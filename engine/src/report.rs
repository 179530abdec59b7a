//! What changed in what a status complains of, as lines of the log: one when it begins, one when it is over.
//!
//! Pure: problems go in, lines come out, once. Whoever looks says when it is; nothing here is a timer or writes to the log.
//! What comes and goes again and again is told once in [`QUIET`], together with its end.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long nothing more is told about a problem that was told of.
pub const QUIET: Duration = Duration::from_secs(300);

/// Lines of one look, at most; what goes beyond it is counted.
const LINES_MAX: usize = 20;

/// Topics remembered after they are over, at most.
const REMEMBERED_MAX: usize = 4096;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<K> {
    /// A problem has begun: a warning.
    Began {
        /// What it is about.
        topic: K,
        /// What it is.
        text: String,
    },
    /// A problem that was told of is over.
    Over {
        /// What it was about.
        topic: K,
        /// What it was.
        text: String,
        /// How long it lasted.
        lasted: Duration,
    },
    /// So many more began with this look.
    More(usize),
}

#[derive(Debug)]
struct Open {
    since: Duration,
    text: String,
    told: bool,
    /// Nothing is told of it before.
    quiet_until: Duration,
}

/// What was told until now.
#[derive(Debug)]
pub struct Reporter<K> {
    open: BTreeMap<K, Open>,
    /// When a topic was last told of.
    told: BTreeMap<K, Duration>,
}

impl<K> Default for Reporter<K> {
    fn default() -> Self {
        Self { open: BTreeMap::new(), told: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Reporter<K> {
    /// Takes what is wrong at `now`, of the monotonic clock, and returns what is to be told of it. Another text for the
    /// same topic is the same problem.
    pub fn look(&mut self, now: Duration, problems: &[(K, String)]) -> Vec<Line<K>> {
        let mut lines = Vec::new();
        let is_there = |topic: &K| problems.iter().any(|(there, _)| there == topic);
        let over: Vec<K> = self.open.keys().filter(|topic| !is_there(topic)).cloned().collect();
        for topic in over {
            let Some(open) = self.open.remove(&topic).filter(|open| open.told) else { continue };
            lines.push(Line::Over { topic, text: open.text, lasted: now.saturating_sub(open.since) });
        }
        self.told.retain(|_, at| now.saturating_sub(*at) < QUIET);
        let mut more = 0;
        for (topic, text) in problems {
            let quiet_until = self.told.get(topic).map_or(Duration::ZERO, |told| *told + QUIET);
            let open = self.open.entry(topic.clone());
            let open = open.or_insert_with(|| Open { since: now, text: text.clone(), told: false, quiet_until });
            if open.told || now < open.quiet_until {
                continue;
            }
            // What is not told for want of room is not told one by one with the next looks either.
            (open.told, open.quiet_until) = (lines.len() < LINES_MAX, now + QUIET);
            open.text.clone_from(text);
            if self.told.len() < REMEMBERED_MAX {
                self.told.insert(topic.clone(), now);
            }
            match open.told {
                true => lines.push(Line::Began { topic: topic.clone(), text: text.clone() }),
                false => more += 1,
            }
        }
        lines.extend((more > 0).then_some(Line::More(more)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn began(topic: &'static str, text: &str) -> Line<&'static str> {
        Line::Began { topic, text: text.to_owned() }
    }

    fn problems(all: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        all.iter().map(|(topic, text)| (*topic, (*text).to_owned())).collect()
    }

    #[test]
    fn a_problem_is_told_once_when_it_begins_and_once_when_it_is_over() {
        let mut reporter = Reporter::default();
        assert_eq!(reporter.look(s(0), &[]), []);
        assert_eq!(reporter.look(s(1), &problems(&[("stuck", "a")])), [began("stuck", "a")]);
        // 42 looks in 65 s, each with another text, were 42 lines.
        for turn in 0..42 {
            assert_eq!(reporter.look(s(2 + turn), &problems(&[("stuck", &format!("a{turn}"))])), []);
        }
        let over = Line::Over { topic: "stuck", text: "a".to_owned(), lasted: s(65) };
        assert_eq!(reporter.look(s(66), &[]), [over]);
        assert_eq!(reporter.look(s(67), &[]), []);
    }

    #[test]
    fn what_comes_and_goes_is_told_once_in_five_minutes() {
        let (mut reporter, mut lines) = (Reporter::default(), Vec::new());
        for second in 0..600 {
            let now = if second % 2 == 0 { problems(&[("lakefs", "down")]) } else { Vec::new() };
            lines.extend(reporter.look(s(second), &now));
        }
        let warnings = lines.iter().filter(|line| matches!(line, Line::Began { .. })).count();
        assert_eq!((warnings, lines.len()), (2, 4), "{lines:?}");
        // What lasts from then on is told as soon as it may be.
        let down = problems(&[("lakefs", "still down")]);
        let told = (600..1000).find(|second| !reporter.look(s(*second), &down).is_empty());
        assert_eq!(told, Some(600));
        assert_eq!(reporter.look(s(1000), &[]).len(), 1);
    }

    #[test]
    fn what_ails_thousands_is_not_thousands_of_lines() {
        let mut reporter = Reporter::default();
        let all: Vec<(u32, String)> = (0..5_000).map(|topic| (topic, "stuck".to_owned())).collect();
        let lines = reporter.look(s(0), &all);
        assert_eq!((lines.len(), lines.last()), (LINES_MAX + 1, Some(&Line::More(5_000 - LINES_MAX))));
        assert_eq!(reporter.look(s(1), &all), []);
        assert!(reporter.look(s(400), &all).len() <= LINES_MAX + 1);
        let over = reporter.look(s(401), &[]);
        assert!(over.len() <= 2 * LINES_MAX, "{}", over.len());
    }
}
