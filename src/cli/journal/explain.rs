//! `lakemirror journal explain DIR MIRROR COMMIT|BRANCH`: why it was promoted, or what it is waiting for.
//!
//! Owns the arguments and the order of the answer: what is asked about is printed before the evidence is read, ranges
//! in the order of the tree, then the objects if asked for, then what it all adds up to. The forms: `text`, `json`.

mod json;
mod text;

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use lakemirror_core::ids::RangeId;
use lakemirror_evidence::explain::files::{Files, Named};
use lakemirror_evidence::explain::proof::Proof;
use lakemirror_evidence::explain::range::Decision;
use lakemirror_evidence::explain::subject::{Subject, Verdict};
use lakemirror_evidence::explain::{self, Found, Request, Sum, waiting};
use lakemirror_evidence::{EvidenceError, Source};

use super::{Exit, Failure, Place, Printing, remark_on_beginning};
use crate::cli::output;

/// Missing objects that are named, per range.
const MISSING_NAMED_MAX: usize = 10;

/// What is to be explained.
#[derive(Debug, Args)]
#[command(after_help = "\
Of a branch: the commit that it shows, and the newest head of the source if that is another one. Of a commit: how it came \
to the mirror, or why not yet. Each statement has the record that it rests on and its time. The journal names objects by \
their ordinals in range files; where these are at hand (--ranges), keys and addresses are printed, too.

  lakemirror journal explain ./journal sample-mirror main
  lakemirror journal explain ./journal sample-mirror 04cfa4c5 --objects -o json
  lakemirror journal explain ./journal sample-mirror main --objects --ranges ./blocks

Exit codes: 0 done; 1 the journal never saw that mirror, branch or commit, or the evidence does not add up to what the \
move states; 70 not a journal, a damaged one, or a later version's; 74 reading or writing failed.")]
pub(in crate::cli) struct ExplainArguments {
    #[command(flatten)]
    place: Place,
    /// The mirror's name, or at least 8 digits of its incarnation
    #[arg(value_name = "MIRROR")]
    mirror: String,
    /// A branch, or a commit's id or its first digits (at least 4)
    #[arg(value_name = "COMMIT|BRANCH")]
    target: String,
    /// List each object's deciding check
    #[arg(long)]
    objects: bool,
    /// A directory with range files (`_lakefs/<id>`), or a local blockstore: keys and addresses are printed
    #[arg(long, value_name = "DIR")]
    ranges: Option<PathBuf>,
    #[command(flatten)]
    printing: Printing,
}

/// Prints the answer while the journal is read.
pub(super) fn explain(arguments: &ExplainArguments) -> Result<Exit, Failure> {
    let ExplainArguments { place, mirror, target, objects, ranges, printing } = arguments;
    let files = ranges.as_ref().map(|dir| {
        Files::new(dir).map_err(|error| Failure::because(Exit::Io, format!("cannot read {}", dir.display()), error))
    });
    let files = files.transpose()?;
    let mut out = BufWriter::new(output::stdout());
    let mut answer =
        Answer { out: &mut out, files, objects: *objects, json: printing.is_json(), begins_at: 1, remarks: Vec::new() };
    let asked = place.ask_quietly(|source| answer.give(source, &Request { mirror, target }));
    let (remarks, begins_at) = (std::mem::take(&mut answer.remarks), answer.begins_at);
    // What was read before a fault is evidence, too.
    out.flush().map_err(Failure::Output)?;
    let adds_up = asked?;
    remark_on_beginning(begins_at);
    remarks.iter().for_each(|remark| output::complain(&format!("lakemirror: {remark}")));
    Ok(if adds_up { Exit::Ok } else { Exit::CheckFailed })
}

struct Answer<'a> {
    out: &'a mut dyn Write,
    files: Option<Files>,
    objects: bool,
    json: bool,
    begins_at: u64,
    remarks: Vec<String>,
}

