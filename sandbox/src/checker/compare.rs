//! The final check: compares source and mirror through both lakeFS APIs, object by object, byte by byte.
//!
//! It compares branches (hidden ones too) and their heads, every commit record, and for every commit its listing and
//! the bytes of every object. Differences are collected; the comparison does not stop at the first one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use super::lake::{Lake, Object};
use super::{CheckError, Violation};

/// Maximum number of differences that a report lists.
const NAMED_MAX: usize = 100;

/// What was compared, and the differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of branches of the source.
    pub branches: usize,
    /// Number of commits that they reach.
    pub commits: usize,
    /// Number of entries of all their trees.
    pub entries: usize,
    /// Number of different objects whose bytes were read on both sides.
    pub objects: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The differences.
    pub differences: Vec<String>,
    /// Number of checked moves of the mirror's branches.
    pub moves: usize,
    /// Violations found at these moves.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether there are no differences and no violations.
    pub fn holds(&self) -> bool {
        self.differences.is_empty() && self.violations.is_empty()
    }

    fn differs(&mut self, text: String) {
        if self.differences.len() < NAMED_MAX {
            self.differences.push(text);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} branches, {} commits, {} entries, ", self.branches, self.commits, self.entries)?;
        write!(f, "{} objects with {} bytes read on both sides: ", self.objects, self.bytes)?;
        write!(f, "{} differences; ", self.differences.len())?;
        write!(f, "{} moves judged: {} violations", self.moves, self.violations.len())
    }
}

/// Compares source and mirror.
///
/// # Errors
/// One of them does not respond.
pub(super) async fn compare(source: &Lake, mirror: &Lake) -> Result<Report, CheckError> {
    let mut report = Report::default();
    let (wanted, found) = (source.branches().await?, mirror.branches().await?);
    report.branches = wanted.len();
    branches(&wanted, &found, &mut report);
    let mut open: Vec<String> = wanted.into_values().collect();
    let (mut seen, mut trees, mut read) = (HashSet::new(), HashSet::new(), HashSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let commit = source.commit(&id).await?;
        match mirror.commit(&id).await {
            Ok(other) if other == commit => {}
            Ok(other) => report.differs(format!("commit {id} is {commit:?} at the source, {other:?} on the mirror")),
            Err(error) => report.differs(format!("commit {id} on the mirror: {error}")),
        }
        open.extend(commit.parents);
        report.commits += 1;
        if trees.insert(commit.meta_range_id) {
            tree(source, mirror, &id, &mut read, &mut report).await?;
        }
    }
    Ok(report)
}

fn branches(wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>, report: &mut Report) {
    let names: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    for name in names {
        let (at, mirrored) = (wanted.get(name), found.get(name));
        if at != mirrored {
            let say = |head: Option<&String>| head.map_or_else(|| "not there".to_owned(), Clone::clone);
            report.differs(format!("branch {name}: {} at the source, {} on the mirror", say(at), say(mirrored)));
        }
    }
}

async fn tree(
    source: &Lake,
    mirror: &Lake,
    commit: &str,
    read: &mut HashSet<(String, String)>,
    report: &mut Report,
) -> Result<(), CheckError> {
    let wanted = source.objects(commit).await?;
    let found = match mirror.objects(commit).await {
        Ok(found) => found,
        Err(error) => {
            report.differs(format!("listing of {commit} on the mirror: {error}"));
            return Ok(());
        }
    };
    if wanted.len() != found.len() {
        report.differs(format!("{commit} lists {} objects, on the mirror {}", wanted.len(), found.len()));
    }
    report.entries += wanted.len();
    let mut others: BTreeMap<String, Object> = found.into_iter().map(|object| (object.path.clone(), object)).collect();
    for object in wanted {
        let path = object.path.clone();
        let Some(other) = others.remove(&path) else {
            report.differs(format!("{path} of {commit} is not on the mirror"));
            continue;
        };
        let addresses = (object.physical_address.clone(), other.physical_address.clone());
        // Only the physical address may differ.
        if object != (Object { physical_address: object.physical_address.clone(), ..other.clone() }) {
            report.differs(format!("{path} of {commit} is {object:?} at the source, {other:?} on the mirror"));
        }
        if read.insert(addresses) {
            bytes(source, mirror, commit, &object, report).await?;
        }
    }
    for path in others.keys() {
        report.differs(format!("{path} of {commit} is on the mirror only"));
    }
    Ok(())
}

async fn bytes(
    source: &Lake,
    mirror: &Lake,
    commit: &str,
    object: &Object,
    report: &mut Report,
) -> Result<(), CheckError> {
    let wanted = source.bytes(commit, &object.path).await?;
    report.objects += 1;
    report.bytes += wanted.len() as u64;
    match mirror.bytes(commit, &object.path).await {
        Ok(found) if found == wanted => {}
        Ok(found) => {
            let (wanted, found) = (wanted.len(), found.len());
            report.differs(format!("{} of {commit}: other bytes ({wanted} and {found})", object.path));
        }
        Err(error) => report.differs(format!("{} of {commit} cannot be read on the mirror: {error}", object.path)),
    }
    Ok(())
}
