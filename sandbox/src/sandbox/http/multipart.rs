//! Extracts the one relevant part of a `multipart/form-data` upload while the body is streamed.
//!
//! A state machine that takes chunks and returns the bytes of the content. It buffers at most the length of a boundary.

/// Maximum size of the header of a part.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Finds the part named `content`.
#[derive(Debug)]
pub(super) struct Content {
    delimiter: Vec<u8>,
    held: Vec<u8>,
    state: State,
    media: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a delimiter.
    Skip,
    /// In the header of a part.
    Head,
    /// In the content.
    Take,
    /// After the content.
    Done,
}

impl Content {
    /// Extracts from a body with this boundary.
    pub(super) fn new(boundary: &str) -> Self {
        // The first delimiter has no line end before it. The buffer starts with one, so that all delimiters look the
        // same.
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            held: b"\r\n".to_vec(),
            state: State::Skip,
            media: None,
        }
    }

    /// The boundary in a content type, if it is a form's.
    pub(super) fn boundary(content_type: &str) -> Option<Option<String>> {
        let (media, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
        if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let named = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="));
        Some(named.map(|value| value.trim_matches('"').to_owned()))
    }

    /// The content's media type, after its header was read.
    pub(super) fn media(&self) -> Option<&str> {
        self.media.as_deref()
    }

    /// Whether the content was read completely.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next bytes of the body and returns those of the content.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let mut content = Vec::new();
        while self.step(&mut content) {}
        content
    }

    /// One step; false when more bytes are needed.
    fn step(&mut self, content: &mut Vec<u8>) -> bool {
        match self.state {
            State::Done => {
                self.held.clear();
                false
            }
            State::Head => self.head(),
            State::Skip | State::Take => {
                let found = find(&self.held, &self.delimiter);
                let safe = self.held.len().saturating_sub(self.delimiter.len() - 1);
                let passed: Vec<u8> = self.held.drain(..found.unwrap_or(safe)).collect();
                if self.state == State::Take {
                    content.extend(passed);
                }
                if found.is_none() {
                    return false;
                }
                self.held.drain(..self.delimiter.len());
                self.state = if self.state == State::Take { State::Done } else { State::Head };
                true
            }
        }
    }

    fn head(&mut self) -> bool {
        let Some(end) = find(&self.held, b"\r\n\r\n") else {
            if self.held.len() > HEAD_BYTES_MAX || self.held.starts_with(b"--") {
                self.state = State::Skip;
                self.held.clear();
            }
            return false;
        };
        let head: Vec<u8> = self.held.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let line = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let named = line("content-disposition").is_some_and(|value| {
            value.split(';').any(|part| matches!(part.trim(), "name=\"content\"" | "name=content"))
        });
        // Empty content is directly followed by the next delimiter, whose line end was read as part of the header.
        self.held.splice(..0, if named { Vec::new() } else { b"\r\n".to_vec() });
        self.state = if named { State::Take } else { State::Skip };
        if named {
            self.media = Some(line("content-type").unwrap_or_default());
        }
        true
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(content: &str) -> String {
        let first = "--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nnot this\r\n";
        let head = "--B\r\ncontent-disposition: form-data; name=\"content\"; filename=\"f\"\r\nContent-Type: text/csv";
        format!("{first}{head}\r\n\r\n{content}\r\n--B--\r\n")
    }

    #[test]
    fn the_content_is_found_however_the_body_is_cut() {
        for content in ["", "abc", "a\r\n--Bogus\r\n-", "\r\n"] {
            let body = body(content).replace("--Bogus", "-Bogus");
            let content = content.replace("--Bogus", "-Bogus");
            for step in 1..=body.len() {
                let mut machine = Content::new("B");
                let found: Vec<u8> = body.as_bytes().chunks(step).flat_map(|chunk| machine.feed(chunk)).collect();
                assert_eq!(String::from_utf8(found).unwrap(), content, "steps of {step}");
                assert!(machine.is_complete());
                assert_eq!(machine.media(), Some("text/csv"));
            }
        }
    }

    #[test]
    fn a_body_cut_short_is_not_complete() {
        let body = body("abc");
        let mut machine = Content::new("B");
        machine.feed(&body.as_bytes()[..body.len() - 12]);
        assert!(!machine.is_complete());
    }

    #[test]
    fn boundaries_are_read_from_the_content_type() {
        assert_eq!(Content::boundary("multipart/form-data; boundary=\"a b\""), Some(Some("a b".into())));
        assert_eq!(Content::boundary("multipart/form-data"), Some(None));
        assert_eq!(Content::boundary("text/plain; boundary=x"), None);
    }
}
