//! Settings out of the file and the environment, with every problem on the way noted instead of returned.
//!
//! A [`Section`] is one mapping of the file together with its part of the environment. Asking it for a setting makes
//! the setting known; what the file holds beyond that is warned about when the section ends, so the code that reads
//! is the only list of keys. Nodes and variables in; typed values, problems and warnings out. Meaning that spans
//! several settings is checked elsewhere (`check`).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakemirror_core::secret::Secret;
use lakemirror_core::suggest::did_you_mean;
use url::Url;

use super::problem::{Place, Problem, Warning};
use super::scalar::{self, BadValue};
use super::yaml::{Entry, Node, Position, Value};

/// What every environment variable of a setting begins with.
pub(crate) const PREFIX: &str = "REPLICATION_";

/// The two sources, and what was found wrong with them so far.
pub(crate) struct Reader<'a> {
    file: Arc<PathBuf>,
    variables: &'a BTreeMap<String, String>,
    known: RefCell<BTreeSet<String>>,
    known_prefixes: RefCell<Vec<String>>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Warning>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: Arc<PathBuf>, variables: &'a BTreeMap<String, String>) -> Reader<'a> {
        Reader {
            file,
            variables,
            known: RefCell::default(),
            known_prefixes: RefCell::default(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Reads the whole document.
    pub(crate) fn root<T>(&self, document: &Node, read: impl FnOnce(&Section<'_>) -> T) -> T {
        let entries = match &document.value {
            Value::Mapping(entries) => entries.as_slice(),
            Value::Null => &[],
            other @ (Value::Scalar(_) | Value::Sequence(_)) => {
                let what = format!("the file holds {}, not settings", other.kind());
                self.problem(Place::line(&self.file, document.at), "", what, "write lines of the form `key: value`");
                &[]
            }
        };
        let root = Section::new(self, String::new(), entries, document.at, true);
        let result = read(&root);
        root.warn_of_unknown_keys();
        self.warn_of_unknown_variables();
        result
    }

    pub(crate) fn problem(&self, place: Place, key: impl Display, what: impl Display, fix: impl Display) {
        self.problems.borrow_mut().push(Problem {
            place,
            key: key.to_string(),
            what: what.to_string(),
            fix: fix.to_string(),
        });
    }

    pub(crate) fn warning(&self, place: Place, key: impl Display, what: impl Display, fix: impl Display) {
        self.warnings.borrow_mut().push(Warning {
            place,
            key: key.to_string(),
            what: what.to_string(),
            fix: fix.to_string(),
        });
    }

    /// All that was noted, in the order of the file.
    pub(crate) fn finish(self) -> (Vec<Problem>, Vec<Warning>) {
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort();
        problems.dedup();
        warnings.sort();
        warnings.dedup();
        (problems, warnings)
    }

    fn warn_of_unknown_variables(&self) {
        let known = self.known.borrow();
        let prefixes = self.known_prefixes.borrow();
        for name in self.variables.keys() {
            let ours = name.starts_with(PREFIX) && !is_service_link(name);
            if !ours || known.contains(name) || prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
                continue;
            }
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            let fix =
                if hint.is_empty() { "it is ignored; remove it".to_owned() } else { format!("it is ignored; {hint}") };
            self.warning(Place::Variable(name.clone()), "", "no setting has this name", fix);
        }
    }
}

/// Kubernetes describes every service of a namespace in variables: a service named `replication` gives these.
fn is_service_link(name: &str) -> bool {
    ["SERVICE_HOST", "SERVICE_PORT", "PORT"]
        .iter()
        .any(|link| name.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with(link)))
}

/// One value as it was written, and where.
pub(crate) struct Found {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// One mapping of the file and the environment variables of its settings.
pub(crate) struct Section<'r> {
    reader: &'r Reader<'r>,
    /// Its key with all sections above, empty for the document itself.
    path: String,
    entries: &'r [Entry],
    /// Where it begins; where it is not in the file, where the nearest section around it does.
    at: Position,
    /// Whether environment variables reach into it. Not below a map with keys of the user's own.
    from_environment: bool,
    asked: RefCell<BTreeSet<String>>,
}

impl<'r> Section<'r> {
    fn new(reader: &'r Reader<'r>, path: String, entries: &'r [Entry], at: Position, from_environment: bool) -> Self {
        Section { reader, path, entries, at, from_environment, asked: RefCell::default() }
    }

    /// The full name of a setting in this section.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Where a setting is or, if it is not there, where it should be.
    pub(crate) fn place(&self, name: &str) -> Place {
        match self.entry(name) {
            Some(entry) => Place::line(&self.reader.file, entry.key_at),
            None => Place::line(&self.reader.file, self.at),
        }
    }

    /// Where the value of a setting comes from: its variable, else its line, else where it should be.
    fn origin(&self, name: &str) -> Place {
        let variable = self.variable(name);
        if self.from_environment && self.reader.variables.get(&variable).is_some_and(|text| !text.is_empty()) {
            return Place::Variable(variable);
        }
        match self.entry(name) {
            Some(entry) => Place::line(&self.reader.file, entry.node.at),
            None => Place::line(&self.reader.file, self.at),
        }
    }

    /// Notes a problem with a setting.
    pub(crate) fn problem(&self, name: &str, what: impl Display, fix: impl Display) {
        let place = self.origin(name);
        self.reader.problem(place, self.key(name), what, fix);
    }

    /// Notes a problem at a place that the caller knows.
    pub(crate) fn problem_at(&self, place: Place, name: &str, what: impl Display, fix: impl Display) {
        self.reader.problem(place, self.key(name), what, fix);
    }

    /// Notes something odd about a setting.
    pub(crate) fn warning(&self, name: &str, what: impl Display, fix: impl Display) {
        let place = self.origin(name);
        self.reader.warning(place, self.key(name), what, fix);
    }

    /// Notes something odd at a place that the caller knows.
    pub(crate) fn warning_at(&self, place: Place, name: &str, what: impl Display, fix: impl Display) {
        self.reader.warning(place, self.key(name), what, fix);
    }

    /// Makes a key known without reading it or what is under it. True if the file has it.
    pub(crate) fn accept(&self, name: &str) -> bool {
        self.asked.borrow_mut().insert(name.to_owned());
        if self.from_environment {
            self.reader.known_prefixes.borrow_mut().push(self.variable(name));
        }
        self.entry(name).is_some_and(|entry| !matches!(entry.node.value, Value::Null))
    }

    /// Reads the section `name` in this one; an empty one where the file has none.
    pub(crate) fn within<T>(&self, name: &str, read: impl FnOnce(&Section<'_>) -> T) -> T {
        self.asked.borrow_mut().insert(name.to_owned());
        let (entries, at): (&[Entry], Position) = match self.entry(name) {
            Some(entry) => (self.mapping(&entry.node, name), entry.key_at),
            None => (&[], self.at),
        };
        let section = Section::new(self.reader, self.key(name), entries, at, self.from_environment);
        let result = read(&section);
        section.warn_of_unknown_keys();
        result
    }

    /// Reads a map with keys of the user's own, each value a single one. From the file only.
    pub(crate) fn map<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, BadValue>,
    ) -> Vec<(String, Place, T)> {
        let section = self.user_map(name);
        let read = |entry: &Entry| {
            let value = section.value(&entry.key, &parse)?;
            Some((entry.key.clone(), Place::line(&self.reader.file, entry.key_at), value))
        };
        section.entries.iter().filter_map(read).collect()
    }

    /// Reads a map with keys of the user's own, each value a section. From the file only.
    pub(crate) fn map_of_sections<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Section<'_>) -> Option<T>,
    ) -> Vec<(String, Place, Option<T>)> {
        let section = self.user_map(name);
        let read_one = |entry: &Entry| {
            let value = section.within(&entry.key, &read);
            (entry.key.clone(), Place::line(&self.reader.file, entry.key_at), value)
        };
        section.entries.iter().map(read_one).collect()
    }

    /// As [`Section::map_of_sections`], with sections for `keys` too: the environment reaches into them, with the key in
    /// upper case and `_` for what a variable's name cannot hold.
    pub(crate) fn map_of_sections_with<T>(
        &self,
        name: &'static str,
        keys: &[String],
        read: impl Fn(&Section<'_>) -> T,
    ) -> Vec<(String, Place, T)> {
        let section = self.user_map(name);
        let written = section.entries.iter().map(|entry| entry.key.as_str());
        let all: BTreeSet<&str> = written.chain(keys.iter().map(String::as_str)).collect();
        let read_one = |key: &str| {
            let (entries, at): (&[Entry], Position) = match section.entry(key) {
                Some(entry) => (section.mapping(&entry.node, key), entry.key_at),
                None => (&[], section.at),
            };
            section.asked.borrow_mut().insert(key.to_owned());
            let inner = Section::new(self.reader, section.key(key), entries, at, self.from_environment);
            let value = read(&inner);
            inner.warn_of_unknown_keys();
            (key.to_owned(), section.place(key), value)
        };
        all.into_iter().map(read_one).collect()
    }

    fn user_map(&self, name: &'static str) -> Section<'r> {
        self.asked.borrow_mut().insert(name.to_owned());
        let variable = self.variable(name);
        if self.from_environment && self.reader.variables.get(&variable).is_some_and(|text| !text.is_empty()) {
            let fix = "write it into the file";
            self.reader.problem(
                Place::Variable(variable.clone()),
                self.key(name),
                "a map comes from the file only",
                fix,
            );
        }
        self.reader.known.borrow_mut().insert(variable);
        let (entries, at) = match self.entry(name) {
            Some(entry) => (self.mapping(&entry.node, name), entry.key_at),
            None => (self.entries.get(..0).unwrap_or_default(), self.at),
        };
        Section::new(self.reader, self.key(name), entries, at, false)
    }

    fn entry(&self, name: &str) -> Option<&'r Entry> {
        self.entries.iter().find(|entry| entry.key == name)
    }

    fn mapping(&self, node: &'r Node, name: &str) -> &'r [Entry] {
        match &node.value {
            Value::Mapping(entries) => entries,
            Value::Null => &[],
            other @ (Value::Scalar(_) | Value::Sequence(_)) => {
                let what = format!("is {}, not a section with keys of its own", other.kind());
                let place = Place::line(&self.reader.file, node.at);
                self.reader.problem(place, self.key(name), what, "put its keys under it, indented");
                &[]
            }
        }
    }

    fn variable(&self, name: &str) -> String {
        let part = |c: char| if c.is_alphanumeric() { c } else { '_' };
        format!("{PREFIX}{}", self.key(name).chars().map(part).collect::<String>().to_uppercase())
    }

    /// A single value as written: the environment's, else the file's. An empty one counts as none, as in the
    /// charts that render every key.
    pub(crate) fn raw(&self, name: &str) -> Option<Found> {
        self.asked.borrow_mut().insert(name.to_owned());
        if self.from_environment {
            let variable = self.variable(name);
            self.reader.known.borrow_mut().insert(variable.clone());
            let text = self.reader.variables.get(&variable);
            let found = text.and_then(|text| self.found(name, text, Place::Variable(variable)));
            if found.is_some() {
                return found;
            }
        }
        let node = &self.entry(name)?.node;
        let place = Place::line(&self.reader.file, node.at);
        match &node.value {
            Value::Null => None,
            Value::Scalar(text) => self.found(name, text, place),
            other @ (Value::Sequence(_) | Value::Mapping(_)) => {
                let what = format!("is {}, not a single value", other.kind());
                self.reader.problem(place, self.key(name), what, "write one value after the colon");
                None
            }
        }
    }

    /// A text as a value. Files and variables that were made with `echo` or a here-document end in a line break, which
    /// no setting has a use for: a key with one is refused by every server.
    fn found(&self, name: &str, text: &str, place: Place) -> Option<Found> {
        let kept = without_line_break(text);
        if kept.len() < text.len() {
            let fix = "the line break is left out; write the value without it";
            self.reader.warning(place.clone(), self.key(name), "ends in a line break", fix);
        }
        if kept.is_empty() { None } else { Some(Found { text: kept.to_owned(), place }) }
    }

    /// A single value, read by `parse`.
    pub(crate) fn value<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, BadValue>) -> Option<T> {
        let found = self.raw(name)?;
        match parse(&found.text) {
            Ok(value) => Some(value),
            Err(BadValue { what, fix }) => {
                self.reader.problem(found.place, self.key(name), what, fix);
                None
            }
        }
    }

    /// A list of single values, each read by `parse`; as a text, separated by commas. Empty where it is not set.
    pub(crate) fn list<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, BadValue>) -> Vec<T> {
        let read = |text: &str, place: &Place| match parse(text.trim()) {
            Ok(value) => Some(value),
            Err(BadValue { what, fix }) => {
                self.reader.problem(place.clone(), self.key(name), what, fix);
                None
            }
        };
        let from_environment = self.reader.variables.get(&self.variable(name)).is_some_and(|text| !text.is_empty());
        let node = self.entry(name).map(|entry| &entry.node).filter(|_| !(self.from_environment && from_environment));
        let Some(Node { value: Value::Sequence(items), .. }) = node else {
            let Some(Found { text, place }) = self.raw(name) else { return Vec::new() };
            return text
                .split(',')
                .filter(|part| !part.trim().is_empty())
                .filter_map(|part| read(part, &place))
                .collect();
        };
        self.asked.borrow_mut().insert(name.to_owned());
        self.reader.known.borrow_mut().insert(self.variable(name));
        let item = |node: &Node| {
            let place = Place::line(&self.reader.file, node.at);
            match &node.value {
                Value::Scalar(text) => read(text, &place),
                other => {
                    let what = format!("holds {}, not only single values", other.kind());
                    self.reader.problem(place, self.key(name), what, "write one value an item");
                    None
                }
            }
        };
        items.iter().filter_map(item).collect()
    }

    /// Passes `value` on and notes a problem if there is none because the setting is nowhere set.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>, fix: &str) -> Option<T> {
        let written = self.entry(name).is_some_and(|entry| match &entry.node.value {
            Value::Null => false,
            Value::Scalar(text) => !without_line_break(text).is_empty(),
            Value::Sequence(_) | Value::Mapping(_) => true,
        });
        if value.is_none() && !written && self.raw(name).is_none() {
            let variable = if self.from_environment {
                format!(", here or in the environment as {}", self.variable(name))
            } else {
                String::new()
            };
            let what = "is required and not set";
            self.reader.problem(self.place(name), self.key(name), what, format!("{fix}{variable}"));
        }
        value
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.raw(name).map(|found| found.text)
    }

    pub(crate) fn secret(&self, name: &str) -> Option<Secret> {
        self.raw(name).map(|found| Secret::new(found.text))
    }

    /// A path as given: relative ones are relative to the working directory.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name, |text| {
            if text == "~" || text.starts_with("~/") {
                return scalar::bad("begins with `~`, which is not expanded", "write the directory out");
            }
            Ok(PathBuf::from(text))
        })
    }

    pub(crate) fn endpoint(&self, name: &str) -> Option<Url> {
        self.value(name, scalar::endpoint)
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.value(name, scalar::boolean)
    }

    pub(crate) fn duration(&self, name: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        self.value(name, |text| {
            let value = scalar::duration(text)?;
            within_range(value, &range, text, |bound| format!("{bound:?}"))
        })
    }

    pub(crate) fn integer(&self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        self.value(name, |text| within_range(scalar::integer(text)?, &range, text, u64::to_string))
    }

    pub(crate) fn fraction(&self, name: &str) -> Option<f64> {
        self.value(name, |text| within_range(scalar::fraction(text)?, &(0.0..=1.0), text, f64::to_string))
    }

    /// One of a few words, in any case.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        self.value(name, |text| {
            if let Some((_, value)) = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
                return Ok(*value);
            }
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            let hint = did_you_mean(text, words.iter().copied());
            let fix = format!("write one of {}. {hint}", words.join(", "));
            scalar::bad(format!("{} is not known", scalar::quoted(text)), fix.trim_end_matches([' ', '.']))
        })
    }

    fn warn_of_unknown_keys(&self) {
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|entry| !asked.contains(&entry.key)) {
            let hint = did_you_mean(&entry.key, asked.iter().map(String::as_str));
            let fix =
                if hint.is_empty() { "it is ignored; remove it".to_owned() } else { format!("it is ignored; {hint}") };
            let place = Place::line(&self.reader.file, entry.key_at);
            self.reader.warning(place, self.key(&entry.key), "this key is not known", fix);
        }
    }
}

fn without_line_break(text: &str) -> &str {
    text.trim_end_matches(['\r', '\n'])
}

fn within_range<T: PartialOrd>(
    value: T,
    range: &RangeInclusive<T>,
    text: &str,
    show: impl Fn(&T) -> String,
) -> Result<T, BadValue> {
    if range.contains(&value) {
        return Ok(value);
    }
    let fix = format!("write a value from {} to {}", show(range.start()), show(range.end()));
    scalar::bad(format!("{} is out of range", scalar::quoted(text)), fix)
}
