//! The API's service: creates, lists and deletes mirrors, and approves deletions.
//!
//! This module has the order of checks in each call, and the responses. Rules are pure functions ([`validate`],
//! [`occupancy`]). [`Gate`] authorizes callers. The status of a mirror comes from a [`StatusProvider`] or, if another
//! process drives it, from the mirrors database. The service writes only definitions; the engine discovers them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lakemirror_api::error::{ApiError, ErrorCode};
use lakemirror_api::server::{Caller, Service};
use lakemirror_api::types::{
    ApprovedDeletions, Deletion, DeletionsApproval, ListPage, Mirror, MirrorCreation, MirrorList,
};
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_ports::{Alarm, FaultKind, Incarnation, Lakefs, MirrorDefinition, Repository};

use lakemirror_mirrors::records::{CreateError, Definition, Listing, NewMirror, Records, RecordsError, Status};

pub mod answer;
mod approve;
pub mod drivers;
mod force;
pub mod gate;
pub mod known;
mod lookup;
pub mod observer;
pub mod occupancy;
pub mod present;
pub mod validate;
pub mod watch;

pub use gate::{Action, Denied, Gate, User};
use known::Known;
pub use observer::RequestLog;
pub use occupancy::{INCARNATION_KEY, Occupancy};
pub use validate::{Blockstore, Scheme};

/// What this process knows about mirrors that it drives itself.
#[async_trait]
pub trait StatusProvider: Send + Sync {
    /// The status of a mirror, if this process drives it.
    async fn status(&self, incarnation: Incarnation) -> Option<Status>;
    /// The mirrors in its journal, for the time before the mirrors database was first read.
    async fn known(&self) -> Vec<MirrorDefinition>;
}

/// A region that mirrors can be in.
pub struct Region {
    /// Its lakeFS and blockstore, if this process can reach them. Otherwise the mirror's own region checks.
    pub visible: Option<Visible>,
}

/// A destination that this process can reach.
pub struct Visible {
    /// Its lakeFS.
    pub lakefs: Arc<dyn Lakefs>,
    /// Its object store.
    pub blockstore: Blockstore,
}

/// Everything that the service needs.
pub struct Parts {
    /// The region of this installation and its sources.
    pub region: String,
    /// This region's lakeFS.
    pub lakefs: Arc<dyn Lakefs>,
    /// This region's object store.
    pub blockstore: Blockstore,
    /// The lakeFS of every known region, by region.
    pub sources: BTreeMap<String, Arc<dyn Lakefs>>,
    /// The other regions.
    pub destinations: BTreeMap<String, Region>,
    /// Authenticates and authorizes callers.
    pub gate: Arc<dyn Gate>,
    /// The mirrors database.
    pub records: Arc<Records>,
    /// The engine of this process.
    pub status: Arc<dyn StatusProvider>,
    /// Raised when a store of this process fails.
    pub alarm: Alarm,
    /// Measures ages.
    pub clock: Arc<dyn Clock>,
    /// Generates incarnations.
    pub entropy: Arc<dyn Entropy>,
}

/// The API's service.
pub struct MirrorService {
    parts: Parts,
    known: Known,
    drivers: Mutex<drivers::Drivers>,
}

