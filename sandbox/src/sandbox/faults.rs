//! Fault injection between a client and lakeFS: delays, errors, closed connections, lost responses, an unreachable
//! server. Faults can be set while the server runs, from within the process or over `/_sandbox/…`.
//!
//! Stores the rules and counts calls. The HTTP side asks what to do with each call and acts on it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::pattern;

/// Maximum number of rules; further ones are refused.
pub const RULES_MAX: usize = 1000;
/// Maximum number of different routes that are counted; further ones are counted under `other`.
const COUNTED_MAX: usize = 10_000;

/// What happens to a call that matches a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It gets a response with this status and is not executed.
    Status {
        /// The status.
        code: u16,
        /// The message of the response.
        #[serde(default)]
        message: String,
    },
    /// It gets exactly this response and is not executed.
    Answer {
        /// The status.
        code: u16,
        /// Headers, by name.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body, sent as JSON.
        body: String,
    },
    /// The connection is closed without a response, and the call is not executed.
    Drop,
    /// The call is executed, and the connection is closed without a response.
    LoseAnswer,
    /// The call is delayed by this time and then executed.
    Delay {
        /// Milliseconds.
        ms: u64,
    },
}

/// Which calls fail, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The method; any if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// The path without the query, with `*` and `?` as wildcards, such as `/api/v1/repositories/*/branches/*`.
    pub path: String,
    /// What happens.
    pub fault: Fault,
    /// The first matching calls, in this number, are not affected.
    #[serde(default)]
    pub skip: u64,
    /// How many calls are affected before the rule is removed; all of them if absent.
    #[serde(default)]
    pub times: Option<u64>,
}

/// What to do with one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Delay it by this time.
    pub delay: Duration,
    /// Then apply this fault; `None` executes the call.
    pub fault: Option<Fault>,
}

/// The faults of one sandbox.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Mutex<Vec<Rule>>,
    latency: Mutex<Duration>,
    unreachable: AtomicBool,
    calls: Mutex<BTreeMap<String, u64>>,
}

impl Faults {
    /// Adds a rule after the others. Of several that match a call, the first with a fault other than a delay decides;
    /// delays add up. Returns false if there are [`RULES_MAX`] already.
    pub fn add(&self, rule: Rule) -> bool {
        let mut rules = super::lock(&self.rules);
        let room = rules.len() < RULES_MAX;
        if room {
            rules.push(rule);
        }
        room
    }

    /// Removes all rules, and makes the server fast and reachable again.
    pub fn clear(&self) {
        super::lock(&self.rules).clear();
        self.set_latency(Duration::ZERO);
        self.set_unreachable(false);
    }

    /// The remaining rules.
    pub fn rules(&self) -> Vec<Rule> {
        super::lock(&self.rules).clone()
    }

    /// Delays every call by this time.
    pub fn set_latency(&self, latency: Duration) {
        *super::lock(&self.latency) = latency;
    }

    /// With `true`, connections are closed without a response, except those to `/_sandbox/…`.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.unreachable.store(unreachable, Ordering::SeqCst);
    }

    /// Whether the server is unreachable.
    pub fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::SeqCst)
    }

    /// How often each route was called (`GET /api/v1/repositories/*/branches`), faults included.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        super::lock(&self.calls).clone()
    }

    pub(super) fn count(&self, method: &str, route: &str) {
        let mut calls = super::lock(&self.calls);
        let line = format!("{method} {route}");
        let line = if calls.len() >= COUNTED_MAX && !calls.contains_key(&line) { "other".to_owned() } else { line };
        *calls.entry(line).or_default() += 1;
    }

    /// Decides what to do with a call, and uses up the rules that match.
    pub fn judge(&self, method: &str, path: &str) -> Verdict {
        let mut verdict = Verdict { delay: *super::lock(&self.latency), fault: None };
        if self.is_unreachable() {
            verdict.fault = Some(Fault::Drop);
            return verdict;
        }
        let mut rules = super::lock(&self.rules);
        for rule in rules.iter_mut() {
            if verdict.fault.is_some() || !rule.takes(method, path) {
                continue;
            }
            match &rule.fault {
                Fault::Delay { ms } => verdict.delay += Duration::from_millis(*ms),
                fault => verdict.fault = Some(fault.clone()),
            }
        }
        rules.retain(|rule| rule.times != Some(0));
        verdict
    }
}

impl Rule {
    fn takes(&mut self, method: &str, path: &str) -> bool {
        let wanted = self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method));
        if !wanted || !pattern::matches(&self.path, path) || self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if let Some(times) = &mut self.times {
            *times -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, fault: Fault, skip: u64, times: Option<u64>) -> Rule {
        Rule { method: Some("POST".into()), path: path.into(), fault, skip, times }
    }

    #[test]
    fn rules_skip_count_and_end() {
        let faults = Faults::default();
        faults.add(rule("/a/*", Fault::LoseAnswer, 1, Some(2)));
        faults.add(rule("/a/b", Fault::Delay { ms: 5 }, 0, None));
        let seen: Vec<_> = (0..4).map(|_| faults.judge("POST", "/a/b").fault).collect();
        assert_eq!(seen, [None, Some(Fault::LoseAnswer), Some(Fault::LoseAnswer), None]);
        assert_eq!(faults.judge("POST", "/a/b").delay, Duration::from_millis(5));
        assert_eq!(faults.judge("GET", "/a/b"), Verdict::default());
        assert_eq!(faults.rules().len(), 1);
        faults.set_unreachable(true);
        assert_eq!(faults.judge("GET", "/x").fault, Some(Fault::Drop));
        faults.clear();
        assert_eq!(faults.judge("POST", "/a/b"), Verdict::default());
    }
}
