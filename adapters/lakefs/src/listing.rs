//! What can be believed of a listing of branches, page by page: pure, pages in, heads and the next offset out.
//!
//! A listing that stops early, repeats, goes back or has something unreadable in it would otherwise look like branches
//! that are gone, or hide all of them. What it says of a branch that is there is used all the same; what is wrong with it
//! comes along, and then it proves nothing to be gone.

use lakemirror_ports::{BranchHead, CommitId};

use super::types::{Pagination, Ref};
use super::walk::Budget;

/// Characters of a name or an id that a message repeats.
const SHOWN_CHARS: usize = 100;

/// A listing while it is read.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    heads: Vec<BranchHead>,
    after: String,
    last: String,
    /// What is wrong, the first thing of it.
    flaw: Option<String>,
    is_unsorted: bool,
    budget: Budget,
}

/// What comes after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Another one.
    Page,
    /// Nothing.
    End,
}

impl Gathering {
    /// The offset after which the next page begins; empty for the first.
    pub(super) fn after(&self) -> &str {
        &self.after
    }

    /// Takes a page, of so many bytes in all.
    ///
    /// # Errors
    /// The listing is longer than any may be.
    pub(super) fn page(&mut self, page: &Pagination, items: Vec<Ref<'_>>, bytes: usize) -> Result<Then, String> {
        self.budget.take(items.len(), bytes)?;
        if page.results != items.len() {
            self.note(format!("a page has {} items and says that it has {}", items.len(), page.results));
        }
        self.heads.reserve(items.len());
        for item in items {
            self.item(item);
        }
        Ok(if page.has_more { self.advance(&page.next_offset) } else { Then::End })
    }

    fn item(&mut self, item: Ref<'_>) {
        let id = item.id.as_ref();
        if id.is_empty() {
            return self.note("a branch has no name".to_owned());
        }
        if id <= self.last.as_str() {
            self.is_unsorted = true;
            self.note(format!("it is not in order: {} comes after {}", shown(id), shown(&self.last)));
        }
        self.last.clear();
        self.last.push_str(id);
        match CommitId::parse(&item.commit_id) {
            Ok(head) => self.heads.push(BranchHead { name: item.id.into_owned(), head }),
            Err(error) => {
                self.note(format!("branch {} is said to be at {}: {error}", shown(id), shown(&item.commit_id)));
            }
        }
    }

    fn advance(&mut self, offset: &str) -> Then {
        if offset <= self.after.as_str() {
            let (next, this) = (shown(offset), shown(&self.after));
            self.note(format!("it does not move: its next page is after {next}, this one was after {this}"));
            return Then::End;
        }
        if offset != self.last {
            let (next, last) = (shown(offset), shown(&self.last));
            self.note(format!("its next page is after {next}, the last branch was {last}"));
        }
        offset.clone_into(&mut self.after);
        Then::Page
    }

    fn note(&mut self, flaw: String) {
        self.flaw.get_or_insert(flaw);
    }

    /// The heads by name, each once, and what is wrong with the listing. A branch with two heads is at neither.
    pub(super) fn finish(mut self) -> (Vec<BranchHead>, Option<String>) {
        if !self.is_unsorted {
            return (self.heads, self.flaw);
        }
        self.heads.sort_unstable();
        self.heads.dedup();
        let mut heads: Vec<BranchHead> = Vec::with_capacity(self.heads.len());
        let mut doubtful: Option<String> = None;
        for head in self.heads {
            if doubtful.as_ref() == Some(&head.name) {
                continue;
            }
            if heads.last().is_some_and(|last| last.name == head.name) {
                doubtful = heads.pop().map(|last| last.name);
                continue;
            }
            heads.push(head);
        }
        (heads, self.flaw)
    }
}

