//! Any bytes as a frame of the journal: an error, or records whose bytes are all there. A frame that was written and
//! then changed in one place must never be accepted as another one.

#![no_main]

use lakemirror_journal::log::{Frame, FrameFault};
use libfuzzer_sys::fuzz_target;

const CRC_AT: usize = 4;
const BODY_LEN_AT: usize = 12;
const HEADER_BYTES: usize = 96;

/// Fixes the length and the checksum, so that the code behind them is reached, too.
fn mended(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if bytes.len() >= HEADER_BYTES {
        bytes[..4].copy_from_slice(b"JRF1");
        let body = u32::try_from(bytes.len() - HEADER_BYTES).expect("libFuzzer's inputs are small");
        bytes[BODY_LEN_AT..BODY_LEN_AT + 4].copy_from_slice(&body.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

fn check(bytes: &[u8]) {
    let Ok(frame) = Frame::check(bytes) else { return };
    let records: Vec<_> = frame.records().collect();
    assert_eq!(records.len() as u64, u64::from(frame.count));
    let framed: usize = records.iter().map(|record| record.framed_bytes()).sum();
    assert_eq!(framed + HEADER_BYTES, bytes.len());
    assert!(frame.last_seq() >= frame.stamp.first_seq);
    // Any flipped bit must be detected.
    let at = usize::from(bytes[HEADER_BYTES - 1]) * 7 % bytes.len();
    let mut other = bytes.to_vec();
    other[at] ^= 1 << (at % 8);
    assert!(Frame::check(&other).is_err(), "a flip at {at} passes");
    assert!(matches!(Frame::check(&bytes[..bytes.len() - 1]), Err(FrameFault::Incomplete { .. })));
}

fuzz_target!(|data: &[u8]| {
    check(data);
    check(&mended(data));
});
