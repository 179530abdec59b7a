//! An error and its causes as one text.
//!
//! Messages of our own errors do not repeat their source, so all of them are shown, one after the other.

use std::error::Error;

/// An error and its causes, joined by colons.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// An error of a foreign crate and its causes, each once, in one line of at most `max` bytes.
#[must_use]
pub fn bounded(error: &dyn Error, max: usize) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause
        && message.len() < max
    {
        let text = error.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = error.source();
    }
    message.truncate(message.floor_char_boundary(max));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 600;

    #[test]
    fn causes_are_told_once_and_in_bounded_length() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Layer {
            text: String,
            source: Option<Box<Layer>>,
        }
        let layer = |text: &str, source: Option<Layer>| Layer { text: text.into(), source: source.map(Box::new) };
        assert_eq!(bounded(&layer("a", Some(layer("b", Some(layer("b", None))))), MAX), "a: b");
        let long = bounded(&layer(&"é".repeat(1000), Some(layer("x", None))), MAX);
        assert!(long.len() <= MAX);
    }
}
