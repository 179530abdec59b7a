//! Columns for people, and the short forms of what stands in them.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{CellAlignment, ContentArrangement, presets};
use lakemirror_core::escape;

/// A column's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of equal length under a heading.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// With these columns.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(columns.iter().map(|(name, _)| *name));
        for (column, (_, align)) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self(table)
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.0.add_row(cells.iter().map(|cell| escape::line(cell).into_owned()));
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Prints heading and rows, each column as wide as its widest cell.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        for line in self.0.lines() {
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Bytes in the unit that keeps them short, with the exact number in `-o json`.
pub(super) fn bytes(count: u64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let unit = units.into_iter().find(|(size, _)| count as f64 >= 10.0 * size);
    unit.map_or_else(|| format!("{count} B"), |(size, unit)| format!("{:.1} {unit}", count as f64 / size))
}

/// The first twelve digits of an id, or a dash.
pub(super) fn short<T: Display>(id: Option<&T>) -> String {
    id.map_or_else(|| "-".to_owned(), |id| id.to_string().chars().take(12).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let mut table = Table::new(&[("what", Align::Left), ("n", Align::Right), ("why", Align::Left)]);
        assert!(table.is_empty());
        table.row(vec!["é".into(), "1000".into(), String::new()]);
        table.row(vec!["longer".into(), "7".into(), "x".into()]);
        table.row(vec!["\u{4e2d}\u{6587}".into(), "7".into(), "two columns a letter".into()]);
        let mut text = Vec::new();
        table.print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "what       n  why\né       1000\nlonger     7  x\n\u{4e2d}\u{6587}       7  two columns a letter\n"
        );
    }

    #[test]
    fn sizes_are_short() {
        for (count, text) in [(0, "0 B"), (9_999, "9999 B"), (10_000, "10.0 kB"), (12_345_678, "12.3 MB")] {
            assert_eq!(bytes(count), text);
        }
    }
}
