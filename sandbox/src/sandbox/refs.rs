//! Ref expressions: `main`, `v1.0`, a commit id or a unique prefix of one, followed by `~n`, `^n`, `@` or `$`.
//!
//! A full commit id takes precedence over a branch, a branch over a tag, a tag over a prefix. `@` is a branch's
//! committed state, `$` its staged one.

use super::failure::{Failure, Outcome};
use super::lake::Lake;
use super::model::{Commit, Repository};
use std::sync::Arc;

/// What a ref resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub commit: String,
    /// The branch whose staged changes are included, if the ref includes them.
    pub branch: Option<String>,
    /// Whether the ref selects staged changes (`$`), which are not a commit.
    pub staging: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Tilde(i64),
    Caret(i64),
    At,
    Dollar,
}

/// The failure for an invalid ref.
fn invalid() -> Failure {
    Failure::invalid_value("ref")
}

fn parse(text: &str) -> Outcome<(&str, Vec<Step>)> {
    let modifier = |c| matches!(c, '~' | '^' | '@' | '$');
    let (base, mut rest) = text.split_at(text.find(modifier).unwrap_or(text.len()));
    if base.is_empty() {
        return Err(invalid());
    }
    let mut steps = Vec::new();
    while let Some(kind) = rest.chars().next() {
        let tail = rest.get(1..).unwrap_or_default();
        let end = tail.find(modifier).unwrap_or(tail.len());
        let (amount, after) = tail.split_at(end);
        steps.push(parse_step(kind, amount)?);
        rest = after;
    }
    Ok((base, steps))
}

fn parse_step(kind: char, amount: &str) -> Outcome<Step> {
    let number = || match amount {
        "" => Ok(1),
        digits => digits.parse().map_err(|_| invalid().within(format!("could not parse modifier {kind}{digits}"))),
    };
    match kind {
        '~' => Ok(Step::Tilde(number()?)),
        '^' => Ok(Step::Caret(number()?)),
        '@' if amount.is_empty() => Ok(Step::At),
        '$' if amount.is_empty() => Ok(Step::Dollar),
        _ => Err(invalid()),
    }
}

fn is_hash(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Lake {
    /// Resolves `text` in a repository.
    ///
    /// # Errors
    /// `not found`, or `Invalid` if it is not a ref.
    pub fn resolve(&self, repository: &Repository, text: &str) -> Outcome<Resolved> {
        let (base, steps) = parse(text)?;
        let found = self.resolve_base(repository, base)?;
        match steps.as_slice() {
            [] => Ok(found),
            [Step::At] if found.branch.is_some() => Ok(Resolved { branch: None, ..found }),
            [Step::Dollar] if found.branch.is_some() => Ok(Resolved { staging: true, ..found }),
            steps => {
                let commit = steps.iter().try_fold(found.commit, |at, step| self.step(repository, at, step))?;
                Ok(Resolved { commit, branch: None, staging: false })
            }
        }
    }

    fn resolve_base(&self, repository: &Repository, base: &str) -> Outcome<Resolved> {
        let committed = |commit: String| Resolved { commit, branch: None, staging: false };
        if base.len() == 64
            && is_hash(base)
            && let Ok(commit) = self.commit(repository, base)
        {
            return Ok(committed(commit.id.clone()));
        }
        if let Ok(head) = self.branch_head(repository, base) {
            return Ok(Resolved { commit: head, branch: Some(base.to_owned()), staging: false });
        }
        if let Ok(commit) = self.tag(repository, base) {
            return Ok(committed(commit));
        }
        if is_hash(base)
            && let Some(commit) = self.commit_by_prefix(repository, base)
        {
            return Ok(committed(commit));
        }
        Err(Failure::not_found())
    }

    fn step(&self, repository: &Repository, from: String, step: &Step) -> Outcome<String> {
        match *step {
            Step::Tilde(amount) => (0..amount).try_fold(from, |at, _| {
                self.commit(repository, &at)?.parents.first().cloned().ok_or_else(Failure::not_found)
            }),
            Step::Caret(0) => Ok(from),
            Step::Caret(amount) => {
                let at = usize::try_from(amount - 1).map_err(|_| invalid())?;
                self.commit(repository, &from)?.parents.get(at).cloned().ok_or_else(invalid)
            }
            Step::At | Step::Dollar => Err(invalid()),
        }
    }

    /// The id of the commit that `text` names; staged changes are not a commit.
    ///
    /// # Errors
    /// As [`Self::resolve`], and `Invalid` for `$`.
    pub fn resolve_commit_id(&self, repository: &Repository, text: &str) -> Outcome<String> {
        let found = self.resolve(repository, text)?;
        if found.staging {
            return Err(Failure { message: format!("{}: should point to a commit", invalid()), ..invalid() });
        }
        Ok(found.commit)
    }

    /// The commit that `text` names.
    ///
    /// # Errors
    /// As [`Self::resolve`]; `Invalid` for `$`; `commit not found` if a ref points to a missing record.
    pub fn resolve_commit(&self, repository: &Repository, text: &str) -> Outcome<Arc<Commit>> {
        let found = self.resolve(repository, text)?;
        if found.staging {
            let kind = super::failure::Kind::Invalid;
            let message = "reference to staging area with $ is not a commit";
            return Err(Failure::new(kind, message).within(format!("reference '{text}'")));
        }
        self.commit(repository, &found.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_parse_as_lakefs_parses_them() {
        assert_eq!(parse("main").unwrap(), ("main", vec![]));
        assert_eq!(parse("main~2^").unwrap(), ("main", vec![Step::Tilde(2), Step::Caret(1)]));
        assert_eq!(parse("ü@").unwrap(), ("ü", vec![Step::At]));
        assert_eq!(parse("a$").unwrap(), ("a", vec![Step::Dollar]));
        for wrong in ["", "~1", "a~x", "a@1", "a$b", "a^ü"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
