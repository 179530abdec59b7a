//! Rebuilds a journal from an export: the same records in the same frames, so that every hash is the original one.
//!
//! Reads the lines and refuses an incomplete export. Each line is compared with its frame, each frame's hash is
//! recomputed from the payloads, the frames must form a chain that starts at the journal's id, and the last line must
//! agree with the totals. The fields next to a payload are for people; if they do not agree with the payload, the line
//! was edited and is refused. Memory is one frame and one line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use lakemirror_journal::log::{FRAME_BYTES_LIMIT, ImportError, Importer, NewJournal, Position, RawRecord, Stamp};
use serde::de::DeserializeOwned;

use super::export::line::{EXPORT_VERSION, FrameLine, Header, Line, Trailer};

/// Maximum length of a line.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Why no journal was created.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// Which file.
        path: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A line is not valid.
    #[error("line {line} of {path}: {what}; no journal was made")]
    Line {
        /// Which line, from 1.
        line: u64,
        /// Which file.
        path: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The journal cannot be written.
    #[error("the journal cannot be created")]
    Journal(#[source] ImportError),
}

/// What was imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The journal's id.
    pub uuid: [u8; 16],
    /// Number of records.
    pub records: u64,
    /// Number of frames.
    pub frames: u64,
    /// The end of the chain.
    pub head: Position,
}

/// Creates the journal of which `file` is an export in `dir`, which must be empty or missing.
///
/// # Errors
/// [`Refused`]; `dir` is then left empty.
pub fn import(file: &Path, dir: &Path) -> Result<Imported, Refused> {
    let path = file.display().to_string();
    let opened = File::open(file).map_err(|source| Refused::Unreadable { path: path.clone(), source })?;
    let mut lines = Lines { path, input: BufReader::new(opened), number: 0, buffer: Vec::new() };
    let (header, identity) = header(&mut lines)?;
    let importer = Importer::begin(dir, identity).map_err(Refused::Journal)?;
    let mut import =
        Import { importer, records: Vec::new(), frame: None, bytes: 0, count: 0, frames: 0, segment: 0, segments: 0 };
    let trailer = loop {
        let text = lines.next()?;
        let Some(text) = text else {
            return Err(lines.cut());
        };
        let is_record = text.starts_with(b"{\"seq\":");
        match is_record {
            true => {
                let line: Line = parse(text).map_err(|what| lines.refuse(what))?;
                import.take(line).map_err(|fault| lines.because(fault))?;
            }
            false => break parse::<Trailer>(text).map_err(|what| lines.refuse(what))?,
        }
    };
    import.check_end(&header, &trailer).map_err(|fault| lines.because(fault))?;
    if lines.next()?.is_some() {
        return Err(lines.refuse("something follows the last line of the export".to_owned()));
    }
    let (records, frames) = (import.count, import.frames);
    let head = import.importer.finish().map_err(Refused::Journal)?;
    Ok(Imported { uuid: identity.uuid, records, frames, head })
}

fn header(lines: &mut Lines) -> Result<(Header, NewJournal), Refused> {
    let Some(text) = lines.next()? else {
        return Err(lines.refuse("the file is empty".to_owned()));
    };
    if text.starts_with(b"seq,") {
        let what = "this is an export for spreadsheets, without payloads: export with --format jsonl";
        return Err(lines.refuse(what.to_owned()));
    }
    let header: Header =
        parse(text).map_err(|what| lines.refuse(format!("this is not an export of a journal ({what})")))?;
    if header.lakemirror_export != EXPORT_VERSION {
        let what = format!(
            "an export of version {}, and this version of lakemirror knows {EXPORT_VERSION}: use the one that wrote it",
            header.lakemirror_export
        );
        return Err(lines.refuse(what));
    }
    if !header.whole {
        let what = "an export of a part of a journal (--from, --to, or earlier records were dropped) cannot become one: export all of it, with --archive for what was dropped";
        return Err(lines.refuse(what.to_owned()));
    }
    let mut uuid = [0; 16];
    let read = hex::decode_to_slice(&header.journal_uuid, &mut uuid);
    read.map_err(|_| lines.refuse("the journal's id is not 32 hexadecimal digits".to_owned()))?;
    let wall_ms = header.created_ms;
    Ok((header, NewJournal { uuid, wall_ms }))
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|error| format!("the line is cut or damaged ({error})"))
}

/// The lines of the file.
struct Lines {
    path: String,
    input: BufReader<File>,
    number: u64,
    buffer: Vec<u8>,
}

