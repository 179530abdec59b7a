//! Prints one fact of every kind as it stands in a journal. Its output is `tests/golden/events.txt`: for a new kind or
//! version add the new line there; a line of a released version never changes.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_macros,
    unreachable_pub,
    reason = "a tool for one person at a terminal"
)]

#[path = "../tests/state/samples.rs"]
mod samples;

fn main() -> Result<(), lakemirror_journal::codec::CodecError> {
    println!("# kind version name payload; see FORMAT.md, \"Record kinds\"");
    for event in samples::one_of_each() {
        let payload = lakemirror_journal::codec::encode(&event)?;
        let hex: String = payload.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        println!("{} {} {} {hex}", payload.kind, payload.version, event.name());
    }
    Ok(())
}
