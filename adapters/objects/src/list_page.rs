//! S3's `ListBucketResult` XML, bytes in, [`Page`] out.
//!
//! Owns the scanner, which looks for the few elements that matter and is 25 times cheaper a key than a general
//! deserialiser; at a billion keys that decides. It does not fetch, and it does not judge the order of the keys
//! ([`Page::in_order`]). Being no XML parser it is strict instead: a document that is not exactly of the expected
//! shape (cut short, another root, markup inside a key, no `IsTruncated`) is an error, never a shorter page.
//! Format: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>.

use memchr::memmem;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::Page;

/// Why a body is not a listing page.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListPageError {
    /// The body ends before the closing tag of the listing.
    #[error("the listing was cut short after {length} bytes")]
    CutShort {
        /// Bytes received.
        length: usize,
    },
    /// A 200 answer whose body is S3's error document.
    #[error("the store answered with the error {code}")]
    StoreError {
        /// S3's error code, such as `InternalError`.
        code: String,
    },
    /// The body is something else.
    #[error("the answer is not an S3 listing")]
    NotAListing,
    /// A part of the listing is missing or malformed.
    #[error("malformed {element} at byte {offset} of the listing")]
    Malformed {
        /// The element.
        element: &'static str,
        /// Where, in bytes from the start of the body.
        offset: usize,
    },
}

const OPEN: &[u8] = b"<ListBucketResult";
const CLOSE: &[u8] = b"</ListBucketResult>";
const ENTRY: &[u8] = b"<Contents>";
const ENTRY_END: &[u8] = b"</Contents>";
/// The least that an entry with an empty key can take, to size the page's memory from the body's.
const ENTRY_LEAST: usize = 64;

/// Reads one page.
///
/// # Errors
/// [`ListPageError`]; what was read up to there is not returned.
pub fn scan(body: &[u8]) -> Result<Page, ListPageError> {
    let content_start = after_root_tag(body)?;
    let content_end = before_closing_tag(body)?;
    let content = Part { bytes: body.get(content_start..content_end).unwrap_or_default(), offset: content_start };
    let (entries, frame) = content.split_entries()?;
    frame.has_no_key()?;
    let encoded = frame.encoded()?;
    let mut page = Page::with_capacity(content.bytes.len() / ENTRY_LEAST / 4, content.bytes.len() / 8);
    page.more = frame.more()?;
    let mut decoded = String::new();
    for entry in (Entries { rest: entries }) {
        let entry = entry?;
        let size = entry.size()?;
        let cold = entry.may_be_archived()?;
        let key = entry.key(encoded, &mut decoded)?;
        if cold {
            page.push_cold(key, size);
        } else {
            page.push(key, size);
        }
    }
    Ok(page)
}

/// A part of the body and where it starts.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    bytes: &'a [u8],
    offset: usize,
}

/// What stands around the entries: some stores write `IsTruncated` before them, some after.
struct Frame<'a> {
    head: Part<'a>,
    tail: Part<'a>,
}

fn after_root_tag(body: &[u8]) -> Result<usize, ListPageError> {
    let mut at = skip_blank(body, if body.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 });
    while let Some(rest) = body.get(at..)
        && rest.starts_with(b"<?")
    {
        let Some(length) = memmem::find(rest, b"?>") else {
            return Err(ListPageError::CutShort { length: body.len() });
        };
        at = skip_blank(body, at.saturating_add(length).saturating_add(2));
    }
    let rest = body.get(at..).unwrap_or_default();
    if rest.starts_with(OPEN) {
        let Some(length) = memchr::memchr(b'>', rest) else {
            return Err(ListPageError::CutShort { length: body.len() });
        };
        return Ok(at.saturating_add(length).saturating_add(1));
    }
    Err(not_a_listing(body, rest))
}

fn not_a_listing(body: &[u8], rest: &[u8]) -> ListPageError {
    if OPEN.starts_with(rest) {
        return ListPageError::CutShort { length: body.len() };
    }
    let part = Part { bytes: rest, offset: 0 };
    match part.element("Code", b"<Code>", b"</Code>") {
        Ok(Some(code)) if rest.starts_with(b"<Error") => {
            ListPageError::StoreError { code: String::from_utf8_lossy(code.bytes).chars().take(64).collect() }
        }
        _ => ListPageError::NotAListing,
    }
}

fn before_closing_tag(body: &[u8]) -> Result<usize, ListPageError> {
    body.trim_ascii_end().strip_suffix(CLOSE).map(<[u8]>::len).ok_or(ListPageError::CutShort { length: body.len() })
}

fn skip_blank(body: &[u8], from: usize) -> usize {
    let blank = body.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    from.saturating_add(blank)
}

impl<'a> Part<'a> {
    fn sub(self, from: usize, to: usize) -> Self {
        Self { bytes: self.bytes.get(from..to).unwrap_or_default(), offset: self.offset.saturating_add(from) }
    }

    fn malformed(self, element: &'static str) -> ListPageError {
        ListPageError::Malformed { element, offset: self.offset }
    }

    /// From the first entry's opening tag to behind the last one's closing tag, and what stands around.
    fn split_entries(self) -> Result<(Self, Frame<'a>), ListPageError> {
        let length = self.bytes.len();
        let first = memmem::find(self.bytes, ENTRY);
        let last = memmem::rfind(self.bytes, ENTRY_END);
        match (first, last) {
            (None, None) => {
                let nothing = self.sub(length, length);
                Ok((nothing, Frame { head: self, tail: nothing }))
            }
            (Some(first), Some(last)) if first < last => {
                let end = last.saturating_add(ENTRY_END.len());
                Ok((self.sub(first, end), Frame { head: self.sub(0, first), tail: self.sub(end, length) }))
            }
            _ => Err(self.malformed("Contents")),
        }
    }

