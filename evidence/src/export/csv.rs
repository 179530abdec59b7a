//! An export for spreadsheets: RFC 4180, one row per record.
//!
//! Defines columns and quoting. A cell that a spreadsheet could take for a formula starts with an apostrophe.
//! Characters that are not printable are escaped, so a row is one line, on a terminal too. The payload is left out
//! because it would not fit into a cell; this form cannot be imported. The last row contains the word `end`, the number
//! of records, and the hash of the last frame: a file without it was truncated.

use std::borrow::Cow;
use std::io::{self, Write};

use lakemirror_core::escape;
use serde_json::Value;

use super::line::{Line, Trailer};
use crate::point::show;

/// The columns in order; later versions append columns.
pub const COLUMNS: [&str; 17] = [
    "seq",
    "committed",
    "committed_ms",
    "kind",
    "version",
    "name",
    "mirror",
    "branch",
    "fields",
    "frame_first_seq",
    "frame_last_seq",
    "frame_hash",
    "prev_hash",
    "segment",
    "writer_epoch",
    "checks_total",
    "state_digest",
];

pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    row(out, &COLUMNS.map(str::to_owned))
}

pub(super) fn line(line: &Line, out: &mut dyn Write) -> io::Result<()> {
    let frame = &line.frame;
    let field = |name: &str| {
        line.event.as_ref().and_then(|event| event.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    row(
        out,
        &[
            line.seq.to_string(),
            show(frame.committed_ms),
            frame.committed_ms.to_string(),
            line.kind.to_string(),
            line.version.to_string(),
            line.name.clone().unwrap_or_default(),
            field("mirror"),
            field("branch"),
            line.event.as_ref().map(ToString::to_string).unwrap_or_default(),
            frame.first_seq.to_string(),
            frame.last_seq.to_string(),
            frame.hash.clone(),
            frame.prev_hash.clone(),
            frame.segment.to_string(),
            frame.writer_epoch.to_string(),
            frame.checks_total.to_string(),
            frame.state_digest.clone(),
        ],
    )
}

pub(super) fn tail(trailer: &Trailer, out: &mut dyn Write) -> io::Result<()> {
    let mut cells: [String; 17] = Default::default();
    let fields = format!("{{\"records\":{},\"frames\":{}}}", trailer.records, trailer.frames);
    let hash = trailer.head_hash.clone().unwrap_or_default();
    let set = [("seq", "end".to_owned()), ("fields", fields), ("frame_hash", hash)];
    for (name, value) in set.into_iter().chain([("checks_total", trailer.checks_total.to_string())]) {
        let place = COLUMNS.iter().position(|column| *column == name);
        if let Some(cell) = place.and_then(|place| cells.get_mut(place)) {
            *cell = value;
        }
    }
    row(out, &cells)
}

fn row(out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
    let cells: Vec<Cow<'_, str>> = cells.iter().map(|cell| quoted(cell)).collect();
    write!(out, "{}\r\n", cells.join(","))
}

/// A cell as it is written to the file.
fn quoted(cell: &str) -> Cow<'_, str> {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '|', '%']);
    let shown = escape::line(cell);
    match (formula, shown.contains([',', '"'])) {
        (false, false) => shown,
        (formula, _) => {
            let apostrophe = if formula { "'" } else { "" };
            Cow::Owned(format!("\"{apostrophe}{}\"", shown.replace('"', "\"\"")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_escaped() {
        for (cell, text) in [
            ("plain", "plain"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("two\r\nlines", r"two\r\nlines"),
            ("\u{1b}[2K\u{9b}\u{202e}x", r"\u001b[2K\u009b\u202ex"),
            ("\r=1", "\"'\\r=1\""),
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""),
            ("-main", "\"'-main\""),
            ("@main", "\"'@main\""),
            ("+1", "\"'+1\""),
            ("\tx", "\"'\\tx\""),
        ] {
            assert_eq!(quoted(cell), text, "{cell:?}");
        }
    }
}
