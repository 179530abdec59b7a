//! Physical addresses of new objects: `data/<partition>/<id>`, both in lakeFS's form of 20 characters.
//!
//! An id is 12 bytes (4 of seconds, 5 of this process, 3 of a counter) in base32hex, lower case; ids ascend with
//! time. A partition's time runs backwards, so that newer partitions sort first; it changes after an hour or
//! [`IDS_PER_PARTITION`] ids. Format: lakeFS `pkg/upload/path_provider.go`.

use std::sync::Mutex;

use lakemirror_ports::clock::Entropy;

/// Number of ids after which the partition changes.
const IDS_PER_PARTITION: u32 = 50_000;
/// Number of seconds after which the partition changes.
const PARTITION_SECONDS: u64 = 3600;
/// The year 4000: a partition's seconds count down from it.
const PARTITION_EPOCH: u64 = 64_060_588_800;
const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";

/// Generates addresses.
#[derive(Debug)]
pub(super) struct Names {
    process: [u8; 5],
    state: Mutex<Issued>,
}

#[derive(Debug)]
struct Issued {
    counter: u32,
    partition: String,
    since: u64,
    ids: u32,
}

impl Names {
    /// Generates ids that are unique among processes.
    pub(super) fn new(entropy: &dyn Entropy) -> Self {
        let [a, b, c, d, e, ..] = entropy.random_u64().to_le_bytes();
        let counter = u32::try_from(entropy.random_u64() & 0xff_ffff).unwrap_or_default();
        let issued = Issued { counter, partition: String::new(), since: 0, ids: 0 };
        Self { process: [a, b, c, d, e], state: Mutex::new(issued) }
    }

    /// A unique id, for files and uploads.
    pub(super) fn id(&self, seconds: u64) -> String {
        let mut state = super::lock(&self.state);
        state.next(seconds, self.process)
    }

    /// The address of a new object.
    pub(super) fn address(&self, seconds: u64) -> String {
        let mut state = super::lock(&self.state);
        if state.partition.is_empty() || state.ids >= IDS_PER_PARTITION || seconds >= state.since + PARTITION_SECONDS {
            state.partition = state.next(PARTITION_EPOCH.saturating_sub(seconds), self.process);
            state.since = seconds;
            state.ids = 0;
        }
        state.ids += 1;
        let id = state.next(seconds, self.process);
        format!("data/{}/{id}", state.partition)
    }
}

impl Issued {
    fn next(&mut self, seconds: u64, process: [u8; 5]) -> String {
        self.counter = (self.counter + 1) & 0xff_ffff;
        let [.., s0, s1, s2, s3] = seconds.to_be_bytes();
        let [p0, p1, p2, p3, p4] = process;
        let [_, c0, c1, c2] = self.counter.to_be_bytes();
        base32hex(&[s0, s1, s2, s3, p0, p1, p2, p3, p4, c0, c1, c2])
    }
}

/// When an id was generated, in seconds modulo 2^32.
pub(super) fn seconds_of(id: &str) -> Option<u32> {
    let mut bits: u64 = 0;
    for digit in id.bytes().take(7) {
        let value = DIGITS.iter().position(|known| *known == digit)?;
        bits = bits << 5 | u64::try_from(value).ok()?;
    }
    (id.len() == 20).then(|| u32::try_from(bits >> 3).ok())?
}

fn base32hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut bits, mut held) = (0u32, 0u32);
    let mut push = |value: u32| {
        let digit = usize::try_from(value & 31).ok().and_then(|at| DIGITS.get(at)).copied();
        out.push(char::from(digit.unwrap_or(b'0')));
    };
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            push(bits >> held);
        }
    }
    if held > 0 {
        push(bits << (5 - held));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Entropy for Fixed {
        fn random_u64(&self) -> u64 {
            7
        }
    }

    #[test]
    fn ids_have_the_form_of_the_real_ones_and_ascend() {
        let names = Names::new(&Fixed);
        let ids: Vec<String> = (0..100).map(|at| names.id(1_795_451_810 + at / 50)).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().all(|id| id.len() == 20 && id.bytes().all(|digit| DIGITS.contains(&digit))));
        // The prefix of ids that a real server generated in these seconds.
        assert_eq!(&ids[0][..6], "dc26n8");
        assert_eq!(&names.address(1_795_451_804)[..11], "data/ft59ep");
        assert_eq!(seconds_of(&ids[0]), Some(1_795_451_810));
        assert_eq!(seconds_of("short"), None);
    }

    #[test]
    fn partition_is_kept_for_an_hour_and_later_ones_sort_first() {
        let names = Names::new(&Fixed);
        let partition = |seconds| names.address(seconds).split('/').nth(1).unwrap().to_owned();
        let first = partition(1000);
        assert_eq!(partition(4599), first);
        assert!(partition(4600) < first);
    }
}
