//! Every single bit of a journal's files, flipped: the records come out as they went in, or opening says why not.

use super::support::{Machine, SEGMENT, flat};

const COMMITS: &[&[&[u8]]] = &[&[b"one"], &[b"two", b"three"], &[b"four"]];

fn flipped(path: &str, with_hot: bool) -> (usize, usize) {
    let (mut sound, mut refused) = (0, 0);
    for at in 0..Machine::with(COMMITS).disk.bytes(path).unwrap().len() {
        // Of HEAD only the slots carry anything; a sample of the rest is enough.
        if path == "HEAD" && at % 4096 >= 80 && at % 257 != 0 {
            continue;
        }
        for bit in 0..8 {
            let machine = Machine::with(COMMITS);
            if !with_hot {
                machine.hot.damage(std::collections::BTreeMap::clear);
            }
            machine.damage(path, |bytes| bytes[at] ^= 1 << bit);
            let scanned = machine.scan().map(|(_, seen)| seen.payloads());
            match machine.open() {
                Ok((_, _, seen)) => {
                    assert_eq!(seen.payloads(), flat(COMMITS), "{path} byte {at} bit {bit}");
                    sound += 1;
                }
                Err(_) => refused += 1,
            }
            if let Ok(payloads) = scanned {
                assert_eq!(payloads, flat(COMMITS), "scan: {path} byte {at} bit {bit}");
            }
        }
    }
    (sound, refused)
}

#[test]
fn in_the_segment_with_the_other_witness() {
    let (sound, refused) = flipped(SEGMENT, true);
    assert!(sound > 0 && refused == 0, "all repaired: {sound}, {refused}");
}

#[test]
fn in_the_segment_alone() {
    let (sound, refused) = flipped(SEGMENT, false);
    assert!(sound == 0 && refused > 0, "none unnoticed: {sound}, {refused}");
}

#[test]
fn in_head() {
    let (sound, refused) = flipped("HEAD", true);
    assert!(sound > 0 && refused == 0, "the other slot will do: {sound}, {refused}");
}

#[test]
fn in_format() {
    let (sound, refused) = flipped("FORMAT", true);
    assert!(sound == 0 && refused > 0, "none unnoticed: {sound}, {refused}");
}
