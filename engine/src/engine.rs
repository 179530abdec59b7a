//! The loop over the list of mirrors, and the tasks that it starts and ends.

mod follow;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lakemirror_core::ids::Incarnation;
use lakemirror_core::mutant;
use lakemirror_graveler::address::Namespace;
use lakemirror_journal::command::MirrorCommand;
use lakemirror_journal::state::mirror::{Definition, Phase};
use lakemirror_ports::clock::{Clock, Entropy};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::assignments::Assignments;
use crate::conditions::{ConditionKind, Conditions};
use crate::lease::fenced::Fenced;
use crate::lease::manager::{Leases, Process, Taken};
use crate::mirror::{Ended, MirrorContext, Settings};
use crate::ports::{Destination, Lakefs, LeaseTable, MirrorDefinition, Registry, StoreIdentity};
use crate::recorder::Recorder;
use crate::report::{Line, Reporter};
use crate::status::MirrorStatus;
use crate::{assignments, health, lease, publish, ticker, work};

/// How long the last heartbeat of a process that ends is waited for.
const GOODBYE: Duration = Duration::from_secs(1);

/// Mirrors that are taken side by side.
const TAKEN_AT_ONCE: usize = 16;

type Tasks = JoinSet<(Incarnation, Result<(), Ended>)>;

/// A region whose destination work this process does.
#[derive(Clone)]
pub struct Region {
    /// Its lakeFS.
    pub lakefs: Arc<dyn Lakefs>,
    /// Its blockstore.
    pub destination: Arc<dyn Destination>,
    /// The scheme of its blockstore's addresses: `s3` or `local`.
    pub scheme: &'static str,
    /// Which blockstore that is.
    pub store: StoreIdentity,
}

/// Everything the engine works with.
#[derive(Clone)]
pub struct Parts {
    /// The lakeFS of every region that is known, by region id: sources.
    pub sources: BTreeMap<String, Arc<dyn Lakefs>>,
    /// The regions that are served, by region id.
    pub regions: BTreeMap<String, Region>,
    /// The mirrors database.
    pub registry: Arc<dyn Registry>,
    /// The leases in it.
    pub table: Arc<dyn LeaseTable>,
    /// This process, as others know it.
    pub process: Process,
    /// The journal.
    pub recorder: Recorder,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// How to go about it.
    pub settings: Arc<Settings>,
}

/// The engine. Clones share their mirrors.
#[derive(Clone)]
pub struct Engine {
    parts: Parts,
    contexts: Arc<Mutex<BTreeMap<Incarnation, MirrorContext>>>,
    /// What all mirrors share: the mirrors database, lakeFS and buckets.
    shared: Conditions,
}

