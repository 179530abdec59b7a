//! One YAML document → a tree of [`Node`]s that know their line and column, with scalars left as written.
//!
//! Owns the syntax only: what a key means is the reader's business. Scalars stay text because a setting decides
//! what its value is, not the look of it: an access key of digits must keep its leading zero. Duplicate keys,
//! several documents and aliases that would grow without bound are refused here. Text in, tree or first error out.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// How deep mappings and lists may nest. The deepest setting is six levels down.
const DEPTH_MAX: usize = 32;
/// How many nodes a document may have once its aliases are written out: a full configuration has about 150.
const NODES_MAX: usize = 20_000;

/// A place in the file, both counted from 1; the column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    /// Where a document begins.
    pub(crate) const START: Position = Position { line: 1, column: 1 };

    fn of(marker: saphyr_parser::Marker) -> Position {
        // The parser counts lines from 1 and columns from 0.
        Position { line: marker.line().max(1), column: marker.col() + 1 }
    }
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Nothing, `null` or `~`: the same as a key that is not there.
    Null,
    /// Any other scalar, as written and without its quotes.
    Scalar(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order of the file.
    Mapping(Vec<Entry>),
}

impl Value {
    /// What to call it in a message to the author of the file.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a section with keys of its own",
        }
    }
}

impl Node {
    /// A document with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { at: Position::START, value: Value::Null }
    }
}

/// One key of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_at: Position,
    pub(crate) node: Node,
}

/// Why a text is not a usable document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) at: Position,
    pub(crate) what: String,
    pub(crate) fix: String,
}

/// Reads the one document of `text`. An empty text is [`Value::Null`].
///
/// # Errors
/// The first thing that cannot be read, with its place.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut loader = Loader { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    loader.document()
}

fn fail<T>(at: Position, what: impl Into<String>, fix: impl Into<String>) -> Result<T, SyntaxError> {
    Err(SyntaxError { at, what: what.into(), fix: fix.into() })
}

struct Loader<'t> {
    events: Parser<'t, StrInput<'t>>,
    /// Finished anchored nodes by the parser's number, with their size in nodes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'t> Loader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Position), SyntaxError> {
        match self.events.next_event() {
            None => Ok((Event::StreamEnd, Position::START)),
            Some(Ok((event, span))) => Ok((event, start_of(&span))),
            Some(Err(error)) => Err(scan_error(&error)),
        }
    }

    fn document(&mut self) -> Result<Node, SyntaxError> {
        let mut root = Node { at: Position::START, value: Value::Null };
        let mut documents = 0_usize;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if documents == 1 => {
                    return fail(at, "a second YAML document begins here", "keep one document in the file");
                }
                Event::DocumentStart(_) => documents += 1,
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                other => root = self.node(other, at, 0)?,
            }
        }
    }

    /// Builds the node that begins with `event`, reading on to its end.
    fn node(&mut self, event: Event<'t>, at: Position, depth: usize) -> Result<Node, SyntaxError> {
        if depth > DEPTH_MAX {
            return fail(at, format!("nested more than {DEPTH_MAX} levels deep"), "write it flatter");
        }
        let before = self.nodes;
        self.count(at, 1)?;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, _) => (anchor, scalar(text.into_owned(), style)),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::SequenceEnd
            | Event::MappingEnd => return fail(at, "a value is missing here", "complete the line"),
        };
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Sequence(items));
            }
            items.push(self.node(event, at, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (event, key_at) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Mapping(entries)),
                Event::Scalar(text, _, _, _) => text.into_owned(),
                _ => return fail(key_at, "a key must be plain text", "write a single word before the colon"),
            };
            refuse_key(&entries, &key, key_at)?;
            let (event, at) = self.next()?;
            let node = self.node(event, at, depth + 1)?;
            entries.push(Entry { key, key_at, node });
        }
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<Node, SyntaxError> {
        let Some((node, nodes)) = self.anchors.get(&anchor).cloned() else {
            return fail(at, "this alias refers to a value that contains it", "write the value out");
        };
        self.count(at, nodes)?;
        Ok(Node { at, value: node.value })
    }

    fn count(&mut self, at: Position, nodes: usize) -> Result<(), SyntaxError> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            return fail(at, format!("more than {NODES_MAX} values"), "this does not look like a configuration file");
        }
        Ok(())
    }
}

