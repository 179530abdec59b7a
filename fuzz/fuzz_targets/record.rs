//! Any bytes as records of any kind and version, at any alignment. What decodes is encoded to the same bytes again, and
//! can be applied to any state that the records before it led to. That state has an image, which reads as the same
//! state.

#![no_main]

use lakemirror_journal::codec;
use lakemirror_journal::state::{State, image};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (mut state, mut rest) = (State::default(), data);
    // Kind, alignment, length, then that many bytes.
    while let [kind, shift, low, high, tail @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (payload, after) = tail.split_at(length);
        rest = after;
        let shift = usize::from(*shift % 16);
        let mut moved = vec![0; shift];
        moved.extend_from_slice(payload);
        let Ok(event) = codec::decode(u16::from(*kind), 1, &moved[shift..]) else { continue };
        let written = codec::encode(&event).expect("what was read can be written");
        assert_eq!((written.kind, written.version), event.kind());
        assert_eq!(codec::decode(written.kind, written.version, &written.bytes).as_ref().ok(), Some(&event));
        state.apply(&event);
    }
    let mut bytes = Vec::new();
    image::write(&state, |part| bytes.extend_from_slice(part)).expect("a small state has an image");
    assert_eq!(image::digest(&state).ok(), Some(image::digest_of(&bytes)));
    assert_eq!(image::read(&bytes).ok().as_ref(), Some(&state));
});