impl MirrorService {
    /// Creates the service.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let known = Known::new(Arc::clone(&parts.records), Arc::clone(&parts.clock));
        Self { known, drivers: Mutex::default(), parts }
    }

    /// Makes every check of a creation that is possible before the name is reserved.
    async fn check_creation(&self, source: &str, creation: &MirrorCreation) -> Result<(), ApiError> {
        let parts = &self.parts;
        validate::name(&creation.name).map_err(invalid)?;
        let regions: Vec<&str> = parts.destinations.keys().map(String::as_str).collect();
        validate::region(&creation.region, &parts.region, &regions).map_err(invalid)?;
        validate::namespace(&creation.storage_namespace).map_err(invalid)?;
        let visible = parts.destinations.get(&creation.region).and_then(|region| region.visible.as_ref());
        if let Some(visible) = visible {
            let scheme = visible.blockstore.scheme;
            validate::scheme(&creation.storage_namespace, &creation.region, scheme).map_err(invalid)?;
        }
        let listing = self.parts.records.list_definitions().await.map_err(database)?;
        let repository = self.source_here(source, &listing).await?;
        if let Some(visible) = visible.filter(|visible| visible.blockstore.same_store(&parts.blockstore)) {
            validate::apart(&creation.storage_namespace, &repository.storage_namespace, &visible.blockstore.identity)
                .map_err(invalid)?;
        }
        self.check_source_is_no_mirror(source, &listing).await?;
        self.check_namespace_is_free(creation, &listing)?;
        match visible {
            Some(visible) => self.check_name_is_free(visible, creation, &listing).await,
            None => Ok(()),
        }
    }

    /// Checks that no other mirror in the same store has the namespace, or a part of it. The destination refuses a conflict
    /// with a mirror that is created elsewhere at the same time.
    fn check_namespace_is_free(&self, creation: &MirrorCreation, listing: &Listing) -> Result<(), ApiError> {
        let meets = |other: &&&Definition| {
            other.name != creation.name
                && self.is_one_store(&other.region, &creation.region)
                && validate::overlap(&other.storage_namespace, &creation.storage_namespace)
        };
        let Some(other) = listing.all_active().iter().find(meets).map(|other| (*other).clone()) else { return Ok(()) };
        let message = format!(
            "storage_namespace {} overlaps {} of mirror {} in region {}: each mirror needs a namespace of its own",
            validate::quoted(&creation.storage_namespace),
            other.storage_namespace,
            other.name,
            other.region
        );
        Err(ApiError::new(ErrorCode::Conflict, message))
    }

    /// Whether two regions are known to share an object store.
    fn is_one_store(&self, one: &str, other: &str) -> bool {
        let store = |region: &str| {
            if region == self.parts.region {
                return Some(&self.parts.blockstore);
            }
            Some(&self.parts.destinations.get(region)?.visible.as_ref()?.blockstore)
        };
        one == other || store(one).zip(store(other)).is_some_and(|(one, other)| one.same_store(other))
    }

    async fn source(&self, source: &str) -> Result<Repository, ApiError> {
        let missing = || not_found("repository not found".to_owned());
        // lakeFS cannot have a repository of an invalid name.
        validate::name(source).map_err(|_| missing())?;
        self.parts.lakefs.repository(source).await.map_err(|fault| match fault.kind {
            FaultKind::Absent => missing(),
            _ => unavailable(format!("the source repository cannot be looked at: {fault}")),
        })
    }

    /// The source, or an error that names the region that has a repository of this name, if known.
    async fn source_here(&self, source: &str, listing: &Listing) -> Result<Repository, ApiError> {
        let error = match self.source(source).await {
            Err(error) if error.code == ErrorCode::NotFound => error,
            other => return other,
        };
        let own = &self.parts.region;
        let mut others = listing.all_active().into_iter().filter(|one| &one.source_region != own);
        Err(match others.find(|one| one.source_repository == source) {
            Some(other) => {
                let region = &other.source_region;
                not_found(format!("repository not found in region {own}; region {region} has it: ask lakemirror there"))
            }
            None => error,
        })
    }

    async fn check_source_is_no_mirror(&self, source: &str, listing: &Listing) -> Result<(), ApiError> {
        let refuse = || invalid(format!("repository {source} is itself a mirror; mirror its source instead"));
        let is_mirror = |definition: &&Definition| definition.name == source && definition.region == self.parts.region;
        if listing.all_active().iter().any(is_mirror) {
            return Err(refuse());
        }
        match self.parts.lakefs.metadata(source).await {
            Ok(metadata) if metadata.contains_key(INCARNATION_KEY) => Err(refuse()),
            Ok(_) => Ok(()),
            Err(fault) => Err(unavailable(format!("the source repository's metadata cannot be read: {fault}"))),
        }
    }

    /// A destination that does not answer does not refuse: the engine checks again before it creates anything.
    async fn check_name_is_free(
        &self,
        visible: &Visible,
        creation: &MirrorCreation,
        listing: &Listing,
    ) -> Result<(), ApiError> {
        if listing.active(&creation.name).is_some() {
            // Taken by a mirror, which the mirrors database reports itself.
            return Ok(());
        }
        let Ok(repository) = visible.lakefs.repository(&creation.name).await else { return Ok(()) };
        let Ok(metadata) = visible.lakefs.metadata(&creation.name).await else { return Ok(()) };
        let Ok(branches) = visible.lakefs.branches(&creation.name, true).await else { return Ok(()) };
        let found = occupancy::Found { repository: &repository, metadata: &metadata, branches: branches.len() };
        match occupancy::occupancy(&found, &creation.storage_namespace, &creation.region, &listing.definitions) {
            Occupancy::Predecessor | Occupancy::Adoptable => Ok(()),
            Occupancy::Foreign(why) => {
                let message = format!(
                    "region {} already has a repository {}, and {why}; choose another name: that repository may have branches and commits that are nowhere else",
                    creation.region, creation.name
                );
                Err(ApiError::new(ErrorCode::Conflict, message))
            }
        }
    }

    fn incarnation(&self) -> Incarnation {
        let (high, low) = (self.parts.entropy.random_u64(), self.parts.entropy.random_u64());
        Incarnation((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }

    async fn may(&self, caller: &Caller, action: Action<'_>) -> Result<User, ApiError> {
        self.parts.gate.check(caller, action).await.map_err(|denied| match denied {
            Denied::Unauthenticated(message) => ApiError::new(ErrorCode::Unauthenticated, message),
            Denied::NotPermitted(message) => ApiError::new(ErrorCode::NotPermitted, message),
            Denied::Unavailable(message) => unavailable(message),
        })
    }
}

#[async_trait]
impl Service for MirrorService {
    async fn create_mirror(&self, caller: &Caller, source: &str, creation: MirrorCreation) -> Result<Mirror, ApiError> {
        let MirrorCreation { name, storage_namespace, .. } = &creation;
        let user =
            self.may(caller, Action::CreateMirror { mirror: name, source, namespace: storage_namespace }).await?;
        if let Some(place) = validate::cleaned(storage_namespace) {
            self.may(caller, Action::CreateMirror { mirror: name, source, namespace: &place }).await?;
        }
        self.check_creation(source, &creation).await?;
        let new = NewMirror {
            name: creation.name,
            incarnation: self.incarnation(),
            source_repository: source.to_owned(),
            source_region: self.parts.region.clone(),
            region: creation.region,
            storage_namespace: creation.storage_namespace,
            created_by: user.name,
            source_store: self.parts.blockstore.identity.clone(),
        };
        let created = self.parts.records.create(&new).await.map_err(|error| not_created(&new, error))?;
        self.known.created(&created);
        tracing::info!(mirror = %created.name, incarnation = %created.incarnation, source, region = %created.region,
            by = %created.created_by, "mirror created");
        let status = Status::creating();
        Ok(answer::unseen(&created, &present::Present { status, lag_seconds: 0, age_seconds: None }))
    }

    async fn list_mirrors(&self, caller: &Caller, source: &str, page: &ListPage) -> Result<MirrorList, ApiError> {
        self.may(caller, Action::ReadMirrors).await?;
        let listing = self.definitions().await?;
        let of_source = |definition: &&Definition| definition.source_repository == source;
        let found: Vec<&Definition> = listing.all_at(&self.parts.region).into_iter().filter(of_source).collect();
        if found.is_empty() {
            self.source(source).await?;
        }
        let summaries = self.known.summaries().await;
        let mut mirrors = Vec::with_capacity(found.len());
        for definition in found {
            let summary = summaries.get(&definition.incarnation);
            mirrors.push(self.answer(definition, &listing, summary).await);
        }
        Ok(MirrorList::page(mirrors, page))
    }

    async fn get_mirror(&self, caller: &Caller, source: &str, mirror: &str) -> Result<Mirror, ApiError> {
        self.may(caller, Action::ReadMirrors).await?;
        let listing = self.definitions().await?;
        let definition = self.find_known(&listing, source, mirror)?;
        let summary = self.known.summary(definition).await;
        Ok(self.answer(definition, &listing, summary.as_ref()).await)
    }

    async fn ready(&self) -> Result<(), String> {
        match self.known.definitions().await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the mirrors database was not read yet: {}", database(error).message)),
        }
    }

    async fn delete_mirror(
        &self,
        caller: &Caller,
        source: &str,
        mirror: &str,
        deletion: Deletion,
    ) -> Result<(), ApiError> {
        let user = self.may(caller, Action::DeleteMirror { mirror }).await?;
        let listing = self.parts.records.list_definitions().await.map_err(database)?;
        let definition = self.find(&listing, source, mirror)?;
        if definition.source_region != self.parts.region {
            return self.delete_elsewhere(definition, deletion, &user).await;
        }
        let deleted = self.parts.records.mark_deleted(&definition.source_region, mirror, definition.incarnation).await;
        if !deleted.map_err(database)? {
            return Err(not_found("mirror not found".to_owned()));
        }
        self.known.deleted(definition.incarnation);
        tracing::info!(mirror, incarnation = %definition.incarnation, source, by = user.name, "mirror deleted");
        Ok(())
    }

    async fn approve_deletions(
        &self,
        caller: &Caller,
        source: &str,
        mirror: &str,
        approval: DeletionsApproval,
    ) -> Result<ApprovedDeletions, ApiError> {
        let user = self.may(caller, Action::EditMirror { source }).await?;
        let listing = self.parts.records.list_definitions().await.map_err(database)?;
        let definition = self.find(&listing, source, mirror)?;
        let status = match self.parts.status.status(definition.incarnation).await {
            Some(status) => Some(status),
            None => {
                let summary = self.parts.records.summary(&definition.region, definition.incarnation).await;
                summary.map_err(database)?.map(|summary| summary.status)
            }
        };
        let status = status.ok_or_else(|| {
            unavailable(format!(
                "nothing is known of mirror {mirror} yet: its region {} has published nothing",
                definition.region
            ))
        })?;
        let before = self.parts.records.approved_deletions(definition.incarnation).await.map_err(database)?;
        let chosen = approve::choose(&status, &before, approval.branches.as_deref())?;
        if !chosen.new.is_empty() {
            let own = &self.parts.region;
            let written = self.parts.records.approve_deletions(own, definition.incarnation, &chosen.new, &user.name);
            written.await.map_err(database)?;
        }
        tracing::info!(mirror, incarnation = %definition.incarnation, source, by = user.name,
            branches = chosen.all.len(), "held deletions approved");
        Ok(ApprovedDeletions { branches: chosen.all.into_iter().collect() })
    }
}

