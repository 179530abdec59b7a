//! Escapes text from outside before people read it: messages, committers, paths, branch names, server answers.
//!
//! Without this, whoever can write a commit message could write lines into a log or a proof, or move a terminal's
//! cursor over other text. There are two measures. [`line()`] puts a field on one line when it is inserted into a text.
//! [`Printable`] filters all output for people and leaves no control character except the line end. Both write
//! `\u001b`, which is also JSON's escape in a string, so JSON output stays equivalent.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Whether a character does not show as itself: control characters of both sets, line and paragraph separators, and
/// characters that change the direction of text.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn push(char: char, text: &mut String) {
    match char {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        // All of them are in the basic plane. Writing into a String cannot fail.
        other => drop(write!(text, "\\u{:04x}", u32::from(other))),
    }
}

/// Escapes a text so that it fits on one line.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escape(text, is_hidden)
}

fn escape(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if hidden(char) { push(char, &mut escaped) } else { escaped.push(char) }
    }
    Cow::Owned(escaped)
}

/// A writer for output that people read. It escapes hidden characters except the line end.
pub struct Printable<W: Write> {
    inner: W,
    /// The first bytes of a character that is not complete yet.
    rest: Vec<u8>,
}

impl<W: Write> Printable<W> {
    /// Wraps a writer that is buffered or that receives whole lines.
    pub fn new(inner: W) -> Self {
        Self { inner, rest: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let whole;
        let bytes = if self.rest.is_empty() {
            bytes
        } else {
            whole = [std::mem::take(&mut self.rest).as_slice(), bytes].concat();
            &whole
        };
        for chunk in bytes.utf8_chunks() {
            let text = escape(chunk.valid(), |char| char != '\n' && is_hidden(char));
            self.inner.write_all(text.as_bytes())?;
            let ends_here = chunk.invalid().as_ptr_range().end == bytes.as_ptr_range().end;
            if ends_here && is_beginning(chunk.invalid()) {
                self.rest = chunk.invalid().to_vec();
            } else if !chunk.invalid().is_empty() {
                self.inner.write_all("\u{fffd}".as_bytes())?;
            }
        }
        Ok(())
    }
}

/// Whether the bytes may be the start of a character.
fn is_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}[2K\r\nb\u{9b}31m\u{202e}c\u{2028}d\u{7f}";

    #[test]
    fn a_field_is_escaped_onto_one_line() {
        assert_eq!(line(HOSTILE), r"a\u001b[2K\r\nb\u009b31m\u202ec\u2028d\u007f");
        assert!(matches!(line("caf\u{e9} \u{1f986} plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn printed_text_keeps_its_line_ends_and_no_other_control() {
        for step in 1..5 {
            let mut out = Printable::new(Vec::new());
            for piece in format!("{HOSTILE}\n\u{1f986}\u{e9}").as_bytes().chunks(step) {
                out.write_all(piece).unwrap();
            }
            let text = String::from_utf8(out.inner).unwrap();
            let expected = "a\\u001b[2K\\r\nb\\u009b31m\\u202ec\\u2028d\\u007f\n\u{1f986}\u{e9}";
            assert_eq!(text, expected, "in pieces of {step}");
        }
        let mut out = Printable::new(Vec::new());
        out.write_all(b"x\xff\xfey").unwrap();
        assert_eq!(String::from_utf8(out.inner).unwrap(), "x\u{fffd}\u{fffd}y");
    }

    #[test]
    fn escaped_json_parses_to_the_same_value() {
        let value = serde_json::json!({ "message": HOSTILE });
        let mut out = Printable::new(Vec::new());
        write!(out, "{value}").unwrap();
        assert!(!out.inner.windows(2).any(|pair| pair == [0xc2, 0x9b]));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&out.inner).unwrap(), value);
    }
}
