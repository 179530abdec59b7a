//! The project's rules that the compiler cannot check, checked by reading the source tree.
//!
//! Needs only std, so it compiles in a second. Every rule is a function from one file to its faults, and has a test
//! with a planted violation. `rules` contains the rules, `source` what they know about a file.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_macros,
    reason = "a test ends where it fails, and its notes go to the terminal"
)]

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use source::Source;

/// Limits for the lines of production code in a file: above the first number it is noted, above the second it fails.
const LINES_NOTED: usize = 400;

#[test]
fn the_tree_is_tidy() {
    let tree = source::tree();
    assert!(tree.len() > 10, "the tree was not found: {} files", tree.len());
    let mut faults = Vec::new();
    for file in &tree {
        faults.extend(rules::faults(file));
        faults.extend(imports::faults(file));
        note_size(file);
    }
    faults.extend(rules::stale_exceptions(&tree));
    faults.sort();
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

fn note_size(file: &Source) {
    let lines = file.production_lines();
    if file.is_rust() && file.is_product() && lines > LINES_NOTED {
        eprintln!("note: {} has {lines} lines of production code", file.path);
    }
}