impl MirrorService {
    /// Deletes a mirror whose source is in another region. This needs force, runs only in the mirror's own region, and only
    /// while the source's region does not answer.
    async fn delete_elsewhere(&self, mirror: &Definition, deletion: Deletion, user: &User) -> Result<(), ApiError> {
        let (name, region) = (&mirror.name, &mirror.source_region);
        if deletion == Deletion::Regular {
            let message = format!(
                "mirror not found in this region; its source is in region {region}: delete it at lakemirror there"
            );
            return Err(not_found(message));
        }
        if mirror.region != self.parts.region {
            let message = format!(
                "mirror not found in this region; its source is in region {region}, and force works in its own region {} alone",
                mirror.region
            );
            return Err(not_found(message));
        }
        if let Some(sign) = force::what_answers(&self.parts, mirror).await.map_err(database)? {
            let message = format!(
                "mirror {name} was not deleted: region {region} of its source still answers: {sign}; delete the mirror at lakemirror there; \
                 force is for a region that is lost, where the mirror may be the only copy"
            );
            return Err(ApiError::new(ErrorCode::Conflict, message));
        }
        self.parts.records.force_deletion(mirror, &user.name).await.map_err(database)?;
        self.known.deleted(mirror.incarnation);
        tracing::warn!(mirror = name, incarnation = %mirror.incarnation, source = mirror.source_repository, by = user.name,
            "mirror deleted with force: region {region} of its source does not answer");
        Ok(())
    }
}

fn not_created(new: &NewMirror, error: CreateError) -> ApiError {
    match error {
        CreateError::AlreadyExists { by } => {
            let message = format!(
                "mirror {} already exists: it mirrors {} of region {} into region {}; choose another name (deleting that mirror would delete its repository, with branches and commits that the source may not have any more)",
                new.name, by.source_repository, by.source_region, by.region
            );
            ApiError::new(ErrorCode::Conflict, message)
        }
        CreateError::TooManyPredecessors => ApiError::new(ErrorCode::Conflict, error.to_string()),
        CreateError::Records(error) => database(error),
    }
}

fn database(error: RecordsError) -> ApiError {
    match &error {
        RecordsError::Fault(fault) => {
            unavailable(format!("the mirrors database does not answer as it should: {fault}"))
        }
        RecordsError::Unreadable { .. } | RecordsError::Contended { .. } => unavailable(error.to_string()),
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorCode::Invalid, message)
}

fn not_found(message: String) -> ApiError {
    ApiError::new(ErrorCode::NotFound, message)
}

fn unavailable(message: String) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, message)
}

#[cfg(test)]
mod tests;
