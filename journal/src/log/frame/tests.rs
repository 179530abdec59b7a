//! The frame's layout: round trip, single-bit damage, limits.

use proptest::prelude::*;

use super::*;

const STAMP: Stamp =
    Stamp { first_seq: 7, writer_epoch: 3, checks_total: 11, wall_ms: 13, state_digest: 0, prev_hash: [5; 32] };

fn encoded(records: &[RawRecord<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes, &STAMP, records);
    bytes
}

fn sample() -> Vec<u8> {
    encoded(&[
        RawRecord { kind: 1, version: 1, payload: b"first" },
        RawRecord { kind: 2, version: 9, payload: b"" },
        RawRecord { kind: u16::MAX, version: 1, payload: &[0xAB; 40] },
    ])
}

/// The frame with its checksum made right again after a change.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32fast::hash(&bytes[VERSION_AT..]);
    bytes[CRC_AT..VERSION_AT].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn offsets_are_those_of_the_format() {
    let bytes = sample();
    assert_eq!(&bytes[..4], b"JRF1");
    assert_eq!(bytes[8..12], [1, 0, 0, 0]);
    assert_eq!(u32_at(&bytes, 12).unwrap() as usize + 96, bytes.len());
    assert_eq!((u64_at(&bytes, 16), u32_at(&bytes, 24), u64_at(&bytes, 32)), (Some(7), Some(3), Some(3)));
    assert_eq!((u64_at(&bytes, 40), u64_at(&bytes, 48), &bytes[64..96]), (Some(11), Some(13), &[5; 32][..]));
    assert_eq!(&bytes[112..117], b"first");
}

#[test]
fn every_single_bit_counts() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(Frame::check(&flipped).is_err(), "byte {at} bit {bit}");
        }
        assert!(matches!(Frame::check(&bytes[..at]), Err(FrameFault::Incomplete { .. })), "cut at {at}");
    }
}

#[test]
fn what_a_newer_version_writes_is_not_called_damage() {
    for at in [VERSION_AT, FLAGS_AT, ZERO_AT, HEADER_BYTES + RECORD_FLAGS_AT, HEADER_BYTES + RECORD_ZERO_AT] {
        let mut bytes = sample();
        bytes[at] ^= 0x80;
        assert!(matches!(Frame::check(&resealed(bytes)), Err(FrameFault::Newer(_))), "offset {at}");
    }
}

#[test]
fn a_right_checksum_does_not_excuse_a_wrong_structure() {
    let change = |at: usize, value: u8| {
        let mut bytes = sample();
        bytes[at] = value;
        Frame::check(&resealed(bytes)).map(|_| ()).unwrap_err()
    };
    for (at, value) in [(COUNT_AT, 0), (COUNT_AT, 2), (COUNT_AT, 4), (HEADER_BYTES + LEN_AT, 200)] {
        assert!(matches!(change(at, value), FrameFault::Structure(_)), "offset {at} value {value}");
    }
    assert_eq!(change(HEADER_BYTES + 16 + 5, 1), FrameFault::Structure("its padding is not zero"));
}

#[test]
fn the_length_is_judged_before_it_is_used() {
    let start = |body_len: u32| {
        let mut bytes = sample()[..HEADER_BYTES].to_vec();
        bytes[BODY_LEN_AT..BODY_LEN_AT + 4].copy_from_slice(&body_len.to_le_bytes());
        whole_len(&bytes)
    };
    let most = FRAME_BYTES_LIMIT - HEADER_BYTES;
    assert_eq!(start(u32::try_from(most).unwrap()), Ok(FRAME_BYTES_LIMIT));
    for wrong in [u32::try_from(most).unwrap() + 16, u32::MAX, 0, 17] {
        assert_eq!(start(wrong), Err(FrameFault::BodyLen(wrong)));
    }
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(
        payloads in prop::collection::vec((any::<u16>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..100)), 1..20),
        first_seq in 1..u64::MAX / 2, checks_total: u64, wall_ms: u64, prev_hash: [u8; 32],
    ) {
        let stamp = Stamp { first_seq, checks_total, wall_ms, prev_hash, ..STAMP };
        let records: Vec<_> =
            payloads.iter().map(|(kind, version, payload)| RawRecord { kind: *kind, version: *version, payload }).collect();
        let mut bytes = vec![1, 2, 3];
        let hash = encode(&mut bytes, &stamp, &records);
        let frame = Frame::check(&bytes).unwrap();
        prop_assert_eq!(frame.stamp, stamp);
        prop_assert_eq!(frame.records().collect::<Vec<_>>(), records);
        prop_assert_eq!(frame.last_seq(), first_seq + payloads.len() as u64 - 1);
        prop_assert_eq!(frame.hash(), hash);
    }

    #[test]
    fn any_bytes_are_a_fault_or_a_frame_that_encodes_to_them(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400), shape in any::<bool>(),
    ) {
        if shape && bytes.len() >= HEADER_BYTES + 16 {
            bytes.truncate(HEADER_BYTES + (bytes.len() - HEADER_BYTES) / 16 * 16);
            bytes[..4].copy_from_slice(&MAGIC);
            let body = u32::try_from(bytes.len() - HEADER_BYTES).unwrap();
            bytes[BODY_LEN_AT..FIRST_SEQ_AT].copy_from_slice(&body.to_le_bytes());
            bytes[VERSION_AT..BODY_LEN_AT].copy_from_slice(&[1, 0, 0, 0]);
            bytes[COUNT_AT..WRITER_EPOCH_AT].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
            bytes[HEADER_BYTES + 8..HEADER_BYTES + 16].fill(0);
            bytes = resealed(bytes);
        }
        if let Ok(frame) = Frame::check(&bytes) {
            let mut again = Vec::new();
            encode(&mut again, &frame.stamp, &frame.records().collect::<Vec<_>>());
            prop_assert_eq!(again, bytes);
        }
    }
}
