//! The engine's loop in steps, over a mirrors database in memory.

use async_trait::async_trait;
use lakemirror_journal::event::Event;
use lakemirror_journal::state::State;

use super::*;
use crate::lease::manager::Leases;
use crate::ports::{Fault, FaultKind, Heartbeat, Owner};
use crate::verify::tests::world::{Hand, NoDisk, SourceLake, Store};
use crate::{ports, recorder};

const ID: Incarnation = Incarnation([7; 16]);
const REGION: &str = "west";

/// What is defined and who has what; nothing of it can be read while it is down.
#[derive(Default)]
struct Database {
    defined: Mutex<Vec<MirrorDefinition>>,
    owners: Mutex<BTreeMap<Incarnation, Owner>>,
    down: Mutex<bool>,
}

impl Database {
    fn call<T>(&self, act: impl FnOnce() -> T) -> Result<T, Fault> {
        let fault = || Fault { kind: FaultKind::Retry, call: "call".into(), status: None, message: "down".into() };
        (!*self.down.lock().unwrap()).then(act).ok_or_else(fault)
    }
}

#[async_trait]
impl Registry for Database {
    async fn definitions(&self) -> Result<Vec<MirrorDefinition>, Fault> {
        self.call(|| self.defined.lock().unwrap().clone())
    }
    async fn acknowledge_deletion(&self, _: &MirrorDefinition, _: u64) -> Result<(), Fault> {
        unreachable!("no mirror is at work")
    }
    async fn publish(&self, _: &MirrorDefinition, _: u64, _: u64, _: &MirrorStatus) -> Result<(), Fault> {
        unreachable!("no mirror is at work")
    }
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        tokio::sync::watch::Sender::new(0).subscribe()
    }
}

#[async_trait]
impl LeaseTable for Database {
    fn is_shared(&self) -> bool {
        false
    }
    async fn beat(&self, _: &str, _: &Heartbeat) -> Result<(), Fault> {
        unreachable!("nobody else is there")
    }
    async fn heartbeats(&self, _: &str) -> Result<Vec<Heartbeat>, Fault> {
        unreachable!("nobody else is there")
    }
    async fn owners(&self, _: &str) -> Result<BTreeMap<Incarnation, Owner>, Fault> {
        Ok(self.owners.lock().unwrap().clone())
    }
    async fn write_owner(&self, _: &str, mirror: &Incarnation, owner: &Owner) -> Result<Option<u64>, Fault> {
        let version = owner.version.map_or(1, |old| old + 1);
        self.owners.lock().unwrap().insert(*mirror, Owner { version: Some(version), ..owner.clone() });
        Ok(Some(version))
    }
}

/// A process that knows of one mirror, and takes it after something has happened in the database.
pub(crate) struct Loop {
    clock: Arc<Hand>,
    pub(crate) lake: Arc<SourceLake>,
    engine: Engine,
    assignments: Assignments,
    database: Arc<Database>,
    stop: CancellationToken,
}

impl Loop {
    pub(crate) async fn that_has_read() -> Self {
        Self::after(&[]).await
    }