fn refuse_key(entries: &[Entry], key: &str, at: Position) -> Result<(), SyntaxError> {
    if key == "<<" {
        return fail(at, "merge keys (`<<`) are not read", "write the keys out");
    }
    match entries.iter().find(|entry| entry.key == key) {
        Some(first) => fail(
            at,
            format!("`{key}` is there twice, first in line {}", first.key_at.line),
            "keep one of the two: which of them counts would be a guess",
        ),
        None => Ok(()),
    }
}

fn scalar(text: String, style: ScalarStyle) -> Value {
    let plain_null = style == ScalarStyle::Plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
    if plain_null { Value::Null } else { Value::Scalar(text) }
}

fn start_of(span: &Span) -> Position {
    Position::of(span.start)
}

fn scan_error(error: &ScanError) -> SyntaxError {
    SyntaxError {
        at: Position::of(*error.marker()),
        what: format!("not readable as YAML: {}", error.info()),
        fix: "mend the syntax at this place: indentation by spaces, a space after each colon, closed quotes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Entry> {
        match parse(text).unwrap().value {
            Value::Mapping(entries) => entries,
            other => panic!("{other:?}"),
        }
    }

    fn error(text: &str) -> SyntaxError {
        parse(text).expect_err(text)
    }

    #[test]
    fn positions_count_from_one() {
        let found = entries("# head\na: 1\nsection:\n  inner: 'x y'\n");
        assert_eq!(found[0].key_at, Position { line: 2, column: 1 });
        assert_eq!(found[0].node.at, Position { line: 2, column: 4 });
        let Value::Mapping(inner) = &found[1].node.value else { panic!("{found:?}") };
        assert_eq!(inner[0].key_at, Position { line: 4, column: 3 });
        assert_eq!(inner[0].node.at, Position { line: 4, column: 10 });
    }

    #[test]
    fn scalars_keep_their_text() {
        for (text, want) in
            [("a: 007", "007"), ("a: '1e3'", "1e3"), ("a: yes", "yes"), ("a: \"~\"", "~"), ("a: ''", "")]
        {
            assert!(matches!(&entries(text)[0].node.value, Value::Scalar(found) if found == want), "{text}");
        }
        for text in ["a:", "a: ~", "a: null"] {
            assert!(matches!(entries(text)[0].node.value, Value::Null), "{text}");
        }
    }

    #[test]
    fn empty_texts_are_nothing() {
        for text in ["", "\n", "# only a comment\n", "---\n"] {
            assert!(matches!(parse(text).unwrap().value, Value::Null), "{text:?}");
        }
    }

    #[test]
    fn duplicate_keys_name_both_lines() {
        let found = error("a: 1\nb: 2\na: 3\n");
        assert_eq!(found.at, Position { line: 3, column: 1 });
        assert!(found.what.contains("line 1"), "{found:?}");
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        assert_eq!(error("a: 1\n---\nb: 2\n").at.line, 2);
        assert!(error("a: &x {b: 1}\nc:\n  <<: *x\n").what.contains("merge"));
        assert!(error("? {a: 1}\n: 2\n").what.contains("key"));
        let unclosed = error("a: 1\nb: \"open\nc: 3\n");
        assert!(unclosed.at.line >= 2, "{unclosed:?}");
        assert!(error("a:\n  b: 1\n\tc: 2\n").at.line >= 2);
    }

    #[test]
    fn aliases_are_written_out_but_not_without_bound() {
        let found = entries("a: &x {k: v}\nb: *x\n");
        assert!(matches!(&found[1].node.value, Value::Mapping(inner) if inner[0].key == "k"));
        let mut bomb = String::from("a0: &a0 {k: v}\n");
        for level in 1..20 {
            let below = level - 1;
            bomb.push_str(&format!("a{level}: &a{level} {{x: *a{below}, y: *a{below}, z: *a{below}}}\n"));
        }
        assert!(error(&bomb).what.contains("more than"));
        assert!(error("a: &x {b: *x}\n").what.contains("contains it"));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{}1{}", "{a: ".repeat(DEPTH_MAX + 1), "}".repeat(DEPTH_MAX + 1));
        assert!(error(&deep).what.contains("levels deep"));
        let fine = format!("{}1{}", "{a: ".repeat(DEPTH_MAX), "}".repeat(DEPTH_MAX));
        assert!(parse(&fine).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a-c0-1:{}\\[\\],&*'\"|># \\n\\t]{0,80}") {
            if let Err(error) = parse(&text) {
                proptest::prop_assert!(error.at.line >= 1 && error.at.column >= 1);
            }
        }
    }
}
