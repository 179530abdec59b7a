//! Frames that are not where they were: left out, doubled, in another order, in the other's place, or cut anywhere.

use proptest::collection::vec;
use proptest::prelude::*;

use super::support::{Machine, SEGMENT, flat};

const COMMITS: &[&[&[u8]]] = &[&[b"one"], &[b"two"], &[b"three"], &[b"four"], &[b"five"]];
/// Header 96, one record of 32.
const FRAME: usize = 128;

/// A journal whose segment, hot store or both have these frames in this order; the last one is cut to so many bytes.
fn rearranged(order: &[usize], cut: usize, segment: bool, hot: bool) -> Machine {
    let machine = Machine::with(COMMITS);
    let bytes = machine.disk.bytes(SEGMENT).unwrap();
    assert_eq!(bytes.len(), FRAME * COMMITS.len());
    let frames: Vec<&[u8]> = order.iter().map(|place| &bytes[place * FRAME..(place + 1) * FRAME]).collect();
    if segment {
        let mut moved = frames.concat();
        moved.truncate(moved.len().saturating_sub(FRAME - cut));
        machine.damage(SEGMENT, |bytes| *bytes = moved);
    }
    if hot {
        machine.hot.damage(|kept| *kept = (1u64..).zip(frames).map(|(seq, frame)| (seq, frame.to_vec())).collect());
    }
    machine
}

/// Any frames in any order; of four, one begins as it should.
fn orders() -> impl Strategy<Value = Vec<usize>> {
    let any = vec(0..COMMITS.len(), 0..8);
    let longer = vec(0..COMMITS.len(), 0..3).prop_map(|more| (0..COMMITS.len()).chain(more).collect());
    prop_oneof![3 => any, 1 => longer]
}

/// Whatever is accepted is what was committed.
fn nothing_else(machine: &Machine, what: &str) -> bool {
    if let Ok((_, seen)) = machine.scan() {
        assert_eq!(seen.payloads(), flat(COMMITS), "scan: {what}");
    }
    let opened = machine.open();
    if let Ok((_, _, seen)) = &opened {
        assert_eq!(seen.payloads(), flat(COMMITS), "{what}");
    }
    opened.is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_other_order_of_frames_is_believed(order in orders(), cut in 1..=FRAME) {
        let what = format!("{order:?}, the last one cut to {cut}");
        // In one witness: the other one mends it. In both: what goes on behind what was acknowledged is no damage. (The
        // hot store's last frame is not cut.)
        let whole = order.starts_with(&[0, 1, 2, 3, 4]);
        prop_assert!(nothing_else(&rearranged(&order, cut, true, false), &what), "{}", what);
        prop_assert!(nothing_else(&rearranged(&order, cut, false, true), &what), "{}", what);
        prop_assert_eq!(nothing_else(&rearranged(&order, cut, true, true), &what), whole, "{}", what);
    }
}

#[test]
fn every_cut_of_the_segment_is_mended_or_refused() {
    for cut in 0..FRAME * COMMITS.len() {
        for with_hot in [true, false] {
            let machine = Machine::with(COMMITS);
            machine.damage(SEGMENT, |bytes| bytes.truncate(cut));
            if !with_hot {
                machine.hot.damage(std::collections::BTreeMap::clear);
            }
            assert_eq!(nothing_else(&machine, &format!("cut to {cut}")), with_hot, "cut to {cut}");
        }
    }
}