    /// With a journal that begins with these facts.
    pub(crate) async fn after(facts: &[Event]) -> Self {
        let mut state = State::default();
        facts.iter().for_each(|fact| state.apply(fact));
        let clock = Arc::new(Hand::default());
        let database = Arc::new(Database::default());
        database.defined.lock().unwrap().push(MirrorDefinition {
            incarnation: ID,
            name: "m".into(),
            source_repository: "s".into(),
            source_region: "east".into(),
            region: REGION.into(),
            storage_namespace: "s3://west/s".into(),
            created_ms: 1,
            source_store: ports::StoreIdentity::Unknown,
            deleted: false,
        });
        let (recorder, _) = recorder::start(state, Box::new(NoDisk), clock.clone()).unwrap();
        let lake = Arc::new(SourceLake::default());
        let lakefs: Arc<dyn Lakefs> = lake.clone();
        let region = Region {
            lakefs: Arc::clone(&lakefs),
            destination: Arc::new(Store::default()),
            scheme: "s3",
            store: ports::StoreIdentity::Unknown,
        };
        let process = Process { id: "p".into(), node: "n".into(), about: "us".into() };
        let leases = Leases::new(database.clone(), process.clone(), vec![REGION.into()], clock.clone());
        let engine = Engine::new(Parts {
            sources: BTreeMap::from([("east".to_owned(), lakefs)]),
            regions: BTreeMap::from([(REGION.to_owned(), region)]),
            registry: database.clone(),
            table: database.clone(),
            process,
            recorder,
            clock: clock.clone(),
            entropy: clock.clone(),
            settings: Arc::new(Settings {
                scan_interval: Duration::from_secs(60),
                definitions_interval: Duration::from_secs(60),
                recheck: None,
                diagnose_after: Duration::from_secs(60),
                metadata_prefix: "_lakefs/".into(),
                workers: 2,
                branch_concurrency: 1,
            }),
        });
        let mut assignments = Assignments::new(leases, Conditions::new(clock.clone()));
        assert!(engine.read(&mut assignments).await);
        assignments.leases.look().await.unwrap();
        Self { clock, lake, engine, assignments, database, stop: CancellationToken::new() }
    }

    /// Its mirror's, which nothing works at.
    pub(crate) fn context(mut self) -> MirrorContext {
        let definition = self.assignments.definition(&ID).unwrap();
        self.engine.context(definition, &mut self.assignments, &self.stop).unwrap()
    }

    /// As [`Loop::context`], with the clock that it works by.
    pub(crate) fn site_and_clock(self) -> (MirrorContext, Arc<Hand>) {
        let clock = Arc::clone(&self.clock);
        (self.context(), clock)
    }

    pub(crate) async fn take(&mut self) {
        self.engine.take(REGION, &[ID], &mut self.assignments, &self.stop).await.unwrap();
    }

    /// Whether the journal knows of the mirror, and whether it may be begun.
    async fn outcome(&self) -> (bool, bool) {
        let known = self.engine.parts.recorder.read(|state| state.mirror(&ID).is_some()).await.unwrap();
        (known, self.assignments.leases.is_taken(REGION, &ID))
    }
}

#[tokio::test]
async fn what_is_defined_when_it_is_taken_is_driven() {
    let mut this = Loop::that_has_read().await;
    this.take().await;
    assert_eq!(this.outcome().await, (true, true));
}

#[tokio::test]
async fn what_another_process_deleted_before_it_was_taken_is_not_made_again() {
    let mut this = Loop::that_has_read().await;
    this.database.defined.lock().unwrap().clear();
    this.take().await;
    assert_eq!(this.outcome().await, (false, false));
    assert!(this.assignments.definition(&ID).is_none(), "nor does the next turn begin it");
}

#[tokio::test]
async fn a_deletion_that_was_asked_for_before_it_was_taken_is_known() {
    let mut this = Loop::that_has_read().await;
    this.database.defined.lock().unwrap()[0].deleted = true;
    this.take().await;
    assert_eq!(this.outcome().await, (true, true));
    let phase = this.engine.parts.recorder.read(|state| state.mirror(&ID).unwrap().phase).await.unwrap();
    assert_eq!(phase, Phase::Deleting);
}

#[tokio::test]
async fn what_was_taken_is_left_alone_until_the_definitions_can_be_read() {
    let mut this = Loop::that_has_read().await;
    *this.database.down.lock().unwrap() = true;
    this.take().await;
    assert_eq!(this.outcome().await, (false, false));

    *this.database.down.lock().unwrap() = false;
    this.assignments.leases.look().await.unwrap();
    let mirrors = this.assignments.mirrors_of(REGION, |_| true);
    assert_eq!(this.assignments.leases.plan(REGION, &mirrors).unwrap().take, [ID], "it is taken with the next turn");
    this.take().await;
    assert_eq!(this.outcome().await, (true, true));
}
