//! Columns for people, and the short forms of what stands in them.

use std::fmt::Display;
use std::io::{self, Write};

use lakemirror_core::escape;

/// A column's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows of equal length under a heading.
pub(super) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these columns.
    pub(super) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| escape::line(cell).into_owned()).collect());
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints heading and rows, each column as wide as its widest cell.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut widths = vec![0; self.columns.len()];
        for row in std::iter::once(&heading).chain(&self.rows) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in std::iter::once(&heading).chain(&self.rows) {
            let cells = row.iter().zip(&widths).zip(&self.columns);
            let cells = cells.map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
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
        let mut text = Vec::new();
        table.print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "what       n  why\né       1000\nlonger     7  x\n");
    }

    #[test]
    fn sizes_are_short() {
        for (count, text) in [(0, "0 B"), (9_999, "9999 B"), (10_000, "10.0 kB"), (12_345_678, "12.3 MB")] {
            assert_eq!(bytes(count), text);
        }
    }
}
