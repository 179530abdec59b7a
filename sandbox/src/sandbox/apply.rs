//! Applies changes to a tree, as a commit does to its parent's tree.
//!
//! New ranges appear only where there are changes: a range without changes is reused, the others are rewritten record
//! by record. This is why small repositories have several tiny ranges.

use super::build::Builder;
use super::content::committed;
use super::failure::Outcome;
use super::model::Changes;
use super::tree::{At, Cursor, Record, Tree};

/// One change in stored form; no value means a deletion.
struct Wanted {
    key: Box<[u8]>,
    value: Option<Box<[u8]>>,
}

/// Writes `base` with `changes` applied to `out`. Returns whether they change anything.
///
/// # Errors
/// Errors of reading and writing files.
pub(super) fn apply(base: &Tree<'_>, changes: &Changes, out: &mut Builder<'_>) -> Outcome<bool> {
    let mut walk = base.walk();
    let mut changed = false;
    for (path, entry) in changes {
        let wanted = Wanted {
            key: path.as_bytes().into(),
            value: entry.as_deref().map(|entry| committed(entry).to_value().into()),
        };
        changed |= one(&mut walk, wanted, out)?;
    }
    take_over(&mut walk, out)?;
    Ok(changed)
}

/// Copies the tree up to a change and applies it.
fn one(walk: &mut Cursor<'_>, wanted: Wanted, out: &mut Builder<'_>) -> Outcome<bool> {
    loop {
        match walk.peek() {
            Some(At::Range(range)) if *range.max_key < *wanted.key => {
                out.range(range)?;
                walk.skip();
            }
            Some(At::Range(_)) => walk.enter()?,
            Some(At::Record(record)) if record.key < wanted.key => {
                out.record(record)?;
                walk.next();
            }
            Some(At::Record(record)) if record.key == wanted.key => {
                let changed = replace(record, wanted, out)?;
                walk.next();
                return Ok(changed);
            }
            _ => return add(wanted, out),
        }
    }
}

fn replace(old: &Record, wanted: Wanted, out: &mut Builder<'_>) -> Outcome<bool> {
    let Wanted { key, value: Some(value) } = wanted else { return Ok(true) };
    let new = Record { key, value };
    let changed = new.identity() != old.identity();
    out.record(if changed { &new } else { old })?;
    Ok(changed)
}

fn add(wanted: Wanted, out: &mut Builder<'_>) -> Outcome<bool> {
    let Wanted { key, value: Some(value) } = wanted else { return Ok(false) };
    out.record(&Record { key, value })?;
    Ok(true)
}

fn take_over(walk: &mut Cursor<'_>, out: &mut Builder<'_>) -> Outcome<()> {
    while let Some(at) = walk.peek() {
        match at {
            At::Range(range) => {
                out.range(range)?;
                walk.skip();
            }
            At::Record(record) => {
                out.record(record)?;
                walk.next();
            }
        }
    }
    Ok(())
}
