//! A simulated global table with eventual consistency: one copy of the table per region, and messages between them that
//! arrive late, out of order, twice, or not until a partition heals. The last writer wins per item, as AWS describes
//! it.
//!
//! It is harsher than AWS in one respect: a copy forgets deleted items, so an older write that arrives later restores
//! an item. And it is stricter with lakemirror: an item written in another region than its key names is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use lakemirror::engine::ports::Fault;
use lakemirror::mirrors::{Expect, Item, Items, PAGE_ITEMS_MAX, Page, PutError};

/// A write in flight to another region.
#[derive(Clone)]
struct Message {
    from: usize,
    to: usize,
    key: String,
    value: Option<Bytes>,
    /// The order of all writes, as AWS's hidden timestamp.
    at: u64,
    sent_ms: u64,
}

struct Row {
    item: Item,
    at: u64,
    /// The previous item, for a stale read.
    before: Option<Item>,
}

#[derive(Default)]
struct Tables {
    copies: Vec<BTreeMap<String, Row>>,
    under_way: Vec<Message>,
    cut: BTreeSet<(usize, usize)>,
    stale: BTreeSet<usize>,
    now_ms: u64,
    writes: u64,
    versions: u64,
}

/// All copies, and the messages between them.
pub(crate) struct Replicator {
    regions: Vec<&'static str>,
    tables: Mutex<Tables>,
}

impl Replicator {
    pub(crate) fn new(regions: &[&'static str]) -> Arc<Self> {
        let copies = regions.iter().map(|_| BTreeMap::new()).collect();
        let tables = Mutex::new(Tables { copies, ..Tables::default() });
        Arc::new(Self { regions: regions.to_vec(), tables })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table as the processes of a region see it.
    pub(crate) fn copy(self: &Arc<Self>, region: usize) -> Arc<Copy> {
        Arc::new(Copy { replicator: Arc::clone(self), region })
    }

    /// Delivers one of the deliverable messages, and keeps it for a second delivery if `again`.
    pub(crate) fn deliver(&self, pick: usize, again: bool) {
        let mut tables = self.tables();
        let open: Vec<usize> = (0..tables.under_way.len())
            .filter(|number| {
                let message = &tables.under_way[*number];
                !tables.cut.contains(&(message.from.min(message.to), message.from.max(message.to)))
            })
            .collect();
        let Some(number) = (!open.is_empty()).then(|| open[pick % open.len()]) else { return };
        let message = tables.under_way[number].clone();
        if !again {
            tables.under_way.swap_remove(number);
        }
        tables.apply(message);
    }

    /// Cuts or restores the connection between two regions.
    pub(crate) fn cut(&self, a: usize, b: usize, cut: bool) {
        let line = (a.min(b), a.max(b));
        match cut {
            true => self.tables().cut.insert(line),
            false => self.tables().cut.remove(&line),
        };
    }

    /// Sets whether listings in a region are stale: they then show the previous version of other regions' items.
    pub(crate) fn stale(&self, region: usize, stale: bool) {
        match stale {
            true => self.tables().stale.insert(region),
            false => self.tables().stale.remove(&region),
        };
    }

    /// Advances time; messages in flight for longer than `latest_ms` arrive, even through a partition.
    pub(crate) fn pass(&self, ms: u64, latest_ms: u64) {
        let mut tables = self.tables();
        tables.now_ms += ms;
        let before = tables.now_ms.saturating_sub(latest_ms);
        let (due, left) = std::mem::take(&mut tables.under_way).into_iter().partition(|one| one.sent_ms < before);
        tables.under_way = left;
        let due: Vec<Message> = due;
        due.into_iter().rev().for_each(|message| tables.apply(message));
    }

    /// Restores every connection and delivers everything, in an order drawn from `seed`.
    pub(crate) fn settle(&self, mut seed: usize) {
        self.tables().cut.clear();
        self.tables().stale.clear();
        while !self.tables().under_way.is_empty() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            self.deliver(seed >> 7, false);
        }
    }

    pub(crate) fn under_way(&self) -> usize {
        self.tables().under_way.len()
    }
}

impl Tables {
    fn apply(&mut self, message: Message) {
        let copy = &mut self.copies[message.to];
        if copy.get(&message.key).is_some_and(|row| row.at >= message.at) {
            return;
        }
        self.versions += 1;
        match message.value {
            Some(value) => {
                let item = Item { value, version: self.versions };
                let before = copy.remove(&message.key).map(|row| row.item);
                copy.insert(message.key, Row { item, at: message.at, before });
            }
            None => {
                copy.remove(&message.key);
            }
        }
    }

    fn write(&mut self, from: usize, key: &str, value: Option<Bytes>) -> u64 {
        self.writes += 1;
        let (at, sent_ms) = (self.writes, self.now_ms);
        for to in 0..self.copies.len() {
            let message = Message { from, to, key: key.to_owned(), value: value.clone(), at, sent_ms };
            match to == from {
                true => self.apply(message),
                false => self.under_way.push(message),
            }
        }
        self.versions
    }
}

/// The copy of one region.
pub(crate) struct Copy {
    replicator: Arc<Replicator>,
    region: usize,
}

impl Copy {
    /// Asserts the rule of `aws-facts` 2.4: every item has one writer, named by its key.
    fn own(&self, key: &str) {
        let region = self.replicator.regions[self.region];
        assert_eq!(key.split('/').nth(1), Some(region), "{key} was written in {region}");
    }
}

#[async_trait]
impl Items for Copy {
    fn place(&self) -> &str {
        "a copy of the global table"
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        Ok(self.replicator.tables().copies[self.region].get(key).map(|row| row.item.clone()))
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        let tables = self.replicator.tables();
        let found = tables.copies[self.region]
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let own = self.replicator.regions[self.region];
        let stale = |key: &str| tables.stale.contains(&self.region) && key.split('/').nth(1) != Some(own);
        let shown = |key: &str, row: &Row| row.before.clone().filter(|_| stale(key)).unwrap_or(row.item.clone());
        let mut items: Vec<_> = found.take(limit + 1).map(|(key, row)| (key.clone(), shown(key, row))).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        self.own(key);
        let mut tables = self.replicator.tables();
        let there = tables.copies[self.region].get(key).map(|row| row.item.version);
        let met = match expect {
            Expect::Absent => there.is_none(),
            Expect::Version(version) => there == Some(version),
            Expect::Any => true,
        };
        match met {
            true => Ok(tables.write(self.region, key, Some(value))),
            false => Err(PutError::Conflict { key: key.to_owned() }),
        }
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        self.own(key);
        let mut tables = self.replicator.tables();
        match tables.copies[self.region].get(key) {
            Some(row) if row.item.version == version => {
                tables.write(self.region, key, None);
                Ok(())
            }
            _ => Err(PutError::Conflict { key: key.to_owned() }),
        }
    }
}
