//! Any bytes as the response of an S3 store to LIST: an error, or a page whose keys are all in the body.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the target needs only a part of what the service does")]
#[path = "../../adapters/objects/src"]
mod objects {
    pub mod list_page;
    pub mod page;
    pub use page::Page;
}

fuzz_target!(|data: &[u8]| {
    let Ok(page) = objects::list_page::scan(data) else { return };
    let mut keys = 0usize;
    for (key, _) in page.iter() {
        keys += 1;
        assert!(key.len() <= data.len());
    }
    assert!(keys <= data.len() / "<Contents><Key></Key></Contents>".len());
    // Without its last byte it is not a listing, unless that is a space.
    if data.last().is_some_and(|last| *last == b'>') {
        assert!(objects::list_page::scan(&data[..data.len() - 1]).is_err());
    }
    let _ = page.in_order("", "");
});
