//! Any bytes as responses of lakeFS, one per line: each is refused or read, and an accepted listing has every item
//! once, in order, and an end.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, unused_imports, unreachable_pub, reason = "the target needs only a part of what the client does")]
#[path = "../../adapters/lakefs/src"]
mod lakefs {
    mod types;
    mod walk;

    use types::{Commit, Config, CurrentUser, Location, Page, Policy, Ref, Repository, Version};
    use walk::{Order, Walk};

    pub fn read(data: &[u8]) {
        for order in [Order::Filtered, Order::Any] {
            walk_over(data, order);
        }
        for line in data.split(|byte| *byte == b'\n') {
            let _ = serde_json::from_slice::<Commit>(line);
            let _ = serde_json::from_slice::<Page<Commit>>(line);
            let _ = serde_json::from_slice::<Repository>(line);
            let _ = serde_json::from_slice::<Page<Repository>>(line);
            let _ = serde_json::from_slice::<CurrentUser>(line);
            let _ = serde_json::from_slice::<Page<Policy>>(line);
            let _ = serde_json::from_slice::<Config>(line);
            let _ = serde_json::from_slice::<Version>(line);
            let _ = serde_json::from_slice::<Location>(line);
        }
    }

    fn walk_over(data: &[u8], order: Order) {
        let (mut walk, mut all, mut turns) = (Walk::new(order), Vec::new(), 0);
        for line in data.split(|byte| *byte == b'\n') {
            let Ok(page) = serde_json::from_slice::<Page<Ref<'_>>>(line) else { return };
            let turned = walk.turn(&page.pagination, page.results.iter().map(|one| &*one.id));
            let Ok(more) = turned else { return };
            turns += 1;
            all.extend(page.results.iter().map(|one| one.id.to_string()));
            if order != Order::Any {
                assert!(all.windows(2).all(|two| two[0] < two[1]), "{order:?}: {all:?}");
            }
            if !more {
                return;
            }
            assert!(turns < 2000);
        }
    }
}

fuzz_target!(|data: &[u8]| lakefs::read(data));
