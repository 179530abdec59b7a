//! One run of a check: the plan's steps, carried out, and what all runs of a check share.
//!
//! Owns the driving of one [`Plan`] and the tally of a check's failures. It decides nothing that the plan decides.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use lakemirror_ports::{Answer, Fault, FaultKind, Outcome, Wanted};

use super::super::plan::{Plan, Step, judge};
use super::super::{Found, Store};
use super::{ANSWERS_MAX, Bucket, Checker};

/// Answers are handed on when a run has at least this many, and at its end.
const ANSWERS_LEAST: usize = 1024;

/// What the runs of one check share.
pub(super) struct Progress<'a> {
    answers: &'a (dyn Fn(Vec<Answer>) + Send + Sync),
    failures_most: u32,
    failures_in_row: AtomicU32,
    any_answer: AtomicBool,
    any_found: AtomicBool,
    open: Mutex<Open>,
}

/// What is only settled at the end of the check.
#[derive(Default)]
struct Open {
    /// Tags of keys without an answer.
    unanswered: Vec<u64>,
    /// The failure to report if nothing succeeds; one that an operator has to mend goes before one that may pass.
    fault: Option<Fault>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(answers: &'a (dyn Fn(Vec<Answer>) + Send + Sync), failures_most: u32) -> Self {
        Self {
            answers,
            failures_most,
            failures_in_row: AtomicU32::new(0),
            any_answer: AtomicBool::new(false),
            any_found: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether any request was answered.
    pub(super) fn any_answer(&self) -> bool {
        self.any_answer.load(Ordering::Relaxed)
    }

    /// Whether any object was seen.
    pub(super) fn any_found(&self) -> bool {
        self.any_found.load(Ordering::Relaxed)
    }

    fn succeeded(&self, found: bool) {
        self.failures_in_row.store(0, Ordering::Relaxed);
        self.any_answer.store(true, Ordering::Relaxed);
        if found {
            self.any_found.store(true, Ordering::Relaxed);
        }
    }

    fn failed(&self, fault: Fault) {
        self.failures_in_row.fetch_add(1, Ordering::Relaxed);
        let mut open = self.open();
        let passing = open.fault.as_ref().is_none_or(|known| known.kind == FaultKind::Retry);
        if passing {
            open.fault = Some(fault);
        }
    }

    fn unanswered(&self, wanted: &[Wanted]) {
        self.open().unanswered.extend(wanted.iter().map(|wanted| wanted.tag));
    }

    /// Whether so much has failed in a row that asking on is of no use.
    fn hopeless(&self) -> bool {
        self.failures_in_row.load(Ordering::Relaxed) >= self.failures_most
    }

    fn hand_on(&self, answers: &mut Vec<Answer>, least: usize) {
        if answers.len() < least.max(1) {
            return;
        }
        while answers.len() > ANSWERS_MAX {
            let rest = answers.split_off(ANSWERS_MAX);
            (self.answers)(std::mem::replace(answers, rest));
        }
        (self.answers)(std::mem::take(answers));
    }

    /// Ends the check: its failure if no request was answered, or the keys without an answer. A failure that no
    /// repetition mends is told even so: what it keeps from being found would else seem to be on its way.
    pub(super) fn finish(self) -> Result<(), Fault> {
        let any_answer = self.any_answer();
        let open = std::mem::take(&mut *self.open());
        let fault = open.fault.filter(|fault| !any_answer || fault.kind == FaultKind::Refused);
        if fault.is_none() || any_answer {
            let unknown = |tag: &u64| Answer { tag: *tag, outcome: Outcome::Unknown };
            for tags in open.unanswered.chunks(ANSWERS_MAX) {
                (self.answers)(tags.iter().map(unknown).collect());
            }
        }
        fault.map_or(Ok(()), Err)
    }
}

/// One run of a check.
pub(super) struct Run<'a, S: ?Sized> {
    pub(super) checker: &'a Checker<S>,
    pub(super) bucket: &'a Bucket,
    pub(super) name: &'a str,
    pub(super) prefix: &'a str,
    /// Single requests that this run may have waiting or in flight.
    pub(super) width: usize,
    pub(super) progress: &'a Progress<'a>,
    pub(super) plan: Plan<'a>,
}

impl<S: Store + ?Sized> Run<'_, S> {
    /// Takes the plan to its end. Fails only by what concerns every key.
    pub(super) async fn go(mut self) -> Result<(), Fault> {
        let mut answers = Vec::new();
        loop {
            if self.progress.hopeless() {
                self.progress.unanswered(self.plan.rest());
                break;
            }
            match self.plan.next() {
                Step::Done => break,
                Step::List { after } => self.page(&after, &mut answers).await?,
                Step::Heads(range) => self.heads(range, &mut answers).await,
            }
            self.progress.hand_on(&mut answers, ANSWERS_LEAST);
        }
        self.progress.hand_on(&mut answers, 1);
        Ok(())
    }

    async fn page(&mut self, after: &str, answers: &mut Vec<Answer>) -> Result<(), Fault> {
        let max = self.checker.store.costs().page_keys;
        match self.checker.list(self.bucket, self.name, self.prefix, after, max).await {
            Ok(page) => {
                self.progress.succeeded(!page.is_empty());
                match page.in_order(self.prefix, after) {
                    Ok(()) => {
                        self.plan.listed(&page, answers);
                        let doubtful = self.plan.take_doubtful();
                        self.ask_all(doubtful.into_iter(), answers).await;
                    }
                    Err(disorder) => self.unusable(&disorder.to_string()),
                }
            }
            Err(fault) => match fault.kind {
                FaultKind::Retry => {
                    self.progress.failed(fault);
                    self.plan.list_failed();
                }
                FaultKind::Contradiction => self.unusable(&fault.message),
                FaultKind::Absent | FaultKind::Denied | FaultKind::Refused => return Err(fault),
            },
        }
        Ok(())
    }

    fn unusable(&mut self, reason: &str) {
        tracing::warn!(
            store = self.checker.store.name(),
            bucket = self.name,
            reason,
            "a listing cannot be used; asking for each key instead, which is slower"
        );
        self.plan.list_unusable();
    }

    async fn heads(&mut self, range: Range<usize>, answers: &mut Vec<Answer>) {
        let keys = self.plan.rest().get(..range.len()).unwrap_or_default().chunk_by(|a, b| a.key == b.key);
        self.ask_all(keys, answers).await;
        self.plan.asked(&range);
    }

    /// Asks for keys one by one, each given with all that wait for it.
    async fn ask_all<'w>(&self, mut keys: impl Iterator<Item = &'w [Wanted]>, answers: &mut Vec<Answer>) {
        let mut asking = FuturesUnordered::new();
        loop {
            while asking.len() < self.width
                && let Some(equal) = keys.next()
            {
                asking.push(self.ask(equal));
            }
            let Some((equal, found)) = asking.next().await else { break };
            match found {
                Some(found) => answers.extend(equal.iter().map(|wanted| judge(wanted, found))),
                None => self.progress.unanswered(equal),
            }
        }
        drop(asking);
    }

    async fn ask<'w>(&self, equal: &'w [Wanted]) -> (&'w [Wanted], Option<Found>) {
        let Some(first) = equal.first().filter(|_| !self.progress.hopeless()) else { return (equal, None) };
        match self.checker.head(self.bucket, self.name, &first.key).await {
            Ok(found) => {
                self.progress.succeeded(matches!(found, Found::Present { .. } | Found::Archived { .. }));
                (equal, Some(found))
            }
            Err(fault) => {
                self.progress.failed(fault);
                (equal, None)
            }
        }
    }
}
