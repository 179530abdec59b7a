//! Tags: created, listed, deleted. A tag never moves.

use std::ops::Bound;

use super::super::failure::{Failure, Kind, Outcome};
use super::super::mutation::Mutation;
use super::{Lake, Page, argument, check_writable};

impl Lake {
    /// Lists tags by name: name and commit.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn tags(&self, repository: &str, page: &Page) -> Outcome<(Vec<(String, String)>, bool)> {
        let repository = self.repository(repository)?;
        let from = (&*page.after).max(&*page.prefix).to_owned();
        Ok(self.look(&repository, |partition| {
            let found = partition
                .tags
                .range((Bound::Included(from), Bound::Unbounded))
                .take_while(|(name, _)| name.starts_with(&page.prefix))
                .filter(|(name, _)| **name != page.after)
                .map(|(name, commit)| (name.clone(), commit.clone()));
            page.cut(found)
        }))
    }

    /// The commit that a tag names.
    ///
    /// # Errors
    /// `tag not found`.
    pub fn get_tag(&self, repository: &str, tag: &str) -> Outcome<String> {
        argument("tagID", check_tag_name(tag))?;
        self.tag(&self.repository(repository)?, tag)
    }

    /// Creates a tag and returns its commit.
    ///
    /// # Errors
    /// `NotUnique`; `Conflict` with a branch or a commit of that name; `not found` for the ref; forbidden on a
    /// read-only repository without force.
    pub fn create_tag(&self, repository: &str, tag: &str, to: &str, force: bool) -> Outcome<String> {
        argument("tagID", check_tag_name(tag))?;
        let repository = self.repository(repository)?;
        if self.branch_head(&repository, tag).is_ok() {
            return Err(Failure::new(Kind::Conflict, format!("branch name {tag}: conflict found")));
        }
        self.check_no_commit(&repository, tag)?;
        let commit = self.resolve_commit_id(&repository, to)?;
        check_writable(&repository, force)?;
        let put = Mutation::PutTag { uid: repository.uid.clone(), name: tag.to_owned(), commit: commit.clone() };
        self.decide(|state| {
            let partition = state.partitions.get(&repository.uid);
            match partition.is_some_and(|partition| partition.tags.contains_key(tag)) {
                true => Err(Failure::new(Kind::NotUnique, "tag already exists: not unique")),
                false => Ok((vec![put], ())),
            }
        })?;
        Ok(commit)
    }

    /// Deletes a tag.
    ///
    /// # Errors
    /// `tag not found`; forbidden on a read-only repository without force.
    pub fn delete_tag(&self, repository: &str, tag: &str, force: bool) -> Outcome<()> {
        argument("tagID", check_tag_name(tag))?;
        let repository = self.repository(repository)?;
        check_writable(&repository, force)?;
        self.tag(&repository, tag)?;
        self.change(vec![Mutation::DropTag { uid: repository.uid, name: tag.to_owned() }])
    }
}

/// Checks a tag name as lakeFS does: git's rules, but `~` is allowed.
fn check_tag_name(name: &str) -> Outcome<()> {
    let wrong = name == "@"
        || name.ends_with('.')
        || name.ends_with(".lock")
        || ["..", "/", "@{"].iter().any(|part| name.contains(part))
        || name.chars().any(|c| c <= ' ' || matches!(c, '^' | ':' | '?' | '*' | '[' | '\\'));
    match (name.is_empty(), wrong) {
        (true, _) => Err(Failure::required_value()),
        (_, true) => Err(Failure::invalid_value("tag id")),
        _ => Ok(()),
    }
}
