//! `lakemirror sst FILE…`: what lakeFS metadata files hold, as JSON lines.
//!
//! Owns the command's output and verdict; all reading is [`lakemirror_graveler`]'s. Records are printed while they are
//! read, one line each, then one line for the file. Files that fail do not keep later ones from being printed.
//!
//! A record: `{"file", "ordinal", "key", "identity", "entry" | "range" | "data"}`. Keys are texts; one that is not
//! UTF-8 is `{"hex": "…"}` instead, so that nothing is lost. `data` is the raw message, in hexadecimal digits, of
//! files that hold neither entries nor ranges (dumps of refs). A record's `problem` says what is wrong with it.
//!
//! A file: `{"file", "type", "recorded_id", "computed_id", "records", "properties", "ok", "problem"}`; `recorded_id` is
//! the file's name without folders and extension. A name that is not an id cannot match, and counts as a mismatch.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::{Exit, Failure};
use crate::cli::output;
use lakemirror_graveler::content::ContentHash;
use lakemirror_graveler::entry::{Entry, EntryRef};
use lakemirror_graveler::metarange::{self, RangeInfo, RangeOrder};
use lakemirror_graveler::table::{Record, Table};
use lakemirror_graveler::value::Value;
use lakemirror_graveler::{Problem, limits, range};

/// What to print.
#[derive(Debug, Args)]
pub(super) struct SstArguments {
    /// Metadata files, named by their ids as under `_lakefs/`
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
}

/// Prints every file; [`Exit::CheckFailed`] where an id is not the file's name or anything in one is damaged.
pub(super) fn sst(arguments: &SstArguments) -> Result<Exit, Failure> {
    let good = run(&arguments.files, &mut io::BufWriter::new(output::stdout())).map_err(Failure::Output)?;
    Ok(if good { Exit::Ok } else { Exit::CheckFailed })
}

/// Prints every file. `false` where a file is unreadable, damaged, or not the one that its name says.
///
/// # Errors
/// Writing failed. A reader that has gone away is no error: printing ends, and the verdict is that on what was printed.
pub(super) fn run(files: &[PathBuf], out: &mut dyn Write) -> io::Result<bool> {
    let mut good = true;
    for file in files {
        match print_file(file, out) {
            Ok(ok) => good &= ok,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(good),
            Err(error) => return Err(error),
        }
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(good),
    }
}

/// What the last line says of a file.
#[derive(Default)]
struct Summary {
    kind: Option<String>,
    computed_id: Option<String>,
    records: u64,
    properties: Map<String, Json>,
    /// The first problem found.
    problem: Option<String>,
}

impl Summary {
    fn note(&mut self, problem: impl ToString) {
        self.problem.get_or_insert_with(|| problem.to_string());
    }
}

fn print_file(path: &Path, out: &mut dyn Write) -> io::Result<bool> {
    let name = path.display().to_string();
    let recorded = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut summary = Summary::default();
    match load(path) {
        Ok(bytes) => print_records(&name, bytes, &mut summary, out)?,
        Err(error) => summary.note(format_args!("cannot read the file: {error}")),
    }
    if summary.computed_id.as_ref().is_some_and(|computed| *computed != recorded) {
        summary.note("the file's name is not the id of its contents");
    }
    let ok = summary.problem.is_none();
    let line = json!({
        "file": name,
        "type": summary.kind,
        "recorded_id": recorded,
        "computed_id": summary.computed_id,
        "records": summary.records,
        "properties": summary.properties,
        "ok": ok,
        "problem": summary.problem,
    });
    writeln!(out, "{line}")?;
    Ok(ok)
}

/// Reads a file up to just above the limit, which the table then reports.
fn load(path: &Path) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limits::FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn print_records(file: &str, bytes: Bytes, summary: &mut Summary, out: &mut dyn Write) -> io::Result<()> {
    let table = match Table::open(bytes) {
        Ok(table) => table,
        Err(damage) => {
            summary.note(damage);
            return Ok(());
        }
    };
    let properties = table.properties();
    summary.kind = Some(String::from_utf8_lossy(properties.kind()).into_owned());
    summary.properties =
        properties.user.iter().map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), text(value))).collect();
    let kind = Kind::of(properties.kind(), properties.user.contains_key(b"entity".as_slice()));
    if kind == Kind::Other && properties.kind() != range::KIND.as_bytes() {
        summary.note(format_args!("the file's type is neither {} nor {}", range::KIND, metarange::KIND));
    }
    let (mut hash, mut order, mut records) = (ContentHash::new(), RangeOrder::default(), table.records());
    loop {
        let record = match records.next() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(damage) => {
                summary.note(damage);
                return Ok(());
            }
        };
        hash.record(record.key, record.value);
        let mut line = Map::new();
        line.insert("file".to_owned(), file.into());
        line.insert("ordinal".to_owned(), summary.records.into());
        line.insert("key".to_owned(), text(record.key));
        if let Err(problem) = describe(&record, kind, &mut order, &mut line) {
            line.insert("problem".to_owned(), problem.to_string().into());
            summary.note(record.damage(problem));
        }
        writeln!(out, "{}", Json::from(line))?;
        summary.records += 1;
    }
    summary.computed_id = Some(hex::encode(hash.finish(&properties.user)));
    Ok(())
}

/// What a file's records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entries,
    Ranges,
    Other,
}

impl Kind {
    /// Dumps of refs are of lakeFS's two types as well, and say by an `entity` property that they hold no entries.
    fn of(kind: &[u8], has_entity: bool) -> Self {
        match kind {
            kind if kind == metarange::KIND.as_bytes() => Self::Ranges,
            kind if kind == range::KIND.as_bytes() && !has_entity => Self::Entries,
            _ => Self::Other,
        }
    }
}

fn describe(
    record: &Record<'_>,
    kind: Kind,
    order: &mut RangeOrder,
    line: &mut Map<String, Json>,
) -> Result<(), Problem> {
    let value = Value::decode(record.value)?;
    let identity = match kind {
        Kind::Ranges => String::from_utf8_lossy(value.identity).into(),
        Kind::Entries | Kind::Other => hex::encode(value.identity).into(),
    };
    line.insert("identity".to_owned(), identity);
    match kind {
        Kind::Entries => {
            let entry = EntryRef::decode(record.value)?;
            line.insert("entry".to_owned(), entry_json(&entry.to_owned()));
            if !entry.identity_matches() {
                return Err(Problem::Expected("the identity of the entry's fields"));
            }
        }
        Kind::Ranges => {
            let range = RangeInfo::decode(record.key, record.value)?;
            line.insert("range".to_owned(), range_json(&range));
            order.take(&range)?;
        }
        Kind::Other => drop(line.insert("data".to_owned(), hex::encode(value.data).into())),
    }
    Ok(())
}

fn entry_json(entry: &Entry) -> Json {
    json!({
        "address": entry.address,
        "address_type": entry.address_type.name(),
        "last_modified": entry.last_modified.map(|time| json!({ "seconds": time.seconds, "nanos": time.nanos })),
        "size": entry.size,
        "e_tag": entry.e_tag,
        "metadata": entry.metadata,
        "content_type": entry.content_type,
    })
}

fn range_json(range: &RangeInfo) -> Json {
    json!({
        "id": range.id.to_string(),
        "min_key": text(&range.min_key),
        "max_key": text(&range.max_key),
        "estimated_size": range.estimated_size,
        "count": range.count,
    })
}

/// Bytes as a text, or as `{"hex": …}` where they are none.
fn text(bytes: &[u8]) -> Json {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": hex::encode(bytes) }),
    }
}

#[cfg(test)]
mod tests;
