//! Which request to make next, for one ascending run of wanted keys: a page of the listing, or a few single keys.
//!
//! Owns the decision and the join of pages with wanted keys. Pure: no I/O, no clock. The driver
//! ([`super::checker`]) asks [`Plan::next`], makes the request, and hands its answer back.
//!
//! A page costs as much as [`Costs::list_in_heads`] single requests, so it pays where it settles at least that many
//! keys. The plan tries a page; as long as pages pay, it goes on with pages, each started just before the next wanted
//! key, so that gaps are jumped over. A page that did not pay is followed by a burst of single requests, and then the
//! next page is tried; bursts double from four pages' worth up to [`BURST_MAX`] while pages do not pay.
//!
//! A listing does not tell whether an object of an archive class was restored, nor the tier of `INTELLIGENT_TIERING`:
//! such keys cost one HEAD each beside their page.
//!
//! With `n` distinct keys (but for those) and `c` = `list_in_heads`, in units of one HEAD, the cost is at most `1.25 n + c`: pages that
//! pay cost no more than the HEADs that they replace, and every page that does not, save the last, is followed by at
//! least `4 c` HEADs. The number of requests is at most `1.25 n + 1`. Where everything wanted is dense, it is one
//! request a page, and fewer than `c` HEADs for the rest at the end.

use std::ops::Range;

use lakemirror_ports::{Answer, Outcome, Wanted};

use super::{Found, Page};

/// What a store's requests cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// How many HEADs one LIST page is worth. `u32::MAX`: never list.
    pub list_in_heads: u32,
    /// The largest page, in keys.
    pub page_keys: usize,
}

impl Costs {
    /// S3: a page of 1,000 keys costs 12.5 HEADs by AWS's price list (0.005 to 0.0004 dollars a thousand).
    pub const S3: Self = Self { list_in_heads: 13, page_keys: 1000 };
    /// Stores where looking at a key is cheaper than reading a directory.
    pub const HEAD_ONLY: Self = Self { list_in_heads: u32::MAX, page_keys: 1000 };
}

/// The most single requests between two tries of a page (or the first burst, where a page is worth even more).
pub const BURST_MAX: usize = 1024;
/// The first burst, in pages' worth.
const BURST_PAGES: usize = 4;

/// The next request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// List from this key, exclusive; then [`Plan::listed`], [`Plan::list_failed`] or [`Plan::list_unusable`].
    List {
        /// The key to start after.
        after: String,
    },
    /// Ask for the wanted keys of this range one by one (equal keys are never split between ranges); then
    /// [`Plan::asked`].
    Heads(Range<usize>),
    /// Every key is settled.
    Done,
}

/// The progress through one ascending run of wanted keys.
#[derive(Debug)]
pub struct Plan<'a> {
    wanted: &'a [Wanted],
    at: usize,
    page_pays_from: usize,
    mode: Mode,
    burst: usize,
    listed_to: Option<String>,
    /// Keys that a page has, and of which it does not tell whether they can be read.
    doubtful: Vec<Range<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    List,
    Burst,
    HeadsOnly,
}

impl<'a> Plan<'a> {
    /// A plan for keys in ascending order (equal ones side by side).
    #[must_use]
    pub fn new(wanted: &'a [Wanted], costs: Costs) -> Self {
        debug_assert!(wanted.is_sorted_by(|a, b| a.key <= b.key));
        let page_pays_from = usize::try_from(costs.list_in_heads).unwrap_or(usize::MAX).max(1);
        let mode = if costs.list_in_heads == u32::MAX { Mode::HeadsOnly } else { Mode::List };
        let burst = Self::first_burst(page_pays_from);
        Self { wanted, at: 0, page_pays_from, mode, burst, listed_to: None, doubtful: Vec::new() }
    }

    /// A plan that only asks for single keys.
    #[must_use]
    pub fn heads_only(wanted: &'a [Wanted]) -> Self {
        Self::new(wanted, Costs::HEAD_ONLY)
    }

    fn first_burst(page_pays_from: usize) -> usize {
        page_pays_from.saturating_mul(BURST_PAGES)
    }