    /// The text of the first element of that name, or `None` where there is no such element.
    fn element(self, name: &'static str, open: &[u8], close: &[u8]) -> Result<Option<Self>, ListPageError> {
        let Some(found) = memmem::find(self.bytes, open) else { return Ok(None) };
        let start = found.saturating_add(open.len());
        let text = self.sub(start, self.bytes.len());
        let length = memchr::memchr(b'<', text.bytes).ok_or(text.malformed(name))?;
        if !text.bytes.get(length..).unwrap_or_default().starts_with(close) {
            return Err(text.malformed(name));
        }
        Ok(Some(text.sub(0, length)))
    }

    fn size(self) -> Result<u64, ListPageError> {
        let text = self.element("Size", b"<Size>", b"</Size>")?.ok_or(self.malformed("Size"))?;
        let digits = std::str::from_utf8(text.bytes).map_err(|_| text.malformed("Size"))?;
        digits.trim().parse().map_err(|_| text.malformed("Size"))
    }

    /// A listing has the class, and neither whether a copy was restored nor the tier of `INTELLIGENT_TIERING`.
    fn may_be_archived(self) -> Result<bool, ListPageError> {
        let class = self.element("StorageClass", b"<StorageClass>", b"</StorageClass>")?;
        Ok(class.is_some_and(|class| {
            matches!(class.bytes.trim_ascii(), b"GLACIER" | b"DEEP_ARCHIVE" | b"INTELLIGENT_TIERING")
        }))
    }

    fn key<'b>(self, encoded: bool, decoded: &'b mut String) -> Result<&'b str, ListPageError>
    where
        'a: 'b,
    {
        let text = self.element("Key", b"<Key>", b"</Key>")?.ok_or(self.malformed("Key"))?;
        let key = std::str::from_utf8(text.bytes).map_err(|_| text.malformed("Key"))?;
        if memchr::memchr3(b'&', b'%', b'+', text.bytes).is_none() {
            return Ok(key);
        }
        decoded.clear();
        unescape(key, decoded).ok_or(text.malformed("Key"))?;
        if encoded {
            *decoded = url_decode(decoded).ok_or(text.malformed("Key"))?;
        }
        Ok(decoded)
    }
}

impl Frame<'_> {
    fn element(&self, name: &'static str, open: &[u8], close: &[u8]) -> Result<Option<Part<'_>>, ListPageError> {
        match self.head.element(name, open, close)? {
            Some(text) => Ok(Some(text)),
            None => self.tail.element(name, open, close),
        }
    }

    /// An entry whose own tags are damaged would stand outside of all entries.
    fn has_no_key(&self) -> Result<(), ListPageError> {
        for part in [self.head, self.tail] {
            if memmem::find(part.bytes, b"<Key>").is_some() {
                return Err(part.malformed("Contents"));
            }
        }
        Ok(())
    }

    fn more(&self) -> Result<bool, ListPageError> {
        let missing = self.tail.malformed("IsTruncated");
        let text = self.element("IsTruncated", b"<IsTruncated>", b"</IsTruncated>")?.ok_or(missing)?;
        match text.bytes.trim_ascii() {
            b"true" => Ok(true),
            b"false" => Ok(false),
            _ => Err(text.malformed("IsTruncated")),
        }
    }

    /// Whether the keys are percent-encoded, which only the answer can say: not every store does as it is asked.
    fn encoded(&self) -> Result<bool, ListPageError> {
        let text = self.element("EncodingType", b"<EncodingType>", b"</EncodingType>")?;
        match text {
            None => Ok(false),
            Some(text) if text.bytes.eq_ignore_ascii_case(b"url") => Ok(true),
            Some(text) => Err(text.malformed("EncodingType")),
        }
    }
}

/// Walks the `Contents` elements; between them there may only be blanks.
struct Entries<'a> {
    rest: Part<'a>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Part<'a>, ListPageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_blank(self.rest.bytes, 0);
        let rest = self.rest.sub(start, self.rest.bytes.len());
        if rest.bytes.is_empty() {
            return None;
        }
        // After an error nothing follows.
        self.rest = self.rest.sub(self.rest.bytes.len(), self.rest.bytes.len());
        let Some(inner) = rest.bytes.strip_prefix(ENTRY) else { return Some(Err(rest.malformed("Contents"))) };
        let Some(length) = memmem::find(inner, ENTRY_END) else { return Some(Err(rest.malformed("Contents"))) };
        let begin = ENTRY.len();
        let end = begin.saturating_add(length);
        let entry = rest.sub(begin, end);
        if memmem::find(entry.bytes, ENTRY).is_some() {
            // One closing tag is missing: this would be two entries taken for one.
            return Some(Err(rest.malformed("Contents")));
        }
        self.rest = rest.sub(end.saturating_add(ENTRY_END.len()), rest.bytes.len());
        Some(Ok(entry))
    }
}

/// Undoes XML's escapes: the five names and numbers. Any other `&` is an error.
fn unescape(text: &str, into: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('&') {
        let (name, tail) = escape.split_once(';')?;
        into.push_str(plain);
        into.push(escaped_character(name)?);
        rest = tail;
    }
    into.push_str(rest);
    Some(())
}

fn escaped_character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Undoes `encoding-type=url`: `+` is a blank, `%XX` a byte.
fn url_decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
