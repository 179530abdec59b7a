//! Recently used values, bounded by what they weigh. Owns no I/O and no meaning.

use std::collections::BTreeMap;

/// At most `limit` bytes of values; the one used longest ago goes first.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    limit: usize,
    bytes: usize,
    tick: u64,
    values: BTreeMap<K, (V, usize, u64)>,
    order: BTreeMap<u64, K>,
}

impl<K: Ord + Clone, V: Clone> Recent<K, V> {
    /// Holds nothing yet.
    #[must_use]
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, tick: 0, values: BTreeMap::new(), order: BTreeMap::new() }
    }

    /// The value, which is now the one used last.
    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        self.tick += 1;
        let (value, _, used) = self.values.get_mut(key)?;
        self.order.remove(used);
        *used = self.tick;
        self.order.insert(self.tick, key.clone());
        Some(value.clone())
    }

    /// Keeps a value of `weight` bytes, unless it is larger than a quarter of the limit.
    pub(super) fn put(&mut self, key: K, value: V, weight: usize) {
        self.take(&key);
        if weight > self.limit / 4 {
            return;
        }
        self.tick += 1;
        self.bytes += weight;
        self.order.insert(self.tick, key.clone());
        self.values.insert(key, (value, weight, self.tick));
        while self.bytes > self.limit {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.take(&oldest);
        }
    }

    fn take(&mut self, key: &K) {
        if let Some((_, weight, used)) = self.values.remove(key) {
            self.bytes -= weight;
            self.order.remove(&used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_and_giants_are_not_kept() {
        let mut recent = Recent::new(40);
        for key in 0..4 {
            recent.put(key, key, 10);
        }
        assert_eq!(recent.get(&0), Some(0));
        recent.put(4, 4, 10);
        assert_eq!((recent.get(&1), recent.get(&0)), (None, Some(0)));
        recent.put(9, 9, 11);
        assert_eq!(recent.get(&9), None);
        recent.put(0, 7, 10);
        assert_eq!((recent.get(&0), recent.bytes), (Some(7), 40));
    }
}