    /// The keys that are not settled yet.
    #[must_use]
    pub fn rest(&self) -> &'a [Wanted] {
        self.wanted.get(self.at..).unwrap_or_default()
    }

    /// What to do now. Does not change until an answer is handed back.
    #[must_use]
    pub fn next(&self) -> Step {
        let rest = self.rest();
        let Some(first) = rest.first() else { return Step::Done };
        match self.mode {
            Mode::List if self.page_may_pay() => Step::List { after: self.start_for(&first.key) },
            Mode::List => Step::Heads(self.at..self.wanted.len()),
            Mode::Burst => Step::Heads(self.at..self.burst_end(self.burst)),
            Mode::HeadsOnly => Step::Heads(self.at..self.burst_end(BURST_MAX)),
        }
    }

    /// Whether enough distinct keys are left for a page to be worth its price.
    fn page_may_pay(&self) -> bool {
        let rest = self.rest();
        let distinct = rest.chunk_by(|a, b| a.key == b.key).take(self.page_pays_from).count();
        distinct >= self.page_pays_from
    }

    fn burst_end(&self, burst: usize) -> usize {
        let len: usize = self.rest().chunk_by(|a, b| a.key == b.key).take(burst).map(<[_]>::len).sum();
        self.at.saturating_add(len)
    }

    fn start_for(&self, key: &str) -> String {
        let just_before = just_before(key);
        match &self.listed_to {
            Some(listed_to) if *listed_to > just_before => listed_to.clone(),
            _ => just_before,
        }
    }

    /// Joins a page, which must be [`in order`](Page::in_order), with the wanted keys that it spans.
    pub fn listed(&mut self, page: &Page, answers: &mut Vec<Answer>) {
        let mut settled: usize = 0;
        for (key, size, cold) in page.iter_cold() {
            settled = settled.saturating_add(self.settle_below(key, answers));
            settled = settled.saturating_add(self.settle_equal(key, size, cold, answers));
            if self.rest().is_empty() {
                break;
            }
        }
        if !page.more {
            settled = settled.saturating_add(distinct_keys(self.rest()));
            self.settle_all(Outcome::Absent, answers);
        }
        self.listed_to = page.last().map(str::to_owned);
        self.after_page(settled);
    }

    /// Wanted keys that the page passed over are absent.
    fn settle_below(&mut self, key: &str, answers: &mut Vec<Answer>) -> usize {
        let rest = self.rest();
        let passed = rest.get(..rest.partition_point(|wanted| *wanted.key < *key)).unwrap_or_default();
        answers.extend(passed.iter().map(|wanted| Answer { tag: wanted.tag, outcome: Outcome::Absent }));
        self.advance(passed.len());
        distinct_keys(passed)
    }

    fn settle_equal(&mut self, key: &str, size: u64, cold: bool, answers: &mut Vec<Answer>) -> usize {
        let rest = self.rest();
        let passed = rest.iter().take_while(|wanted| *wanted.key == *key).count();
        let equal = rest.get(..passed).unwrap_or_default();
        if !cold {
            answers.extend(equal.iter().map(|wanted| judge(wanted, Found::Present { size })));
        } else if passed > 0 {
            self.doubtful.push(self.at..self.at.saturating_add(passed));
        }
        self.advance(passed);
        passed.min(1)
    }

    /// Takes the keys that the last page left open: they are there, and only a single request tells whether they can be
    /// read. Their answers are the driver's ([`judge`]).
    pub fn take_doubtful(&mut self) -> Vec<&'a [Wanted]> {
        let doubtful = std::mem::take(&mut self.doubtful);
        doubtful.into_iter().filter_map(|range| self.wanted.get(range)).collect()
    }

    fn advance(&mut self, by: usize) {
        self.at = self.at.saturating_add(by).min(self.wanted.len());
    }

    fn after_page(&mut self, settled: usize) {
        if settled >= self.page_pays_from {
            self.burst = Self::first_burst(self.page_pays_from);
            self.mode = Mode::List;
        } else {
            self.mode = Mode::Burst;
        }
    }

    /// The page did not come: the next keys are asked for one by one, which works where a listing has to climb over
    /// very many delete markers.
    pub fn list_failed(&mut self) {
        self.mode = Mode::Burst;
    }

    /// The page broke the rules of a listing: no page of this store is asked for again by this plan.
    pub fn list_unusable(&mut self) {
        self.mode = Mode::HeadsOnly;
    }

    /// The keys of the last [`Step::Heads`] have been asked for; their answers are the driver's ([`judge`]).
    pub fn asked(&mut self, range: &Range<usize>) {
        self.at = range.end.clamp(self.at, self.wanted.len());
        if self.mode == Mode::Burst {
            self.mode = Mode::List;
            self.burst = self.burst.saturating_mul(2).min(BURST_MAX.max(Self::first_burst(self.page_pays_from)));
        }
    }

    /// Settles everything that is left with one outcome.
    pub fn settle_all(&mut self, outcome: Outcome, answers: &mut Vec<Answer>) {
        answers.extend(self.rest().iter().map(|wanted| Answer { tag: wanted.tag, outcome }));
        self.at = self.wanted.len();
    }
}

