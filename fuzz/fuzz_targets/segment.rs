//! A segment with arbitrary damage, with the hot store and without: with it nothing is lost, without it nothing is lost
//! silently.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unreachable_pub, reason = "the target needs only a part of what the journal's tests do")]
#[path = "../../journal/tests/log/support.rs"]
mod support;

use support::{Machine, SEGMENT, flat};

const COMMITS: &[&[&[u8]]] = &[&[b"one"], &[b"two", b"three"], &[b"four"], &[b"five"]];

/// Truncates, overwrites, moves and appends.
fn damage(bytes: &mut Vec<u8>, steps: &[u8]) {
    for step in steps.chunks(6) {
        let [kind, low, high, length, to, value] = *step else {
            bytes.extend_from_slice(step);
            continue;
        };
        let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len().max(1);
        let end = (at + usize::from(length)).min(bytes.len());
        match kind % 6 {
            0 => bytes.truncate(at),
            1 => bytes[at..end].fill(value),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.extend_from_slice(&piece);
            }
            4 => {
                let place = usize::from(to) * 16 % (bytes.len() + 1);
                bytes.splice(place..place, vec![value; usize::from(length)]);
            }
            _ if at < bytes.len() => bytes[at] ^= value,
            _ => {}
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [with_hot, steps @ ..] = data else { return };
    let machine = Machine::with(COMMITS);
    machine.damage(SEGMENT, |bytes| damage(bytes, steps));
    if with_hot & 1 == 0 {
        machine.hot.damage(std::collections::BTreeMap::clear);
    }
    if let Ok((_, seen)) = machine.scan() {
        assert_eq!(seen.payloads(), flat(COMMITS), "a scan that says all is well");
    }
    match machine.open() {
        Ok((_, _, seen)) => assert_eq!(seen.payloads(), flat(COMMITS)),
        Err(error) => {
            assert_eq!(with_hot & 1, 0, "the hot store has everything: {error}");
            let again = machine.open().err().expect("refusing changes nothing");
            assert_eq!(again.to_string(), error.to_string());
        }
    }
});
