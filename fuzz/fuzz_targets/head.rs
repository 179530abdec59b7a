//! Any bytes as `HEAD`, with sound segment and hot store: opening returns the records as they were written, or an
//! error.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub, reason = "the target needs only a part of what the journal's tests do")]
#[path = "../../journal/tests/log/support.rs"]
mod support;

use support::{Machine, commit, flat};

const COMMITS: &[&[&[u8]]] = &[&[b"one"], &[b"two", b"three"], &[b"four"]];

fuzz_target!(|data: &[u8]| {
    let machine = Machine::with(COMMITS);
    let mut bytes = machine.disk.bytes("HEAD").expect("a journal has one");
    match data {
        // Changes single bytes of a real one: its slots are the first bytes of two pages.
        [0, places @ ..] => places.chunks_exact(3).for_each(|place| {
            let at = usize::from(place[0] & 1) * 4096 + usize::from(place[1]);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = place[2];
            }
        }),
        [_, whole @ ..] => bytes = whole.to_vec(),
        [] => bytes.clear(),
    }
    machine.disk.put("HEAD", bytes);
    if let Ok((_, seen)) = machine.scan() {
        assert!(flat(COMMITS).starts_with(&seen.payloads()));
    }
    let Ok((mut log, _, seen)) = machine.open() else { return };
    assert_eq!(seen.payloads(), flat(COMMITS));
    commit(&mut log, &[b"five"]).expect("an open journal takes records");
    drop(log);
    let (_, _, seen) = machine.open().expect("what was open opens again");
    assert_eq!(seen.payloads().last().map(Vec::as_slice), Some(&b"five"[..]));
});