impl Lines {
    fn next(&mut self) -> Result<Option<&[u8]>, Refused> {
        self.buffer.clear();
        let read = self.input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer);
        let got = read.map_err(|source| Refused::Unreadable { path: self.path.clone(), source })?;
        if got == 0 {
            return Ok(None);
        }
        self.number += 1;
        match self.buffer.strip_suffix(b"\n") {
            Some(text) => Ok(Some(text)),
            None => Err(self.refuse("the line has no end: the file was cut here".to_owned())),
        }
    }

    fn refuse(&self, what: String) -> Refused {
        Refused::Line { line: self.number, path: self.path.clone(), what }
    }

    fn cut(&self) -> Refused {
        self.refuse("the file ends here without the last line of an export: it was cut".to_owned())
    }

    fn because(&self, fault: Fault) -> Refused {
        match fault {
            Fault::Line(what) => self.refuse(what),
            Fault::Journal(error @ (ImportError::Io { .. } | ImportError::Exists { .. })) => Refused::Journal(error),
            Fault::Journal(error) => self.refuse(error.to_string()),
        }
    }
}

enum Fault {
    Line(String),
    Journal(ImportError),
}

struct Import {
    importer: Importer,
    records: Vec<(u16, u16, Vec<u8>)>,
    frame: Option<FrameLine>,
    bytes: usize,
    count: u64,
    frames: u64,
    segment: u64,
    segments: u64,
}

impl Import {
    fn take(&mut self, line: Line) -> Result<(), Fault> {
        let line_fault = |what: String| Err(Fault::Line(what));
        let expected = self.count + 1;
        if line.seq != expected {
            return line_fault(format!(
                "record {} where {expected} follows: a line is missing, doubled or moved",
                line.seq
            ));
        }
        let Some(payload) = line.bytes() else {
            return line_fault(format!("the payload of record {} is not base64", line.seq));
        };
        if !line.agrees(&payload) {
            return line_fault(format!(
                "the fields of record {} are not those of its payload: one of them was changed",
                line.seq
            ));
        }
        let first = self.frame.get_or_insert_with(|| line.frame.clone());
        if *first != line.frame {
            return line_fault(format!(
                "record {} says another frame than the records before it in that frame",
                line.seq
            ));
        }
        self.bytes = self.bytes.saturating_add(payload.len());
        if self.bytes > FRAME_BYTES_LIMIT {
            return line_fault("the records of this frame are more than a frame can hold".to_owned());
        }
        self.records.push((line.kind, line.version, payload));
        self.count = expected;
        if line.seq >= line.frame.last_seq { self.end_frame() } else { Ok(()) }
    }

    fn end_frame(&mut self) -> Result<(), Fault> {
        let Some(frame) = self.frame.take() else { return Ok(()) };
        let payloads = std::mem::take(&mut self.records);
        self.bytes = 0;
        let (Some(state_digest), Some(prev_hash)) = (frame.digest(), frame.hash_before()) else {
            return Err(Fault::Line("a hash or digest of the frame is not hexadecimal of the right length".to_owned()));
        };
        let stamp = Stamp {
            first_seq: frame.first_seq,
            writer_epoch: frame.writer_epoch,
            checks_total: frame.checks_total,
            wall_ms: frame.committed_ms,
            state_digest,
            prev_hash,
        };
        let records: Vec<RawRecord<'_>> = payloads
            .iter()
            .map(|(kind, version, payload)| RawRecord { kind: *kind, version: *version, payload })
            .collect();
        let hash = self.importer.frame(&stamp, &records, frame.segment).map_err(Fault::Journal)?;
        if hex::encode(hash) != frame.hash {
            return Err(Fault::Line(format!(
                "the frame of records {} to {} does not have the hash that it states: one of its lines was changed",
                frame.first_seq, frame.last_seq
            )));
        }
        self.frames += 1;
        self.segments += u64::from(self.segment != frame.segment);
        self.segment = frame.segment;
        Ok(())
    }

    fn check_end(&self, header: &Header, trailer: &Trailer) -> Result<(), Fault> {
        let ends = (EXPORT_VERSION, &header.journal_uuid, header.created_ms, self.segments);
        let said = (trailer.lakemirror_export_end, &trailer.journal_uuid, trailer.created_ms, trailer.segments);
        if ends != said {
            let what = "the last line does not belong to the first one, or to the records between";
            return Err(Fault::Line(what.to_owned()));
        }
        let head = self.importer.position();
        let hash = (self.count > 0).then(|| hex::encode(head.hash));
        let found = (self.count, self.frames, head.last_seq, hash, head.checks_total);
        let said = (trailer.records, trailer.frames, trailer.last_seq, trailer.head_hash.clone(), trailer.checks_total);
        if self.frame.is_some() || found != said {
            return Err(Fault::Line(format!(
                "the export says {} records up to {}, and {} are there: lines before this one are missing",
                trailer.records, trailer.last_seq, self.count
            )));
        }
        Ok(())
    }
}
