//! Looks up the definition and status of a mirror for a call, current or as they were before the mirrors database
//! stopped answering.

use lakemirror_api::error::ApiError;
use lakemirror_api::types::Mirror;
use lakemirror_mirrors::records::{Definition, Listing, Stamp, Status, Summary};
use lakemirror_ports::MirrorDefinition;

use super::{MirrorService, answer, database, not_found, present, unavailable};

impl MirrorService {
    /// The mirror of a name, if `source` is its source.
    pub(super) fn find<'a>(
        &self,
        listing: &'a Listing,
        source: &str,
        mirror: &str,
    ) -> Result<&'a Definition, ApiError> {
        let mut all = listing.all_at(&self.parts.region).into_iter();
        let found = all.find(|definition| definition.name == mirror && definition.source_repository == source);
        found.ok_or_else(|| not_found("mirror not found".to_owned()))
    }

    pub(super) async fn answer(&self, definition: &Definition, listing: &Listing, summary: Option<&Summary>) -> Mirror {
        let mut answer = self.known_of(definition, summary).await;
        if let Some(region) = listing.rival(definition) {
            answer.problems.push(format!(
                "region {region} created a mirror of this name earlier, so that the other regions answer with that one, and nothing is mirrored here; \
                 to mirror this source, create a mirror of another name; deleting one of the two (each at its own region) deletes its mirror repository with it, if it has one"
            ));
        }
        answer.problems.extend(self.parts.alarm.raised());
        answer
    }

    pub(super) async fn known_of(&self, definition: &Definition, summary: Option<&Summary>) -> Mirror {
        let (outage, now_ms) = (self.known.outage(), self.parts.clock.wall_ms());
        if let Some(status) = self.parts.status.status(definition.incarnation).await {
            return answer::mirror(definition, &present::own(status, outage.as_ref(), now_ms));
        }
        let heard = self.heard(definition, summary);
        let status = summary.map_or_else(Status::creating, |summary| summary.status.clone());
        let present = present::published(status, &heard, outage.as_ref(), &definition.region, now_ms);
        match summary {
            Some(_) => answer::mirror(definition, &present),
            None => answer::unseen(definition, &present),
        }
    }

    /// The definitions. During an outage of the database: the cached ones, with those in this process's journal.
    pub(super) async fn definitions(&self) -> Result<Listing, ApiError> {
        let known = self.known.definitions().await;
        if known.is_ok() && self.known.outage().is_none() {
            return known.map_err(database);
        }
        let own = self.parts.status.known().await;
        let mut listing = match known {
            Ok(before) => before,
            Err(error) if own.is_empty() => return Err(database(error)),
            Err(_) => Listing::default(),
        };
        let is_new = |one: &MirrorDefinition| listing.definitions.iter().all(|of| of.incarnation != one.incarnation);
        let new: Vec<Definition> = own.into_iter().filter(is_new).map(journaled).collect();
        listing.definitions.extend(new);
        Ok(listing)
    }

    /// As [`Self::find`], but an unknown mirror may be one that was created since the database last answered.
    pub(super) fn find_known<'a>(
        &self,
        listing: &'a Listing,
        source: &str,
        mirror: &str,
    ) -> Result<&'a Definition, ApiError> {
        self.find(listing, source, mirror).map_err(|missing| match self.known.outage() {
            Some(outage) => unavailable(format!(
                "mirror {mirror} is not known here, and the mirrors database does not answer: {}",
                outage.text
            )),
            None => missing,
        })
    }
}

/// The definition of a mirror in this process's journal.
pub(super) fn journaled(known: MirrorDefinition) -> Definition {
    Definition {
        name: known.name,
        incarnation: known.incarnation,
        source_repository: known.source_repository,
        source_region: known.source_region,
        region: known.region,
        storage_namespace: known.storage_namespace,
        source_store: known.source_store,
        creation_date: i64::try_from(known.created_ms / 1000).unwrap_or(i64::MAX),
        created_by: String::new(),
        deleted_at_ms: known.deleted.then_some(known.created_ms),
        stamp: Stamp::default(),
        unknown: serde_json::Map::new(),
    }
}
