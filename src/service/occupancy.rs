//! Classifies a repository that already has the name of a new mirror. Pure; for the API and for the engine.
//!
//! lakemirror stores the incarnation in the lakeFS metadata of each repository that it creates.

use std::collections::BTreeMap;

use lakemirror_ports::Repository;

use lakemirror_mirrors::records::Definition;

/// The metadata key that holds a mirror repository's incarnation.
pub const INCARNATION_KEY: &str = "lakemirror.incarnation";

/// A repository that was found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// Its metadata.
    pub metadata: &'a BTreeMap<String, String>,
    /// How many branches it has, hidden ones included.
    pub branches: usize,
}

/// What the repository means for a new mirror of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occupancy {
    /// The repository of a deleted mirror, which is being removed. The new mirror waits for that.
    Predecessor,
    /// It can become the new mirror's repository: read-only, in the wanted namespace, and either empty or marked by a
    /// lakemirror whose records are lost. Its content is verified like everything else.
    Adoptable,
    /// It belongs to another owner, with the reason for this conclusion.
    Foreign(String),
}

/// Classifies a repository that has the wanted name in the wanted region.
#[must_use]
pub fn occupancy(found: &Found<'_>, namespace: &str, region: &str, definitions: &[Definition]) -> Occupancy {
    let name = &found.repository.id;
    let mark = found.metadata.get(INCARNATION_KEY);
    let is_marked = |definition: &Definition| mark == Some(&definition.incarnation.to_string());
    let here = |definition: &&Definition| definition.region == region && &definition.name == name;
    let foreign = |why: &str| Occupancy::Foreign(why.to_owned());
    match definitions.iter().filter(here).find(|definition| is_marked(definition)) {
        Some(definition) if definition.is_active() => return foreign("it is the repository of another mirror"),
        Some(_) => return Occupancy::Predecessor,
        None => {}
    }
    if !found.repository.read_only {
        foreign("it is writable, so it is no mirror's")
    } else if !same_place(&found.repository.storage_namespace, namespace) {
        foreign("its storage namespace is another one")
    } else if mark.is_none() && found.branches > 0 {
        foreign("it has branches that lakemirror did not make")
    } else {
        Occupancy::Adoptable
    }
}

fn same_place(one: &str, other: &str) -> bool {
    // One trailing slash has no meaning. A second one is part of the prefix.
    let place = |namespace: &'_ str| namespace.strip_suffix('/').unwrap_or(namespace).to_owned();
    place(one) == place(other)
}
