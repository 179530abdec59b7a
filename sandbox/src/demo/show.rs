//! Prints what happens: what lakemirror reports that it is waiting for, and each move that the checker detected.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lakemirror_api::types::{Branch, BranchState, Mirror, Waiting};
use lakemirror_ports::clock::Clock;

use super::screen::{Screen, Voice, short};
use super::service::Api;
use crate::checker::{Checker, Move};

/// Time between two polls.
const EVERY: Duration = Duration::from_millis(100);
/// Minimum time between two reports about the same branch.
const TOLD_EVERY: Duration = Duration::from_millis(700);

/// The moves and violations that the checker found; each is printed once.
pub(super) struct Moves<'a> {
    checker: &'a Checker,
    screen: &'a Screen,
    /// The prefix of each line if there are several mirrors.
    label: &'a str,
    /// Number of moves and violations that were printed.
    shown: Mutex<(usize, usize)>,
}

impl<'a> Moves<'a> {
    pub(super) fn new(checker: &'a Checker, screen: &'a Screen) -> Self {
        Self::labelled(checker, screen, "")
    }

    /// Those of one of several mirrors.
    pub(super) fn labelled(checker: &'a Checker, screen: &'a Screen, label: &'a str) -> Self {
        Self { checker, screen, label, shown: Mutex::default() }
    }

    /// Prints those that were not printed yet.
    pub(super) fn show(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for seen in self.checker.moves(shown.0) {
            shown.0 += 1;
            self.screen.say(Voice::Mirror, &self.after_label(&moved(&seen)));
        }
        for violation in self.checker.violations().iter().skip(shown.1) {
            shown.1 += 1;
            self.screen.say(Voice::Bad, &self.after_label(&violation.to_string()));
        }
    }
}

impl Moves<'_> {
    fn after_label(&self, text: &str) -> String {
        if self.label.is_empty() { text.to_owned() } else { format!("{:<11} {text}", self.label) }
    }
}

/// Prints comments.
pub(super) struct Show<'a> {
    api: &'a Api,
    moves: &'a Moves<'a>,
    clock: &'a dyn Clock,
    told: HashMap<String, (String, Duration)>,
}

impl<'a> Show<'a> {
    pub(super) fn new(api: &'a Api, moves: &'a Moves<'a>, clock: &'a dyn Clock) -> Self {
        Self { api, moves, clock, told: HashMap::new() }
    }

    /// Prints comments until dropped.
    pub(super) async fn run(&mut self) {
        loop {
            let mirror = self.api.mirror().await;
            self.moves.show();
            if let Ok(mirror) = mirror {
                self.waiting(&mirror);
            }
            self.clock.sleep(EVERY).await;
        }
    }

    fn waiting(&mut self, mirror: &Mirror) {
        let now = self.clock.monotonic();
        for branch in &mirror.branches {
            let Some(text) = waiting(branch) else { continue };
            let fresh = match self.told.get(&branch.id) {
                Some((told, at)) => *told != text && now.saturating_sub(*at) >= TOLD_EVERY,
                None => true,
            };
            if fresh {
                self.moves.screen.say(Voice::Waiting, &text);
                self.told.insert(branch.id.clone(), (text, now));
            }
        }
    }
}

/// What a branch is waiting for, in one line.
pub(super) fn waiting(branch: &Branch) -> Option<String> {
    if matches!(branch.state, BranchState::Synced | BranchState::Promoting) {
        return None;
    }
    let first = branch.waiting.first()?;
    let more = match branch.waiting.len() as u64 - 1 + first.and_more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{:<11} {}{more}", branch.id, shortened(&first.what)))
}

/// Whether a branch is reported as waiting for this object only.
pub(super) fn waits_for_one(branch: &Branch, path: &str) -> bool {
    let is_alone = |only: &Waiting| {
        only.and_more == 0 && only.objects_missing == Some(1) && only.objects.iter().any(|object| object.path == path)
    };
    matches!(branch.waiting.as_slice(), [only] if is_alone(only))
}

/// Content ids of 64 digits, shortened to what people compare.
fn shortened(text: &str) -> String {
    let is_hex = |c: char| c.is_ascii_hexdigit();
    let words = text.split_inclusive(|c| !is_hex(c)).map(|word| {
        let digits = word.trim_end_matches(|c| !is_hex(c));
        match digits.len() {
            64 => format!("{}{}", short(digits), word.get(64..).unwrap_or_default()),
            _ => word.to_owned(),
        }
    });
    words.collect()
}

/// One move with its evidence, in one line.
fn moved(seen: &Move) -> String {
    let from = seen.from.as_deref().map_or("(new)", short);
    let Some(to) = &seen.to else {
        return format!("{:<11} {from} → removed, as at the source", seen.branch);
    };
    let mut text = format!("{:<11} {from} → {} {:?}", seen.branch, short(to), seen.message);
    let tree = &seen.tree;
    text.push_str(&format!(
        ": {} objects ({} bytes) and {} ranges found in the bucket",
        tree.objects, tree.bytes, tree.ranges
    ));
    if seen.found {
        text.push_str("; it was so at the start");
    } else if let Some(at_source) = seen.at_source_ms {
        let after = |ms: u64| seen.at_ms.saturating_sub(ms) as f64 / 1000.0;
        let arrived = tree.last_arrival_ms.max(at_source);
        text.push_str(&format!(
            "; {:.2} s after the source, {:.2} s after the last of it was there",
            after(at_source),
            after(arrived)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use lakemirror_api::types::{WaitKind, WaitingObject};

    use super::*;

    #[test]
    fn branch_waits_for_one_object_if_only_that_is_named() {
        let wait = |path: &str, objects_missing, and_more| Waiting {
            kind: WaitKind::Objects,
            what: "objects".to_owned(),
            objects_missing: Some(objects_missing),
            objects: vec![WaitingObject { path: path.to_owned(), uri: "s3://west/key".to_owned() }],
            and_more,
            since: 1,
            last_checked: None,
        };
        let branch = |waiting| Branch {
            id: "main".to_owned(),
            source_commit_id: None,
            promoted_commit_id: None,
            state: BranchState::Waiting,
            waiting,
        };
        let waits = |waiting| waits_for_one(&branch(waiting), "a/2.csv");
        let alone = || wait("a/2.csv", 1, 0);
        assert!(waits(vec![alone()]));
        for other in [wait("a/2.csv", 2, 0), wait("a/2.csv.gz", 1, 0), wait("a/2.csv", 0, 0), wait("a/2.csv", 1, 1)] {
            assert!(!waits(vec![other.clone()]), "{other:?}");
        }
        assert!(!waits(vec![alone(), wait("b", 2, 0)]) && !waits(vec![]));
    }

    #[test]
    fn ids_are_shortened_and_nothing_else() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(shortened(&format!("range {id} of (x {id}: é)")), "range 0123456789 of (x 0123456789: é)");
        assert_eq!(shortened("3 of 4 objects"), "3 of 4 objects");
    }
}
