//! The lakemirror command.
fn main() {}
