//! Any bytes as the image of a state: an error, or a state whose only image they are.

#![no_main]

use lakemirror_journal::state::image;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(state) = image::read(data) else { return };
    let mut bytes = Vec::new();
    image::write(&state, |part| bytes.extend_from_slice(part)).expect("what was read can be written");
    assert_eq!(bytes, data, "a second image of one state");
});
