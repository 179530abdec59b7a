//! Formats an error and its causes as one text.
//!
//! The messages of our own errors do not repeat their source, so the whole chain is shown.

use std::error::Error;

/// Joins an error and its causes with colons.
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

/// Joins the error of a foreign crate and its causes, without repetitions, in one line of at most `max` bytes.
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
    fn repeated_causes_appear_once_and_the_length_is_bounded() {
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