impl Answer<'_> {
    /// Whether all evidence adds up.
    fn give(&mut self, source: &Source, request: &Request<'_>) -> Result<bool, EvidenceError> {
        let found = explain::find(source, request)?;
        self.begins_at = found.begins_at;
        let mut adds_up = true;
        for (subject, number) in found.subjects.iter().zip(0..) {
            if number > 0 && !self.json {
                writeln!(self.out).map_err(EvidenceError::Output)?;
            }
            adds_up &= self.explain(source, &found, subject)?;
        }
        if found.subjects.is_empty() {
            let text = format!("the branch {} was never at a commit", request.target);
            return Err(EvidenceError::NotSeen(text));
        }
        Ok(adds_up)
    }

    fn explain(&mut self, source: &Source, found: &Found, subject: &Subject) -> Result<bool, EvidenceError> {
        // Printed before the evidence is read: of a large commit that takes a while.
        self.subject(found, subject).and_then(|()| self.out.flush()).map_err(EvidenceError::Output)?;
        if subject.verdict == Verdict::Adopted {
            return Ok(true);
        }
        let proof = found.prove(source, subject)?;
        let sum = found.sum(subject, &proof);
        self.ranges(&proof).map_err(EvidenceError::Output)?;
        if self.objects {
            found.objects(source, subject, &mut |place, range, run, decision| self.run(place, range, run, decision))?;
        }
        let reasons = match subject.verdict.is_open() {
            true => waiting::reasons(source, found.mirror, subject)?,
            false => Vec::new(),
        };
        self.conclusion(&proof, &sum, &reasons).map_err(EvidenceError::Output)?;
        Ok(sum.differs.is_empty())
    }

    fn subject(&mut self, found: &Found, subject: &Subject) -> io::Result<()> {
        match self.json {
            true => writeln!(self.out, "{}", json::subject(found, subject)),
            false => text::subject(found, subject, self.out),
        }
    }

    fn ranges(&mut self, proof: &Proof) -> io::Result<()> {
        if !self.json {
            text::heading(proof, self.out)?;
        }
        for (place, range) in (0usize..).zip(&proof.ranges) {
            let missing: Vec<u32> = range.missing.iter().take(MISSING_NAMED_MAX).collect();
            let names = self.names(&range.id, &missing);
            match self.json {
                true => writeln!(self.out, "{}", json::range(place, range, &proof.policy, &names))?,
                false => text::range(place, range, &proof.policy, &names, self.out)?,
            }
        }
        Ok(())
    }

    /// Keys of some objects, as far as files are at hand.
    fn names(&mut self, id: &RangeId, ordinals: &[u32]) -> Vec<(u32, Named)> {
        let Some(files) = self.files.as_ref().filter(|_| !ordinals.is_empty()) else { return Vec::new() };
        match files.names(id, Some(ordinals)) {
            Ok(names) => names.into_iter().collect(),
            Err(reason) => {
                self.remark(reason);
                Vec::new()
            }
        }
    }

    fn remark(&mut self, reason: String) {
        if self.remarks.len() < MISSING_NAMED_MAX && !self.remarks.contains(&reason) {
            self.remarks.push(reason);
        }
    }

    fn run(
        &mut self,
        place: usize,
        range: &RangeId,
        (first, last): (u32, u32),
        decision: Option<Decision>,
    ) -> io::Result<()> {
        let ordinals: Vec<u32> = if self.files.is_some() { (first..=last).collect() } else { Vec::new() };
        let names = self.names(range, &ordinals);
        if names.is_empty() {
            return self.objects_line(place, range, (first, last), None, decision);
        }
        for (ordinal, named) in &names {
            self.objects_line(place, range, (*ordinal, *ordinal), Some(named), decision)?;
        }
        Ok(())
    }

    fn objects_line(
        &mut self,
        place: usize,
        range: &RangeId,
        run: (u32, u32),
        named: Option<&Named>,
        decision: Option<Decision>,
    ) -> io::Result<()> {
        match self.json {
            true => writeln!(self.out, "{}", json::objects(place, range, run, named, decision)),
            false => text::objects(place, run, named, decision, self.out),
        }
    }

    fn conclusion(&mut self, proof: &Proof, sum: &Sum, reasons: &[String]) -> io::Result<()> {
        let last = sum.last.and_then(|(place, arrival)| Some((proof.ranges.get(place)?.id, arrival.ordinal)));
        let named = last.and_then(|(id, ordinal)| self.names(&id, &[ordinal]).pop()).map(|(_, named)| named);
        match self.json {
            true => writeln!(self.out, "{}", json::conclusion(proof, sum, reasons, named.as_ref())),
            false => text::conclusion(proof, sum, reasons, named.as_ref(), self.out),
        }
    }
}