/// A text from outside as a message shows it: quoted, escaped, and not at length.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{:?}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pagination(has_more: bool, next_offset: &str, results: usize) -> Pagination {
        Pagination { has_more, next_offset: next_offset.into(), results }
    }

    fn items(ids: &[(&'static str, u8)]) -> Vec<Ref<'static>> {
        let item = |(id, head): &(&'static str, u8)| Ref {
            id: (*id).into(),
            commit_id: if *head == 0 { "7E".into() } else { CommitId([*head; 32]).to_string().into() },
        };
        ids.iter().map(item).collect()
    }

    /// A page: whether there is another one, after what, and its items.
    type Leaf<'a> = (bool, &'a str, &'a [(&'static str, u8)]);

    /// The names and heads that come of the pages, and whether something is wrong.
    fn gathered(pages: &[Leaf<'_>]) -> (Vec<(String, u8)>, bool) {
        let mut gathering = Gathering::default();
        for (more, next, ids) in pages {
            if gathering.page(&pagination(*more, next, ids.len()), items(ids), 1).unwrap() == Then::End {
                break;
            }
        }
        let (heads, flaw) = gathering.finish();
        (heads.into_iter().map(|head| (head.name, head.head.0[0])).collect(), flaw.is_some())
    }

    fn names(wanted: &[(&str, u8)]) -> Vec<(String, u8)> {
        wanted.iter().map(|(name, head)| ((*name).to_owned(), *head)).collect()
    }

    #[test]
    fn a_listing_in_order_has_nothing_wrong() {
        let pages: [Leaf<'_>; 3] = [(true, "b", &[("a", 1), ("b", 2)]), (true, "c", &[("c", 3)]), (false, "", &[])];
        assert_eq!(gathered(&pages), (names(&[("a", 1), ("b", 2), ("c", 3)]), false));
    }

    #[test]
    fn what_is_good_in_a_bad_listing_is_kept() {
        type Case<'a> = (&'a str, &'a [Leaf<'a>], &'a [(&'a str, u8)]);
        let cases: [Case<'_>; 8] = [
            ("a branch twice", &[(false, "", &[("a", 1), ("a", 1), ("b", 2)])], &[("a", 1), ("b", 2)]),
            ("twice, apart", &[(false, "", &[("a", 1), ("b", 2), ("a", 1)])], &[("a", 1), ("b", 2)]),
            ("two heads", &[(false, "", &[("a", 1), ("a", 2), ("a", 3), ("b", 2)])], &[("b", 2)]),
            ("out of order", &[(false, "", &[("b", 2), ("a", 1)])], &[("a", 1), ("b", 2)]),
            ("a bad id", &[(false, "", &[("a", 0), ("b", 2)])], &[("b", 2)]),
            ("the cursor repeats", &[(true, "a", &[("a", 1)]), (true, "a", &[("b", 2)])], &[("a", 1), ("b", 2)]),
            ("no cursor", &[(true, "", &[("a", 1)])], &[("a", 1)]),
            ("a gap", &[(true, "c", &[("a", 1)]), (false, "", &[("d", 2)])], &[("a", 1), ("d", 2)]),
        ];
        for (name, pages, wanted) in cases {
            assert_eq!(gathered(pages), (names(wanted), true), "{name}");
        }
        let mut miscounted = Gathering::default();
        miscounted.page(&pagination(false, "", 2), items(&[("a", 1)]), 1).unwrap();
        assert!(miscounted.finish().1.is_some());
    }

    #[test]
    fn messages_do_not_repeat_a_long_name() {
        let mut gathering = Gathering::default();
        let long = Ref { id: "n".repeat(300_000).into(), commit_id: "no id".into() };
        gathering.page(&pagination(false, "", 1), vec![long], 1).unwrap();
        let flaw = gathering.finish().1.unwrap();
        assert!(flaw.len() < 400 && flaw.contains("(300000 bytes)"), "{flaw}");
    }

    proptest! {
        #[test]
        fn heads_are_sorted_and_single_whatever_the_pages_say(
            pages in proptest::collection::vec(("[a-c]{0,2}", proptest::collection::vec(("[a-c]{1,2}", 0u8..3), 0..5)), 1..6)
        ) {
            let mut gathering = Gathering::default();
            for (next, ids) in &pages {
                let ids: Vec<(&'static str, u8)> =
                    ids.iter().map(|(id, head)| (&*id.clone().leak(), *head)).collect();
                if gathering.page(&pagination(true, next, ids.len()), items(&ids), 1) == Ok(Then::End) {
                    break;
                }
            }
            let (heads, _) = gathering.finish();
            prop_assert!(heads.is_sorted_by(|a, b| a.name < b.name));
        }
    }
}