/// A key that is wanted several times is one HEAD: that is what a page is held against.
fn distinct_keys(wanted: &[Wanted]) -> usize {
    wanted.chunk_by(|a, b| a.key == b.key).count()
}

/// What was found, against what was wanted.
#[must_use]
pub fn judge(wanted: &Wanted, found: Found) -> Answer {
    let outcome = match found {
        Found::Present { size } if size == wanted.size => Outcome::Present,
        Found::Archived { size, class } if size == wanted.size => Outcome::Archived { class },
        Found::Present { size } | Found::Archived { size, .. } => Outcome::WrongSize { found: size },
        Found::Absent => Outcome::Absent,
        Found::Deleted => Outcome::Deleted,
        Found::Forbidden => Outcome::Forbidden,
    };
    Answer { tag: wanted.tag, outcome }
}

/// A string that sorts just before `key`, with as few possible keys between the two as can be had in printable ASCII:
/// the key with its last character lowered by one and a `~` behind it. Where the last character cannot be lowered, the
/// key without it.
#[must_use]
pub fn just_before(key: &str) -> String {
    let mut characters = key.chars();
    let Some(last) = characters.next_back() else { return String::new() };
    let mut start = characters.as_str().to_owned();
    if let '"'..='~' = last
        && let Ok(code) = u8::try_from(last)
    {
        start.push(char::from(code.saturating_sub(1)));
        start.push('~');
    }
    start
}

/// The longest prefix of all keys of an ascending run that ends in `/`, or nothing.
#[must_use]
pub fn shared_folder(wanted: &[Wanted]) -> &str {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return "" };
    let common = first.key.bytes().zip(last.key.bytes()).take_while(|(a, b)| a == b).count();
    let end = first.key.as_bytes().get(..common).and_then(|shared| shared.iter().rposition(|byte| *byte == b'/'));
    end.and_then(|slash| first.key.get(..=slash)).unwrap_or_default()
}

/// Cuts an ascending run into at most `parts` runs of nearly equal length, none (but a lone one) shorter than `least`,
/// equal keys never parted.
#[must_use]
pub fn split(wanted: &[Wanted], parts: usize, least: usize) -> Vec<&[Wanted]> {
    let parts = parts.clamp(1, (wanted.len() / least.max(1)).max(1));
    let target = wanted.len().div_ceil(parts).max(1);
    let mut runs = Vec::with_capacity(parts);
    let mut rest = wanted;
    while !rest.is_empty() {
        let mut end = target.min(rest.len());
        while let (Some(last), Some(next)) = (rest.get(end.saturating_sub(1)), rest.get(end))
            && last.key == next.key
        {
            end = end.saturating_add(1);
        }
        let (run, tail) = rest.split_at(end);
        runs.push(run);
        rest = tail;
    }
    runs
}

#[cfg(test)]
mod tests;
