//! The plan against a simulated listing: every key once, correctly, at the documented cost.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

const COSTS: Costs = Costs { list_in_heads: 5, page_keys: 20 };

fn wanted(keys: impl IntoIterator<Item = (String, u64)>) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> =
        keys.into_iter().zip(0..).map(|((key, size), tag)| Wanted { key: key.into(), size, tag }).collect();
    wanted.sort_by(|a, b| a.key.cmp(&b.key));
    wanted
}

/// How the simulated store misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Store {
    Sound,
    InclusiveStart,
    EmptyPages,
    FailingPages,
    RepeatedPages,
    Shuffled,
}

#[derive(Debug, Default)]
struct Requests {
    lists: usize,
    heads: usize,
}

fn page(objects: &BTreeMap<String, u64>, store: Store, prefix: &str, after: &str) -> Page {
    let mut page = Page::default();
    if store == Store::EmptyPages {
        page.more = true;
        return page;
    }
    let passes = |key: &str| match store {
        Store::InclusiveStart => key >= after,
        Store::RepeatedPages => true,
        _ => key > after,
    };
    let mut keys: Vec<_> = objects.iter().filter(|(key, _)| key.starts_with(prefix) && passes(key)).collect();
    page.more = keys.len() > COSTS.page_keys;
    keys.truncate(COSTS.page_keys);
    if store == Store::Shuffled {
        keys.reverse();
    }
    for (key, size) in keys {
        page.push(key, *size);
    }
    page
}

fn drive(objects: &BTreeMap<String, u64>, wanted: &[Wanted], store: Store) -> (Vec<Answer>, Requests) {
    let (mut plan, mut answers, mut requests) = (Plan::new(wanted, COSTS), Vec::new(), Requests::default());
    let prefix = shared_folder(wanted);
    loop {
        assert!(requests.lists + requests.heads <= 4 * wanted.len() + 8, "the plan does not come to an end");
        match plan.next() {
            Step::Done => return (answers, requests),
            Step::List { after } => {
                requests.lists += 1;
                let page = page(objects, store, prefix, &after);
                if store == Store::FailingPages {
                    plan.list_failed();
                } else if page.in_order(prefix, &after).is_err() {
                    plan.list_unusable();
                } else {
                    plan.listed(&page, &mut answers);
                }
            }
            Step::Heads(range) => {
                assert_eq!(wanted[range.clone()].first(), plan.rest().first(), "in order, without a gap");
                assert!(!range.is_empty());
                for equal in wanted[range.clone()].chunk_by(|a, b| a.key == b.key) {
                    requests.heads += 1;
                    let found =
                        objects.get(&*equal[0].key).map_or(Found::Absent, |size| Found::Present { size: *size });
                    answers.extend(equal.iter().map(|wanted| judge(wanted, found)));
                }
                plan.asked(&range);
            }
        }
    }
}

fn naive(objects: &BTreeMap<String, u64>, wanted: &[Wanted]) -> HashMap<u64, Outcome> {
    wanted
        .iter()
        .map(|wanted| {
            let outcome = match objects.get(&*wanted.key) {
                Some(size) if *size == wanted.size => Outcome::Present,
                Some(size) => Outcome::WrongSize { found: *size },
                None => Outcome::Absent,
            };
            (wanted.tag, outcome)
        })
        .collect()
}

fn assert_right(objects: &BTreeMap<String, u64>, wanted: &[Wanted], answers: &[Answer]) {
    assert_eq!(answers.len(), wanted.len(), "every key is answered once");
    let answered: HashMap<u64, Outcome> = answers.iter().map(|answer| (answer.tag, answer.outcome)).collect();
    assert_eq!(answered, naive(objects, wanted));
}

fn assert_cheap(wanted: &[Wanted], requests: &Requests) {
    let distinct = wanted.chunk_by(|a, b| a.key == b.key).count();
    let c = 5;
    // 4 (1.25 n + c), to stay with whole numbers.
    assert!(4 * (requests.heads + c * requests.lists) <= 5 * distinct + 4 * c, "{requests:?} for {distinct}");
    assert!(4 * (requests.heads + requests.lists) <= 5 * distinct + 4, "{requests:?} for {distinct}");
}

fn dense(count: u64) -> BTreeMap<String, u64> {
    (0..count).map(|n| (format!("data/{n:06}"), n)).collect()
}

#[test]
fn what_is_dense_is_listed_page_by_page() {
    let objects = dense(1000);
    let wanted = wanted(objects.clone());
    let (answers, requests) = drive(&objects, &wanted, Store::Sound);
    assert_right(&objects, &wanted, &answers);
    assert_eq!((requests.lists, requests.heads), (50, 0));
}

