//! Any files in a journal's directory: opening reports what is wrong, or the journal works. Nothing panics or hangs,
//! and a journal that was refused is refused again.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub, reason = "the target needs only a part of what the journal's tests do")]
#[path = "../../journal/tests/log/support.rs"]
mod support;

use support::{Machine, commit};

const NAMES: [&str; 14] = [
    "FORMAT",
    "HEAD",
    "LOCK",
    "LOSS",
    "HEAD.tmp",
    "seg/0000000000000001.jseg.open",
    "seg/0000000000000001-0000000000000003.jseg",
    "seg/0000000000000001-0000000000000003.jseg.zst",
    "seg/0000000000000004.jseg.open",
    "seg/0000000000000001.jseg.open.broken",
    "seg/notes.txt",
    "snap/0000000000000003.jsnap",
    "snap/0000000000000003.jsnap.tmp",
    "lost+found",
];

fuzz_target!(|data: &[u8]| {
    let Some((mode, mut rest)) = data.split_first() else { return };
    let machine = match mode & 1 {
        0 => Machine::new(),
        _ => Machine::with(&[&[b"one"], &[b"two", b"three"]]),
    };
    if mode & 2 != 0 {
        machine.hot.damage(std::collections::BTreeMap::clear);
    }
    // Name, length, then that many bytes.
    while let [name, low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (bytes, after) = tail.split_at(length);
        rest = after;
        machine.disk.put(NAMES[usize::from(*name) % NAMES.len()], bytes.to_vec());
    }
    let scanned = machine.scan().map(|(_, seen)| seen.0.len());
    match machine.open() {
        Ok((mut log, _, seen)) => {
            let before = seen.payloads();
            if let Ok(count) = scanned {
                assert!(count <= before.len(), "a scan that is longer than the journal");
            }
            commit(&mut log, &[b"after"]).expect("an open journal takes records");
            drop(log);
            let (_, _, seen) = machine.open().expect("what was open opens again");
            assert_eq!(seen.payloads().split_last(), Some((&b"after".to_vec(), &before[..])));
        }
        Err(error) => {
            let again = machine.open().err().expect("it was refused before");
            assert_eq!(again.to_string(), error.to_string());
        }
    }
});
