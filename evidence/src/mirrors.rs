//! Selects mirrors by name or by incarnation, and builds the message if the journal does not contain one.
//!
//! A name may have had several incarnations. A name selects all of them, an id or its prefix selects one. Definitions
//! are added, and matched, as they are read from the journal.

use std::collections::BTreeMap;

use lakemirror_core::ids::Incarnation;
use lakemirror_journal::event::MirrorDefinedV1;

use lakemirror_core::suggest::did_you_mean;

/// Minimum number of digits of an incarnation; fewer could be a name by chance.
const ID_DIGITS_MIN: usize = 8;
/// Maximum number of names that a message lists.
const LISTED_MAX: usize = 10;

/// The mirrors defined so far, and which of them are selected.
#[derive(Debug, Clone)]
pub struct Wanted {
    text: String,
    known: BTreeMap<Incarnation, String>,
    matched: BTreeMap<Incarnation, String>,
}

impl Wanted {
    /// Selects by `text`: the name of a mirror, or at least 8 digits of an incarnation.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), known: BTreeMap::new(), matched: BTreeMap::new() }
    }

    /// Adds a definition. Returns whether it is selected.
    pub fn define(&mut self, defined: &MirrorDefinedV1) -> bool {
        self.add(defined.mirror, &defined.name)
    }

    /// As [`Wanted::define`], with the parts of a definition.
    pub fn add(&mut self, mirror: Incarnation, name: &str) -> bool {
        self.known.insert(mirror, name.to_owned());
        let meant = name == self.text || is_beginning(&self.text, mirror);
        if meant {
            self.matched.insert(mirror, name.to_owned());
        }
        meant
    }

    /// The name of the mirror, if it is selected.
    #[must_use]
    pub fn name(&self, mirror: &Incarnation) -> Option<&str> {
        self.matched.get(mirror).map(String::as_str)
    }

    /// All selected mirrors.
    pub fn matched(&self) -> impl Iterator<Item = (&Incarnation, &str)> {
        self.matched.iter().map(|(id, name)| (id, name.as_str()))
    }

    /// The message if none is selected.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        if !self.matched.is_empty() {
            return None;
        }
        let what = format!("the journal has no mirror {:?}", self.text);
        Some(never_seen(&what, &self.text, self.known.values().map(String::as_str)))
    }
}

fn is_beginning(text: &str, mirror: Incarnation) -> bool {
    text.len() >= ID_DIGITS_MIN && mirror.to_string().starts_with(text)
}

/// The message that something is not in the journal, with the names that are.
#[must_use]
pub fn never_seen<'a>(what: &str, asked: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = known.collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return format!("{what}; it has none");
    }
    let nearest = did_you_mean(asked, names.iter().copied());
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    let rest = if more > 0 { format!(", and {more} more") } else { String::new() };
    let has = if nearest.is_empty() { "; it has".to_owned() } else { format!(": {nearest} It has") };
    format!("{what}{has} {}{rest}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_beginnings_of_ids_match() {
        let mirror = Incarnation([0xab; 16]);
        for (text, meant) in
            [("lake", true), ("abababab", true), ("ababab", false), ("lak", false), (&"ab".repeat(16), true)]
        {
            assert_eq!(Wanted::new(text).add(mirror, "lake"), meant, "{text}");
        }
    }

    #[test]
    fn what_is_there_is_said() {
        let text = never_seen("no mirror \"smaple\"", "smaple", ["zebra", "sample", "other"].into_iter());
        assert_eq!(text, "no mirror \"smaple\": did you mean `sample`? It has other, sample, zebra");
        assert_eq!(never_seen("no branch", "x", [].into_iter()), "no branch; it has none");
        let many: Vec<String> = (0..12).map(|n| format!("m{n:02}")).collect();
        let text = never_seen("x", "qqqqqqq", many.iter().map(String::as_str));
        assert!(text.starts_with("x; it has m00, m01") && text.ends_with(", and 2 more"), "{text}");
    }
}
