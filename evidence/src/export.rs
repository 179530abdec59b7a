//! Exports a journal as lines, one per record, such that a missing or changed line is detected.
//!
//! `jsonl` is exact: `import` rebuilds the journal from it. `csv` is for spreadsheets. This module decides which
//! records are exported and in which order; `line` defines the lines and `fields` the fields. Output is written while
//! the journal is read, so memory is one record.

pub mod csv;
pub mod fields;
pub mod line;

use std::io::{self, Write};

use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused};

use self::line::{EXPORT_VERSION, FrameLine, Header, Line, Trailer};
use super::begin::not_at_hand;
use super::point::PointInTime;
use super::{EvidenceError, Source, output_failed};

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object per line; exact.
    Jsonl,
    /// For spreadsheets.
    Csv,
}

/// Which records to export; all of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first record, or the first one committed at this time or later.
    pub from: Option<PointInTime>,
    /// The last record, or the last one before the first that was committed after this time.
    pub to: Option<PointInTime>,
}

impl Span {
    fn is_whole(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    fn begins(&self, seq: u64, frame: &FrameInfo) -> bool {
        match self.from {
            None => true,
            Some(PointInTime::Seq(from)) => seq >= from,
            Some(PointInTime::At(ms)) => frame.wall_ms >= ms,
        }
    }
}

/// What was exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exported {
    /// Number of records.
    pub records: u64,
    /// The first record that is available.
    pub begins_at: u64,
}

/// Writes the available records of `span`.
///
/// # Errors
/// As for every read; [`EvidenceError::Output`] if writing failed; [`EvidenceError::NotSeen`] for a span that ends
/// before the available records.
pub fn export(source: &Source, span: &Span, form: Form, out: &mut dyn Write) -> Result<Exported, EvidenceError> {
    // The first line contains the journal's id, which a scan knows after its first frame.
    let mut first = First(None);
    let scan = source.read_oldest(&mut first)?;
    let begins_at = scan.proven_from.max(1);
    let ends_before = span.to.zip(first.0).is_some_and(|(to, frame)| !to.includes(frame.first_seq, &frame));
    if begins_at > 1 && ends_before {
        let text = format!("the span ends before record {begins_at}: {}", not_at_hand(begins_at));
        return Err(EvidenceError::NotSeen(text));
    }
    let whole = span.is_whole() && begins_at == 1;
    let header = Header {
        lakemirror_export: EXPORT_VERSION,
        journal_uuid: hex::encode(scan.uuid),
        created_ms: scan.created_ms,
        whole,
        begins_at,
    };
    let trailer = Trailer {
        lakemirror_export_end: EXPORT_VERSION,
        journal_uuid: header.journal_uuid.clone(),
        created_ms: header.created_ms,
        records: 0,
        frames: 0,
        segments: 0,
        last_seq: 0,
        head_hash: None,
        checks_total: 0,
    };
    let mut export = Export { span, form, out, begun: false, segment: 0, trailer };
    export.head(&header).map_err(EvidenceError::Output)?;
    source.read_oldest(&mut export)?;
    export.tail().map_err(EvidenceError::Output)?;
    Ok(Exported { records: export.trailer.records, begins_at })
}

/// Stops after the first frame.
struct First(Option<FrameInfo>);

impl Replay for First {
    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0 = Some(*frame);
        Err(ReplayRefused::stop())
    }

    fn record(&mut self, _: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }
}

struct Export<'a> {
    span: &'a Span,
    form: Form,
    out: &'a mut dyn Write,
    begun: bool,
    segment: u64,
    trailer: Trailer,
}

impl Replay for Export<'_> {
    fn record(&mut self, seq: u64, record: RawRecord<'_>, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        if self.span.to.is_some_and(|to| !to.includes(seq, frame)) {
            return Err(ReplayRefused::stop());
        }
        // A clock that went back does not end a span that has begun.
        self.begun |= self.span.begins(seq, frame);
        if !self.begun {
            return Ok(());
        }
        let line = Line::of(seq, &record, frame);
        self.count(seq, &line.frame);
        match self.form {
            Form::Jsonl => self.json(&line),
            Form::Csv => csv::line(&line, self.out),
        }
        .map_err(output_failed)
    }
}

impl Export<'_> {
    fn count(&mut self, seq: u64, frame: &FrameLine) {
        let trailer = &mut self.trailer;
        trailer.segments += u64::from(self.segment != frame.segment);
        self.segment = frame.segment;
        trailer.frames += u64::from(trailer.head_hash.as_ref() != Some(&frame.hash));
        trailer.records += 1;
        trailer.last_seq = seq;
        trailer.head_hash = Some(frame.hash.clone());
        trailer.checks_total = frame.checks_total;
    }

    fn json<T: serde::Serialize>(&mut self, line: &T) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, line).map_err(io::Error::from)?;
        self.out.write_all(b"\n")
    }

    fn head(&mut self, header: &Header) -> io::Result<()> {
        match self.form {
            Form::Jsonl => self.json(header),
            Form::Csv => csv::head(self.out),
        }
    }

    fn tail(&mut self) -> io::Result<()> {
        let trailer = self.trailer.clone();
        match self.form {
            Form::Jsonl => self.json(&trailer),
            Form::Csv => csv::tail(&trailer, self.out),
        }
    }
}
