//! A file of the source tree, and the questions that rules ask about it.

use std::path::Path;

/// A text file: its path relative to the top of the tree, with `/`, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A function: its name, its first line (from 1), and its number of lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// Directories without source files of ours.
const NOT_OURS: [&str; 3] = ["target", ".git", "data"];
/// The directories of the product, without tests, benches and fuzz targets.
const PRODUCT: [&str; 13] = [
    "src/",
    "adapters/lakefs/src/",
    "adapters/mirrors/src/",
    "adapters/objects/src/",
    "adapters/outbound/src/",
    "api/src/",
    "core/src/",
    "engine/src/",
    "evidence/src/",
    "graveler/src/",
    "journal/src/",
    "ports/src/",
    "sandbox/src/",
];
/// Extensions of the files that are checked.
const ENDINGS: [&str; 8] = [".rs", ".md", ".toml", ".yaml", ".yml", ".sh", ".json", ".java"];

/// All text files of the tree.
pub(crate) fn tree() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    walk(top, "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(top: &Path, under: &str, files: &mut Vec<Source>) {
    for entry in std::fs::read_dir(top.join(under)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            walk(top, &path, files);
        } else if kind.is_file() && is_text(&path) {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            files.push(Source { path, text });
        }
    }
}

fn is_text(path: &str) -> bool {
    path.starts_with(".ci/") || path == "tests/run" || ENDINGS.iter().any(|ending| path.ends_with(ending))
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file is part of the product, and not of tests, benches or fuzz targets.
    pub(crate) fn is_product(&self) -> bool {
        let of_tests = self.path.ends_with("/tests.rs") || self.path.contains("/tests/");
        PRODUCT.iter().any(|top| self.path.starts_with(top)) && !of_tests
    }

    /// The lines before the test module at the end.
    pub(crate) fn production(&self) -> Vec<&str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
        lines[..end.unwrap_or(lines.len())].to_vec()
    }

    pub(crate) fn production_lines(&self) -> usize {
        self.production().len()
    }

    /// Production lines without comments, with their numbers from 1.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.production().into_iter().enumerate().filter_map(|(index, line)| {
            let code = line.split("//").next().unwrap_or_default();
            (!code.trim().is_empty()).then_some((index + 1, code))
        })
    }

    /// The functions of the whole file. Relies on rustfmt, which aligns a body's closing brace with its `fn`.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = &line[..line.len() - line.trim_start().len()];
            let closing = format!("{indent}}}");
            let body = lines[index..]
                .iter()
                .take_while(|later| !later.trim_end().ends_with(';') || later.starts_with(&format!("{indent} ")));
            let span = body.clone().position(|later| **later == closing || (later.ends_with('}') && later == line));
            found.extend(span.map(|span| Function { name, line: index + 1, lines: span + 1 }));
        }
        found
    }
}

/// The name of the function that a line declares.
fn function_name(line: &str) -> Option<String> {
    let (before, after) = line.split_once("fn ")?;
    let words = ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern", "\"C\""];
    if !before.split_whitespace().all(|word| words.contains(&word)) {
        return None;
    }
    let name: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

#[test]
fn functions_are_found_with_their_length() {
    let text = "fn one() {}\nimpl X {\n    pub async fn two(\n        a: u8,\n    ) -> u8 {\n        a;\n    }\n}\n";
    let file = Source { path: "src/a.rs".to_owned(), text: text.to_owned() };
    let found: Vec<(String, usize)> = file.functions().into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(found, [("one".to_owned(), 1), ("two".to_owned(), 5)]);
}

#[test]
fn the_production_part_ends_at_the_test_module() {
    let text = "//! a\nfn x() {}\n#[cfg(test)]\nmod tests {\n}\n".to_owned();
    assert_eq!(Source { path: "src/a.rs".to_owned(), text }.production_lines(), 2);
}
