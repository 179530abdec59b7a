//! Sets of ordinals within a range: the bitmap in memory and its five encodings on disk.
//!
//! An arrival batch covers thousands of ordinals in a few bytes because its answers are mostly alike. The encoder
//! takes the shortest of the five forms (ties: the lowest id), so that equal sets have equal bytes; the decoder refuses
//! every other form. Owns no meaning: what a set bit says is the caller's.

use std::fmt;

/// The largest number of ordinals in one set: lakeFS closes a range near 20 MiB, far below this many entries.
pub const BITS_MAX: u32 = 1 << 24;

/// A set of ordinals below a fixed length.
#[derive(Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Bits {
    len: u32,
    words: Vec<u64>,
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bits({} of {})", self.count(), self.len)
    }
}

impl Bits {
    /// The empty set over `len` ordinals.
    #[must_use]
    pub fn none(len: u32) -> Self {
        Self { len, words: vec![0; len.div_ceil(64) as usize] }
    }

    /// The set of all `len` ordinals.
    #[must_use]
    pub fn all(len: u32) -> Self {
        let mut bits = Self { len, words: vec![u64::MAX; len.div_ceil(64) as usize] };
        bits.clear_tail();
        bits
    }

    /// The set of these ordinals; those not below `len` are left out.
    #[must_use]
    pub fn from_ordinals(len: u32, ordinals: impl IntoIterator<Item = u32>) -> Self {
        let mut bits = Self::none(len);
        for ordinal in ordinals {
            bits.insert(ordinal);
        }
        bits
    }

    fn clear_tail(&mut self) {
        let used = self.len % 64;
        if used != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1u64 << used) - 1;
        }
    }

    /// Whether this is a set that the functions here could have made: it may have been read from a file.
    pub(crate) fn is_sound(&self) -> bool {
        let used = self.len % 64;
        let tail = if used == 0 { 0 } else { u64::MAX << used };
        self.len <= BITS_MAX
            && self.words.len() == self.len.div_ceil(64) as usize
            && self.words.last().is_none_or(|last| last & tail == 0)
    }

    /// How many ordinals there are, set or not.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are no ordinals at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether none is in the set.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether `ordinal` is in the set.
    #[must_use]
    pub fn contains(&self, ordinal: u32) -> bool {
        self.words.get((ordinal / 64) as usize).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }

    /// Adds an ordinal; says whether it was new. One that is not below the length is ignored.
    pub fn insert(&mut self, ordinal: u32) -> bool {
        if ordinal >= self.len {
            return false;
        }
        let Some(word) = self.words.get_mut((ordinal / 64) as usize) else { return false };
        let mask = 1u64 << (ordinal % 64);
        let new = *word & mask == 0;
        *word |= mask;
        new
    }

    /// Takes an ordinal out; says whether it was in.
    pub fn remove(&mut self, ordinal: u32) -> bool {
        let Some(word) = self.words.get_mut((ordinal / 64) as usize) else { return false };
        let mask = 1u64 << (ordinal % 64);
        let was = *word & mask != 0;
        *word &= !mask;
        was
    }

    /// Takes every ordinal of `other` out.
    pub fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine &= !theirs;
        }
    }

    /// Adds every ordinal of `other` that is below this set's length.
    pub fn union(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
        self.clear_tail();
    }

    /// The ordinals in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.words.iter().zip(0u32..).flat_map(|(word, index)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let bit = left.trailing_zeros();
                left &= left - 1;
                Some(index * 64 + bit)
            })
        })
    }

    /// The shortest of the five encodings; equal sets give equal bytes.
    #[must_use]
    pub fn encode(&self) -> EncodedBits {
        let count = self.count();
        if count == self.len {
            return EncodedBits { len: self.len, encoding: ALL, bytes: Vec::new() };
        }
        if count == 0 {
            return EncodedBits { len: self.len, encoding: NONE, bytes: Vec::new() };
        }
        let bitmap_bytes = self.len.div_ceil(8) as usize;
        let mut best = EncodedBits { len: self.len, encoding: BITMAP, bytes: self.to_bitmap(bitmap_bytes) };
        for (encoding, bytes) in [(RUNS, self.to_runs(best.bytes.len())), (SPARSE, self.to_sparse(best.bytes.len()))] {
            if let Some(bytes) = bytes
                && bytes.len() < best.bytes.len()
            {
                best = EncodedBits { len: self.len, encoding, bytes };
            }
        }
        best
    }

    fn to_bitmap(&self, bytes: usize) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes()).take(bytes).collect()
    }

    /// Lengths of alternating runs, the first of ordinals that are not in the set; `None` once longer than `limit`.
    fn to_runs(&self, limit: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut run_start = 0;
        let mut expected = None;
        for ordinal in self.iter() {
            if expected != Some(ordinal) {
                if let Some(end) = expected {
                    push_varint(&mut bytes, end - run_start);
                    run_start = end;
                }
                push_varint(&mut bytes, ordinal - run_start);
                run_start = ordinal;
            }
            expected = Some(ordinal + 1);
            if bytes.len() > limit {
                return None;
            }
        }
        if let Some(end) = expected {
            push_varint(&mut bytes, end - run_start);
        }
        Some(bytes)
    }

    /// Gaps between ordinals of the set; `None` once longer than `limit`.
    fn to_sparse(&self, limit: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut next = 0;
        for ordinal in self.iter() {
            push_varint(&mut bytes, ordinal - next);
            next = ordinal + 1;
            if bytes.len() > limit {
                return None;
            }
        }
        Some(bytes)
    }
}

