//! The range of keys that a query asks for.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_range_holds_exactly_the_keys_of_the_prefix_after_the_mark(
        prefix in "[a/é\u{10ffff}]{0,3}",
        key in "[a/é\u{10ffff}]{1,5}",
        after in proptest::option::of("[a/é\u{10ffff}]{0,5}"),
    ) {
        let (from, to) = range(&prefix, after.as_deref());
        let inside = key.as_bytes() >= from.as_slice() && key.as_bytes() < to.as_slice();
        let wanted = key.starts_with(&prefix) && after.is_none_or(|after| key > after);
        prop_assert_eq!(inside, wanted);
    }
}
