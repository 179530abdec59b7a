//! The rules that make a sequence of pages believable: pure, pages in, the next offset or a reason out.
//!
//! A listing that stops early, repeats or goes back would otherwise look like things that are gone.

use std::collections::BTreeSet;

use super::types::Pagination;

/// The most pages of one listing: with 1000 items a page, more than any installation has.
const PAGES_MAX: usize = 2000;
/// The most items of one listing.
const ITEMS_MAX: usize = 200_000;
/// The most bytes of answers to one listing: what is kept of them takes about as much memory.
const BYTES_MAX: usize = 32 << 20;

/// What one listing has used up of what it may. A listing without an end is given up, not kept.
#[derive(Debug, Default)]
pub(super) struct Budget {
    pages: usize,
    items: usize,
    bytes: usize,
}

impl Budget {
    /// Takes one page.
    ///
    /// # Errors
    /// Which bound it is beyond.
    pub(super) fn take(&mut self, items: usize, bytes: usize) -> Result<(), String> {
        self.pages = self.pages.saturating_add(1);
        self.items = self.items.saturating_add(items);
        self.bytes = self.bytes.saturating_add(bytes);
        let bounds =
            [(self.pages, PAGES_MAX, "pages"), (self.items, ITEMS_MAX, "items"), (self.bytes, BYTES_MAX, "bytes")];
        match bounds.into_iter().find(|(used, max, _)| used > max) {
            Some((_, max, what)) => Err(format!("the listing has more than {max} {what}: nothing of it is used")),
            None => Ok(()),
        }
    }
}

/// What a listing promises about its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Sorted, but the server filters what it shows, so that an offset may be beyond the last item shown.
    Filtered,
    /// No order is promised.
    Any,
}

/// A walk over pages: where it is, and whether it may go on.
#[derive(Debug)]
pub(super) struct Walk {
    order: Order,
    after: String,
    last: Option<String>,
    offsets: BTreeSet<String>,
}

impl Walk {
    pub(super) fn new(order: Order) -> Self {
        Self { order, after: String::new(), last: None, offsets: BTreeSet::new() }
    }

    /// The offset after which the next page begins; empty for the first.
    pub(super) fn after(&self) -> &str {
        &self.after
    }

    /// Takes one page's description and its items' ids; whether there is another page.
    pub(super) fn turn<'i>(
        &mut self,
        page: &Pagination,
        ids: impl ExactSizeIterator<Item = &'i str>,
    ) -> Result<bool, String> {
        if page.results != ids.len() {
            return Err(format!("a page has {} items and says that it has {}", ids.len(), page.results));
        }
        let mut last = self.last.take();
        if self.order != Order::Any {
            let mut previous = last.as_deref().max(Some(self.after.as_str()).filter(|after| !after.is_empty()));
            for id in ids {
                if previous.is_some_and(|previous| id <= previous) {
                    return Err(format!(
                        "the listing is not in order: {id:?} comes after {:?}",
                        previous.unwrap_or("")
                    ));
                }
                previous = Some(id);
            }
            last = previous.map(str::to_owned);
        }
        let more = page.has_more && self.advance(page, last.as_deref())?;
        self.last = last;
        Ok(more)
    }

    fn advance(&mut self, page: &Pagination, last: Option<&str>) -> Result<bool, String> {
        let offset = page.next_offset.as_str();
        let moves = match self.order {
            Order::Filtered => offset > self.after.as_str() && last.is_none_or(|last| offset >= last),
            Order::Any => !offset.is_empty() && self.offsets.insert(offset.to_owned()),
        };
        if !moves {
            return Err(format!(
                "the listing does not move: its next page is after {offset:?}, this one was after {:?}",
                self.after
            ));
        }
        self.after = page.next_offset.clone();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(has_more: bool, next_offset: &str, results: usize) -> Pagination {
        Pagination { has_more, next_offset: next_offset.into(), results }
    }

    fn turn(walk: &mut Walk, has_more: bool, next: &str, ids: &[&str]) -> Result<bool, String> {
        walk.turn(&page(has_more, next, ids.len()), ids.iter().copied())
    }

    #[test]
    fn pages_in_order_are_walked_to_the_end() {
        let mut walk = Walk::new(Order::Filtered);
        assert_eq!(turn(&mut walk, true, "b", &["a", "b"]), Ok(true));
        assert_eq!(walk.after(), "b");
        assert_eq!(turn(&mut walk, true, "c", &["c"]), Ok(true));
        assert_eq!(turn(&mut walk, false, "", &[]), Ok(false));
    }

    #[test]
    fn a_page_that_miscounts_repeats_or_goes_back_fails_the_listing() {
        let wrong = |order, pages: &[(bool, &str, &[&str])]| {
            let mut walk = Walk::new(order);
            pages.iter().map(|(more, next, ids)| turn(&mut walk, *more, next, ids)).fold(false, |_, end| end.is_err())
        };
        assert!(Walk::new(Order::Any).turn(&page(false, "", 2), ["a"].into_iter()).is_err(), "miscounts");
        {
            let order = Order::Filtered;
            assert!(wrong(order, &[(false, "", &["b", "a"])]), "falls");
            assert!(wrong(order, &[(false, "", &["a", "a"])]), "repeats an item");
            assert!(wrong(order, &[(true, "b", &["b"]), (true, "b", &["c"])]), "repeats the offset");
            assert!(wrong(order, &[(true, "b", &["b"]), (false, "", &["a"])]), "begins before its offset");
            assert!(wrong(order, &[(true, "b", &["b"]), (true, "a", &[])]), "goes back");
            assert!(wrong(order, &[(true, "", &["a"])]), "has more, but nowhere");
            assert!(wrong(order, &[(true, "a", &["a", "b"])]), "would repeat b");
        }
        assert!(!wrong(Order::Filtered, &[(true, "c", &["a", "b"])]));
        assert!(wrong(Order::Any, &[(true, "x", &["a"]), (true, "y", &["a"]), (true, "x", &["a"])]), "circles");
    }

    #[test]
    fn a_listing_has_a_budget_of_pages_items_and_bytes() {
        let pages = |items, bytes| {
            let mut budget = Budget::default();
            (0..10_000).take_while(|_| budget.take(items, bytes).is_ok()).count()
        };
        assert_eq!(pages(0, 0), PAGES_MAX);
        assert_eq!(pages(1000, 0), ITEMS_MAX / 1000);
        assert_eq!(pages(1, 16 << 20), 2);
    }

    proptest! {
        #[test]
        fn whatever_a_walk_accepts_is_sorted(
            pages in proptest::collection::vec(("[a-c]{0,2}", proptest::collection::vec("[a-c]{1,2}", 0..4)), 1..6)
        ) {
            let mut walk = Walk::new(Order::Filtered);
            let mut all: Vec<String> = Vec::new();
            for (next, ids) in &pages {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                match turn(&mut walk, true, next, &ids) {
                    Ok(_) => all.extend(ids.iter().map(|id| (*id).to_owned())),
                    Err(_) => break,
                }
                prop_assert!(all.is_sorted_by(|a, b| a < b));
                prop_assert!(all.last().is_none_or(|last| last.as_str() <= walk.after()));
            }
        }
    }
}