const ALL: u8 = 0;
const NONE: u8 = 1;
const BITMAP: u8 = 2;
const RUNS: u8 = 3;
const SPARSE: u8 = 4;

/// A set as it stands in a record.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct EncodedBits {
    /// How many ordinals there are, set or not.
    pub len: u32,
    /// 0 all, 1 none, 2 bitmap (LSB first), 3 runs (varint lengths, first of unset ordinals), 4 sparse (varint gaps).
    pub encoding: u8,
    /// What the encoding says.
    pub bytes: Vec<u8>,
}

/// Why an encoded set is not one that the encoder writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a set of ordinals that no encoder of this format writes (encoding {encoding}, {len} ordinals)")]
pub struct BadBits {
    /// The encoding's id.
    pub encoding: u8,
    /// The length it claims.
    pub len: u32,
}

impl EncodedBits {
    /// The set, if these are the very bytes that [`Bits::encode`] gives for it.
    ///
    /// # Errors
    /// [`BadBits`] for unknown encodings, ordinals past the end, sets that are too long, and non-canonical forms.
    pub fn decode(&self) -> Result<Bits, BadBits> {
        let bad = BadBits { encoding: self.encoding, len: self.len };
        if self.len > BITS_MAX {
            return Err(bad);
        }
        let bits = match self.encoding {
            ALL => Some(Bits::all(self.len)),
            NONE => Some(Bits::none(self.len)),
            BITMAP => self.from_bitmap(),
            RUNS => self.from_runs(),
            SPARSE => self.from_sparse(),
            _ => None,
        };
        bits.filter(|bits| bits.encode() == *self).ok_or(bad)
    }

    #[expect(clippy::wrong_self_convention, reason = "the three readers are named after what they read")]
    fn from_bitmap(&self) -> Option<Bits> {
        let mut bits = Bits::none(self.len);
        for (byte, base) in self.bytes.iter().zip((0u32..).step_by(8)) {
            for bit in 0..8 {
                if byte >> bit & 1 == 1 && !bits.insert(base + bit) {
                    return None;
                }
            }
        }
        Some(bits)
    }

    #[expect(clippy::wrong_self_convention, reason = "the three readers are named after what they read")]
    fn from_runs(&self) -> Option<Bits> {
        let mut bits = Bits::none(self.len);
        let (mut at, mut set, mut rest) = (0u32, false, self.bytes.as_slice());
        while !rest.is_empty() {
            let end = at.checked_add(take_varint(&mut rest)?).filter(|end| *end <= self.len)?;
            if set {
                (at..end).for_each(|ordinal| {
                    bits.insert(ordinal);
                });
            }
            at = end;
            set = !set;
        }
        Some(bits)
    }

    #[expect(clippy::wrong_self_convention, reason = "the three readers are named after what they read")]
    fn from_sparse(&self) -> Option<Bits> {
        let mut bits = Bits::none(self.len);
        let (mut next, mut rest) = (0u32, self.bytes.as_slice());
        while !rest.is_empty() {
            let ordinal = next.checked_add(take_varint(&mut rest)?).filter(|ordinal| *ordinal < self.len)?;
            bits.insert(ordinal);
            next = ordinal + 1;
        }
        Some(bits)
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(rest: &mut &[u8]) -> Option<u32> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        let part = u32::from(byte & 0x7f);
        value |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shapes() -> impl Strategy<Value = Vec<bool>> {
        prop_oneof![
            proptest::collection::vec(any::<bool>(), 0..600),
            (0usize..5000, any::<bool>()).prop_map(|(len, bit)| vec![bit; len]),
            (1usize..5000, proptest::collection::vec(0usize..5000, 0..5), any::<bool>()).prop_map(|(len, odd, bit)| {
                let mut bools = vec![bit; len];
                for at in odd {
                    bools[at % len] = !bit;
                }
                bools
            }),
            (0usize..900, 0usize..900, 0usize..900).prop_map(|(a, b, c)| [
                vec![false; a],
                vec![true; b],
                vec![false; c]
            ]
            .concat()),
        ]
    }

    proptest! {
        #[test]
        fn a_set_reads_back_and_agrees_with_a_plain_list(bools in shapes()) {
            let len = bools.len() as u32;
            let set = (0..len).filter(|at| bools[*at as usize]);
            let bits = Bits::from_ordinals(len, set.clone());
            prop_assert_eq!(bits.iter().collect::<Vec<_>>(), set.clone().collect::<Vec<_>>());
            prop_assert_eq!(bits.count() as usize, set.count());
            prop_assert_eq!(bits.encode().decode(), Ok(bits));
        }

        #[test]
        fn what_decodes_is_canonical(len in 0u32..300, encoding in 0u8..6, bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let encoded = EncodedBits { len, encoding, bytes };
            if let Ok(bits) = encoded.decode() {
                prop_assert_eq!(bits.encode(), encoded);
            }
        }
    }

    #[test]
    fn alike_answers_cost_nothing_and_a_few_exceptions_cost_little() {
        assert_eq!(Bits::all(4096).encode().bytes.len(), 0);
        assert_eq!(Bits::none(4096).encode().bytes.len(), 0);
        assert_eq!(Bits::from_ordinals(4096, [7, 4000]).encode().bytes.len(), 3);
        assert!(Bits::from_ordinals(4096, (0..4096).step_by(2)).encode().bytes.len() <= 512);
    }
}