#[test]
fn what_is_sparse_is_asked_for_with_a_try_of_a_page_now_and_then() {
    let objects = dense(100_000);
    let wanted = wanted(objects.clone().into_iter().filter(|(_, n)| n % 100 == 0));
    let (answers, requests) = drive(&objects, &wanted, Store::Sound);
    assert_right(&objects, &wanted, &answers);
    assert!(requests.lists <= 10, "{requests:?}");
    assert_cheap(&wanted, &requests);
}

#[test]
fn gaps_between_dense_runs_are_jumped_over() {
    let objects = dense(100_000);
    let wanted = wanted(objects.clone().into_iter().filter(|(_, n)| n % 10_000 < 40));
    let (answers, requests) = drive(&objects, &wanted, Store::Sound);
    assert_right(&objects, &wanted, &answers);
    assert_eq!((requests.lists, requests.heads), (20, 0));
}

#[test]
fn an_empty_store_takes_one_page() {
    let wanted = wanted(dense(1000));
    let (answers, requests) = drive(&BTreeMap::new(), &wanted, Store::Sound);
    assert_right(&BTreeMap::new(), &wanted, &answers);
    assert_eq!((requests.lists, requests.heads), (1, 0));
}

#[test]
fn few_keys_are_asked_for_at_once() {
    let objects = dense(1000);
    let wanted = wanted(objects.clone().into_iter().take(4));
    let (answers, requests) = drive(&objects, &wanted, Store::Sound);
    assert_right(&objects, &wanted, &answers);
    assert_eq!((requests.lists, requests.heads), (0, 4));
}

#[test]
fn one_key_wanted_with_two_sizes_gets_both_answers_from_one_request() {
    let objects = BTreeMap::from([("a".to_owned(), 3)]);
    let wanted = wanted([("a".to_owned(), 3), ("a".to_owned(), 4)]);
    let (answers, requests) = drive(&objects, &wanted, Store::Sound);
    assert_right(&objects, &wanted, &answers);
    assert_eq!(requests.heads, 1);
}

/// A page that passes over one key, wanted many times, has replaced one HEAD and not many.
#[test]
fn a_page_pays_by_distinct_keys() {
    let objects: BTreeMap<String, u64> = (0..200).map(|n| (format!("m{n:04}"), 0)).collect();
    let many = (0..5).map(|_| ("a".to_owned(), 0));
    let wanted = wanted(many.chain((0..10).map(|n| (format!("z{n}"), 0))));
    let (answers, requests) = drive(&objects, &wanted, Store::Sound);
    assert_right(&objects, &wanted, &answers);
    assert_cheap(&wanted, &requests);
    assert_eq!((requests.lists, requests.heads), (1, 10));
}

#[test]
fn the_start_leaves_out_nothing_and_little_else() {
    assert_eq!(just_before("data/c9abc"), "data/c9abb~");
    for key in ["a", "a/", "/", " ", "a ", "a!", "a\"", "~", "\u{7f}", "é", "a\u{1f600}", "a\0", "0"] {
        assert!(*just_before(key) < *key, "{key:?}");
    }
    assert_eq!(just_before(""), "");
}

#[test]
fn the_shared_folder_is_that_of_all() {
    let shared = |keys: &[&str]| shared_folder(&wanted(keys.iter().map(|key| ((*key).to_owned(), 0)))).to_owned();
    assert_eq!(shared(&["ns/data/a/1", "ns/data/ab/2"]), "ns/data/");
    assert_eq!(shared(&["a", "b"]), "");
    assert_eq!(shared(&["x/y"]), "x/");
    assert_eq!(shared(&["x/é", "x/è"]), "x/");
    assert_eq!(shared(&[]), "");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_store_gets_right_answers_at_the_documented_cost(
        objects in prop::collection::btree_map("[ab/]{1,6}", 0..3_u64, 0..200),
        asked in prop::collection::vec(("[ab/]{0,6}", 0..3_u64), 0..200),
        store in prop::sample::select(vec![
            Store::Sound, Store::InclusiveStart, Store::EmptyPages, Store::FailingPages, Store::RepeatedPages,
            Store::Shuffled,
        ]),
    ) {
        let wanted = wanted(asked);
        let (answers, requests) = drive(&objects, &wanted, store);
        assert_right(&objects, &wanted, &answers);
        assert_cheap(&wanted, &requests);
    }

    #[test]
    fn splitting_keeps_order_and_never_parts_equal_keys(
        asked in prop::collection::vec(("[ab]{0,3}", Just(0)), 0..300),
        parts in 0..40_usize,
        least in 0..50_usize,
    ) {
        let wanted = wanted(asked);
        let runs = split(&wanted, parts, least);
        prop_assert_eq!(runs.concat(), wanted.clone());
        prop_assert!(runs.len() <= parts.max(1));
        for pair in runs.windows(2) {
            prop_assert_ne!(&pair[0].last().unwrap().key, &pair[1].first().unwrap().key);
        }
    }

    #[test]
    fn the_start_is_always_before(key in "\\PC{1,8}") {
        prop_assert!(*just_before(&key) < *key);
    }
}
