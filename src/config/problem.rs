//! What is wrong with a configuration, or odd about it: place, key, what is wrong, what to do.
//!
//! Owns how they read. A message never holds the value of a secret: who makes one passes none.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::yaml::Position;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole: it cannot be read, or something is not in it.
    File(Arc<PathBuf>),
    /// A line and a column of the file, both counted from 1.
    Line {
        /// The file, as it was named.
        file: Arc<PathBuf>,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
}

impl Place {
    pub(crate) fn line(file: &Arc<PathBuf>, at: Position) -> Place {
        Place::Line { file: Arc::clone(file), line: at.line, column: at.column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(file) => write!(f, "{}", file.display()),
            Place::Line { file, line, column } => write!(f, "{}:{line}:{column}", file.display()),
            Place::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// Something that keeps the service from starting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// The setting, such as `blockstore.s3.endpoint`; empty where the problem is with the file itself.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// Something odd that does not keep the service from starting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Where it is.
    pub place: Place,
    /// The setting or key.
    pub key: String,
    /// What is odd.
    pub what: String,
    /// What to do about it, or what is done instead.
    pub fix: String,
}

impl From<Warning> for Problem {
    fn from(warning: Warning) -> Self {
        let Warning { place, key, what, fix } = warning;
        Self { place, key, what, fix }
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, place: &Place, key: &str, what: &str, fix: &str) -> fmt::Result {
    write!(f, "{place}: ")?;
    if !key.is_empty() {
        write!(f, "{key}: ")?;
    }
    write!(f, "{what}; {fix}")
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.place, &self.key, &self.what, &self.fix)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_line(f, &self.place, &self.key, &self.what, &self.fix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_place_key_what_fix() {
        let file = Arc::new(PathBuf::from("a.yaml"));
        let mut problem = Problem {
            place: Place::line(&file, Position { line: 3, column: 9 }),
            key: "region".to_owned(),
            what: "is empty".to_owned(),
            fix: "name the region".to_owned(),
        };
        assert_eq!(problem.to_string(), "a.yaml:3:9: region: is empty; name the region");
        problem.place = Place::Variable("REPLICATION_REGION".to_owned());
        problem.key.clear();
        assert_eq!(problem.to_string(), "environment variable REPLICATION_REGION: is empty; name the region");
    }
}
