//! The changes of the sandbox's state, and how each is applied.
//!
//! A change is written to the log before it is applied; replaying the log applies the same changes in the same order.
//! Applying never fails: whatever a change refers to is created if it does not exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::model::{Branch, Commit, Entry, Partition, Repository, State};

/// Which uncommitted changes of a branch to discard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forget {
    /// None.
    Nothing,
    /// Those taken by an attempt to commit.
    Sealed,
    /// All.
    All,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutation {
    /// The server's first start.
    Install {
        /// See [`State::installation`].
        installation: String,
        /// See [`State::created`].
        created: i64,
    },
    /// Writes a repository's record.
    PutRepository(Repository),
    /// Removes a repository's record and everything in its partition.
    DropRepository {
        /// Its name.
        name: String,
        /// Its partition.
        uid: String,
    },
    /// Replaces a repository's metadata.
    PutMetadata {
        /// Partition.
        uid: String,
        /// All keys and values.
        metadata: BTreeMap<String, String>,
    },
    /// Replaces the patterns of protected branches.
    PutProtection {
        /// Partition.
        uid: String,
        /// All patterns.
        patterns: Vec<String>,
    },
    /// Writes a commit's record.
    PutCommit {
        /// Partition.
        uid: String,
        /// The record.
        commit: Commit,
    },
    /// Creates a branch without staged changes.
    PutBranch {
        /// Partition.
        uid: String,
        /// Its name.
        name: String,
        /// Its head.
        head: String,
        /// Whether listings omit it.
        hidden: bool,
    },
    /// Points a branch to a commit.
    MoveBranch {
        /// Partition.
        uid: String,
        /// Its name.
        name: String,
        /// Its new head.
        head: String,
        /// What to discard with the move.
        forget: Forget,
    },
    /// Removes a branch and its staged changes.
    DropBranch {
        /// Partition.
        uid: String,
        /// Its name.
        name: String,
    },
    /// Writes a tag.
    PutTag {
        /// Partition.
        uid: String,
        /// Its name.
        name: String,
        /// The commit.
        commit: String,
    },
    /// Removes a tag.
    DropTag {
        /// Partition.
        uid: String,
        /// Its name.
        name: String,
    },
    /// Stages an entry, or its deletion.
    Stage {
        /// Partition.
        uid: String,
        /// The branch.
        branch: String,
        /// The path.
        path: String,
        /// The entry; `None` stages its deletion.
        entry: Option<Entry>,
    },
    /// Moves the staged changes into an attempt to commit.
    Seal {
        /// Partition.
        uid: String,
        /// The branch.
        branch: String,
    },
    /// Discards uncommitted changes of a branch.
    Forget {
        /// Partition.
        uid: String,
        /// The branch.
        branch: String,
        /// Which.
        forget: Forget,
    },
}

impl State {
    /// Applies one change.
    pub fn apply(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::Install { installation, created } => {
                self.installation = installation;
                self.created = created;
            }
            Mutation::PutRepository(repository) => {
                self.partition(&repository.uid);
                self.repositories.insert(repository.name.clone(), repository);
            }
            Mutation::DropRepository { name, uid } => {
                self.partitions.remove(&uid);
                if self.repositories.get(&name).is_some_and(|repository| repository.uid == uid) {
                    self.repositories.remove(&name);
                }
            }
            Mutation::PutMetadata { uid, metadata } => self.partition(&uid).metadata = metadata,
            Mutation::PutProtection { uid, patterns } => self.partition(&uid).protected = patterns,
            Mutation::PutCommit { uid, commit } => {
                self.partition(&uid).commits.insert(commit.id.clone(), Arc::new(commit));
            }
            Mutation::PutTag { uid, name, commit } => {
                self.partition(&uid).tags.insert(name, commit);
            }
            Mutation::DropTag { uid, name } => {
                self.partition(&uid).tags.remove(&name);
            }
            branch => self.apply_to_branch(branch),
        }
    }

    fn apply_to_branch(&mut self, mutation: Mutation) {
        match mutation {
            Mutation::PutBranch { uid, name, head, hidden } => {
                self.partition(&uid).branches.insert(name, Branch { head, hidden, ..Branch::default() });
            }
            Mutation::DropBranch { uid, name } => {
                self.partition(&uid).branches.remove(&name);
            }
            Mutation::MoveBranch { uid, name, head, forget } => {
                let branch = self.branch(&uid, &name);
                branch.head = head;
                branch.forget(forget);
            }
            Mutation::Stage { uid, branch, path, entry } => {
                self.branch(&uid, &branch).staged.insert(path, entry.map(Arc::new));
            }
            Mutation::Seal { uid, branch } => {
                let branch = self.branch(&uid, &branch);
                let staged = std::mem::take(&mut branch.staged);
                branch.sealed.extend(staged);
            }
            Mutation::Forget { uid, branch, forget } => self.branch(&uid, &branch).forget(forget),
            _ => {}
        }
    }

    fn partition(&mut self, uid: &str) -> &mut Partition {
        self.partitions.entry(uid.to_owned()).or_default()
    }

    fn branch(&mut self, uid: &str, name: &str) -> &mut Branch {
        self.partition(uid).branches.entry(name.to_owned()).or_default()
    }

    /// The changes that lead to this state from an empty one, for a compacted log.
    pub fn mutations(&self) -> Vec<Mutation> {
        let mut all = vec![Mutation::Install { installation: self.installation.clone(), created: self.created }];
        all.extend(self.repositories.values().cloned().map(Mutation::PutRepository));
        for (uid, partition) in &self.partitions {
            partition.mutations(uid, &mut all);
        }
        all
    }
}

impl Branch {
    fn forget(&mut self, forget: Forget) {
        if forget != Forget::Nothing {
            self.sealed.clear();
        }
        if forget == Forget::All {
            self.staged.clear();
        }
    }
}

impl Partition {
    fn mutations(&self, uid: &str, all: &mut Vec<Mutation>) {
        let uid = uid.to_owned();
        if !self.metadata.is_empty() {
            all.push(Mutation::PutMetadata { uid: uid.clone(), metadata: self.metadata.clone() });
        }
        if !self.protected.is_empty() {
            all.push(Mutation::PutProtection { uid: uid.clone(), patterns: self.protected.clone() });
        }
        for commit in self.commits.values() {
            all.push(Mutation::PutCommit { uid: uid.clone(), commit: Commit::clone(commit) });
        }
        for (name, commit) in &self.tags {
            all.push(Mutation::PutTag { uid: uid.clone(), name: name.clone(), commit: commit.clone() });
        }
        for (name, branch) in &self.branches {
            let (head, hidden) = (branch.head.clone(), branch.hidden);
            all.push(Mutation::PutBranch { uid: uid.clone(), name: name.clone(), head, hidden });
            let stage = |path: &String, entry: &Option<Arc<Entry>>| Mutation::Stage {
                uid: uid.clone(),
                branch: name.clone(),
                path: path.clone(),
                entry: entry.as_deref().cloned(),
            };
            all.extend(branch.sealed.iter().map(|(path, entry)| stage(path, entry)));
            if !branch.sealed.is_empty() {
                all.push(Mutation::Seal { uid: uid.clone(), branch: name.clone() });
            }
            all.extend(branch.staged.iter().map(|(path, entry)| stage(path, entry)));
        }
    }
}
