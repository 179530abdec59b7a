//! Any bytes as the footer of a sealed segment: an error, or a footer that encodes to exactly these bytes.

#![no_main]

use lakemirror_journal::log::Footer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(footer) = Footer::decode(data) else { return };
    assert_eq!(footer.encode(), data);
    assert_eq!(Footer::decode(&footer.encode()).map(|again| again.hash()).ok(), Some(footer.hash()));
});