impl Engine {
    /// An engine that does nothing before it is run.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let shared = Conditions::new(Arc::clone(&parts.clock));
        Self { parts, contexts: Arc::default(), shared }
    }

    /// The status of a mirror that is at work here.
    pub async fn status(&self, mirror: &Incarnation) -> Option<MirrorStatus> {
        let context = self.contexts().get(mirror).cloned()?;
        let status = publish::status_now(&context).await;
        status.ok().flatten()
    }

    /// The mirrors that the journal knows; none once it has stopped.
    pub async fn known(&self) -> Vec<MirrorDefinition> {
        self.journaled().await.unwrap_or_default()
    }

    async fn journaled(&self) -> Result<Vec<MirrorDefinition>, Ended> {
        let known = self.parts.recorder.read(|state| {
            let defined = |(id, mirror): (&Incarnation, &lakemirror_journal::state::mirror::Mirror)| {
                assignments::from_journal(*id, &mirror.definition, mirror.phase == Phase::Deleting)
            };
            state.mirrors.iter().map(defined).collect::<Vec<_>>()
        });
        known.await.map_err(|_| Ended::Journal)
    }

    fn contexts(&self) -> std::sync::MutexGuard<'_, BTreeMap<Incarnation, MirrorContext>> {
        self.contexts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until stopped, or until the journal stops.
    ///
    /// # Errors
    /// [`Ended::Journal`].
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Ended> {
        let Parts { table, process, regions, clock, .. } = &self.parts;
        let served = regions.keys().cloned().collect();
        let leases = Leases::new(Arc::clone(table), process.clone(), served, Arc::clone(clock));
        // Heartbeats go on until nothing is at work any more.
        let (quiet, heartbeats) = (CancellationToken::new(), leases.heartbeats());
        let heartbeats = tokio::spawn(heartbeats.noting_on(self.shared.clone()).run(quiet.clone()));
        let contexts = Arc::clone(&self.contexts);
        let at_work = move || contexts.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        tokio::spawn(health::run(self.parts.clone(), at_work, self.shared.clone(), quiet.clone()));
        let ended = self.drive(leases, &stop).await;
        quiet.cancel();
        if ended.is_ok() {
            // The last heartbeat gives everything back, once nothing is under way any more; a database that does not
            // answer is not waited for.
            let patience = clock.sleep(GOODBYE + lease::IN_FLIGHT_MAX);
            tokio::select! {
                biased;
                _ = heartbeats => {}
                () = patience => {}
            }
        }
        ended
    }

    async fn drive(&self, leases: Leases, stop: &CancellationToken) -> Result<(), Ended> {
        let mut changes = self.parts.registry.changes();
        let mut tasks: Tasks = JoinSet::new();
        let mut assignments = Assignments::new(leases, self.shared.clone());
        let mut reporter = Reporter::default();
        loop {
            if changes.has_changed().unwrap_or(false) {
                changes.borrow_and_update();
                assignments.outdated();
            }
            self.turn(&mut assignments, &mut tasks, stop).await?;
            self.tell(&mut reporter);
            let deadline = self.parts.clock.sleep(lease::LOOK.min(self.parts.settings.definitions_interval));
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(done) = tasks.join_next(), if !tasks.is_empty() => match done {
                    Ok((_, Err(Ended::Journal))) => return Err(Ended::Journal),
                    Ok((id, _)) => {
                        self.contexts().remove(&id);
                        assignments.ended(id);
                    }
                    Err(crash) => tracing::error!("a mirror's work ended with a panic: {crash}"),
                },
                changed = changes.changed() => if changed.is_err() { self.parts.clock.sleep(lease::LOOK).await } else { assignments.outdated() },
                () = deadline => {}
            }
        }
        while let Some(done) = tasks.join_next().await {
            if let Ok((_, Err(Ended::Journal))) = done {
                return Err(Ended::Journal);
            }
        }
        Ok(())
    }

    /// Says in the log what of that which all mirrors share fails, and when it is over.
    fn tell(&self, reporter: &mut Reporter<ConditionKind>) {
        let notes = self.shared.notes().into_iter();
        // Heartbeats speak for themselves.
        let notes = notes.filter(|(about, _)| *about != ConditionKind::Heartbeat);
        let problems: Vec<(ConditionKind, String)> = notes.map(|(about, note)| (about, note.text)).collect();
        for line in reporter.look(self.parts.clock.monotonic(), &problems) {
            match line {
                Line::Began { topic, text } => tracing::warn!(about = ?topic, "{text}"),
                Line::Over { topic, text, lasted } => {
                    tracing::info!(about = ?topic, "over after {} s: {text}", lasted.as_secs());
                }
                Line::More(more) => tracing::warn!("{more} more lakeFS or buckets do not answer"),
            }
        }
    }

    /// Reads what is defined and who has what where it is time to, and brings the mirrors at work in line with it.
    async fn turn(
        &self,
        assignments: &mut Assignments,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        if assignments.is_due(self.parts.clock.monotonic()) {
            self.read(assignments).await;
        }
        if let Err(fault) = assignments.leases.look().await {
            assignments.conditions.note("", ConditionKind::Lease, fault.to_string());
        } else {
            assignments.conditions.clear("", &ConditionKind::Lease);
        }
        if assignments.definitions.is_none() {
            return self.go_on_without(assignments, tasks, stop).await;
        }
        self.share(assignments, stop).await?;
        self.follow(assignments, tasks, stop).await
    }

    /// Reads what is defined; false where it could not be read.
    async fn read(&self, assignments: &mut Assignments) -> bool {
        let now = self.parts.clock.monotonic();
        match self.parts.registry.definitions().await {
            Ok(definitions) => assignments.read(definitions, now + self.parts.settings.definitions_interval),
            Err(fault) => {
                assignments.conditions.note("", ConditionKind::Registry, fault.to_string());
                return false;
            }
        }
        true
    }

    /// The database was not read yet: what the journal knows of is observed and verified, and nothing is changed.
    async fn go_on_without(
        &self,
        assignments: &mut Assignments,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        for definition in self.journaled().await? {
            if self.is_ours(&definition) && !self.contexts().contains_key(&definition.incarnation) {
                tracing::warn!(
                    mirror = definition.name,
                    "the mirrors database does not answer: verified as the journal knows it, not promoted"
                );
                self.start(definition, assignments, tasks, stop).await?;
            }
        }
        Ok(())
    }

    /// Whether the mirror is in a region of ours and its source's lakeFS is known.
    fn is_ours(&self, definition: &MirrorDefinition) -> bool {
        self.parts.regions.contains_key(&definition.region)
            && self.parts.sources.contains_key(&definition.source_region)
    }

    /// Takes and gives mirrors.
    async fn share(&self, assignments: &mut Assignments, stop: &CancellationToken) -> Result<(), Ended> {
        for region in self.parts.regions.keys() {
            let mirrors = assignments.mirrors_of(region, |definition| self.is_ours(definition));
            let Some(plan) = assignments.leases.plan(region, &mirrors) else { continue };
            for (mirror, to) in plan.give {
                if let Some(context) = self.contexts().get(&mirror).filter(|_| assignments.giving(mirror, &to)) {
                    tracing::info!(mirror = context.name(), to, "given to another process, which has fewer");
                    context.stop.cancel();
                }
            }
            self.take(region, &plan.take, assignments, stop).await?;
            self.hand_over(region, assignments).await;
        }
        Ok(())
    }

    async fn take(
        &self,
        region: &str,
        mirrors: &[Incarnation],
        assignments: &mut Assignments,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let mut free = Vec::new();
        for mirror in mirrors.iter().filter(|mirror| !assignments.is_given(mirror)) {
            let running = self.contexts().get(mirror).cloned();
            match running.filter(|_| !assignments.leases.has_history(region, mirror)) {
                // Where another process had it, the work on it begins anew.
                Some(context) => {
                    context.lease.end();
                    context.stop.cancel();
                }
                None => free.push(*mirror),
            }
        }
        let mut won = Vec::new();
        for some in free.chunks(TAKEN_AT_ONCE) {
            if stop.is_cancelled() {
                return Ok(());
            }
            let taken = join_all(some.iter().map(|mirror| assignments.leases.take(region, *mirror))).await;
            for taken in taken {
                match taken {
                    Ok(Some(taken)) => won.push(taken),
                    Ok(None) => assignments.leases.doubt(region),
                    Err(fault) => {
                        assignments.leases.doubt(region);
                        assignments.conditions.note("", ConditionKind::Lease, fault.to_string());
                    }
                }
            }
        }
        // Who had them may have carried out a deletion that this process has not heard of. From now on nobody else can.
        if !won.is_empty() && !mutant::is_on("old_definitions_trusted") && !self.read(assignments).await {
            assignments.leases.doubt(region);
            return Ok(());
        }
        for taken in won {
            self.keep(taken, assignments, stop).await?;
        }
        Ok(())
    }

    /// First the journal, then the lease: what another process did meanwhile is not mistaken for what this one left.
    async fn keep(&self, taken: Taken, assignments: &mut Assignments, stop: &CancellationToken) -> Result<(), Ended> {
        let Some(definition) = assignments.definition(&taken.mirror) else { return Ok(()) };
        let context = match self.contexts().get(&taken.mirror).cloned() {
            // It ends first, and what comes after it deletes.
            Some(context) if definition.deleted && !context.definition.deleted => {
                assignments.leases.doubt(&definition.region);
                context.stop.cancel();
                return Ok(());
            }
            Some(context) => context,
            None => match self.context(definition, assignments, stop) {
                Some(context) => context,
                None => return Ok(()),
            },
        };
        self.define(&context).await?;
        let Taken { epoch, resumed, before, .. } = taken.clone();
        context.ask(MirrorCommand::Take { epoch, resumed, before }).await?;
        if !taken.resumed {
            tracing::warn!(
                mirror = context.name(),
                before = taken.before,
                "taken over from another process: this journal's history of it begins now, its branches are looked at again"
            );
        }
        if let Err(fault) = assignments.leases.keep(taken).await {
            assignments.conditions.note("", ConditionKind::Lease, fault.to_string());
        }
        Ok(())
    }

    /// Gives away what nothing works on any more.
    async fn hand_over(&self, region: &str, assignments: &mut Assignments) {
        if !assignments.leases.unsettled().is_zero() {
            return;
        }
        for (mirror, to) in assignments.given() {
            if assignments.definition(&mirror).is_some_and(|definition| definition.region != region)
                || self.contexts().contains_key(&mirror)
            {
                continue;
            }
            match assignments.leases.give(region, mirror, &to).await {
                Ok(()) => assignments.gave(&mirror),
                Err(fault) => assignments.conditions.note("", ConditionKind::Lease, fault.to_string()),
            }
        }
    }

    async fn start(
        &self,
        definition: MirrorDefinition,
        assignments: &mut Assignments,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let id = definition.incarnation;
        if let Some(context) = self.context(definition, assignments, stop) {
            self.define(&context).await?;
            self.contexts().insert(id, context.clone());
            tasks.spawn(async move { (id, work::run(context).await) });
        }
        Ok(())
    }

    fn context(
        &self,
        definition: MirrorDefinition,
        assignments: &mut Assignments,
        stop: &CancellationToken,
    ) -> Option<MirrorContext> {
        let region = self.parts.regions.get(&definition.region).cloned()?;
        let source = self.parts.sources.get(&definition.source_region).cloned()?;
        let lease = assignments.leases.lease(&definition.incarnation);
        let clock = Arc::clone(&self.parts.clock);
        let namespace = Namespace::parse(&definition.storage_namespace).ok();
        let bucket = namespace.map(|namespace| namespace.bucket().to_string());
        Some(MirrorContext {
            definition: Arc::new(definition),
            source,
            mirror: Arc::new(Fenced::new(region.lakefs, Arc::clone(&lease), Arc::clone(&clock))),
            destination: region.destination,
            store: region.store,
            registry: Arc::clone(&self.parts.registry),
            recorder: self.parts.recorder.clone(),
            entropy: Arc::clone(&self.parts.entropy),
            settings: Arc::clone(&self.parts.settings),
            conditions: Conditions::new(Arc::clone(&clock)),
            shared: self.shared.clone(),
            bucket,
            clock,
            verify: Arc::default(),
            visibility: ticker::Ticker::default(),
            lease,
            stop: stop.child_token(),
        })
    }

    async fn define(&self, context: &MirrorContext) -> Result<(), Ended> {
        let definition = &context.definition;
        context
            .ask(MirrorCommand::Define(Definition {
                name: definition.name.clone(),
                source_repository: definition.source_repository.clone(),
                source_region: definition.source_region.clone(),
                region: definition.region.clone(),
                storage_namespace: definition.storage_namespace.clone(),
                created_ms: definition.created_ms,
            }))
            .await?;
        if definition.deleted {
            context.ask(MirrorCommand::StartDeletion).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
