//! A journal writer that knows what is durable and checks every claim about it, and the questions that the scenarios
//! ask a journal with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Still;
use crate::codec;
use crate::command::{MirrorCommand, UpkeepStep};
use crate::engine::recorder::{self, Digest, Entry, Halt, JournalWriter, RecordError, Recorder, RecorderThread};
use crate::event::Event;
use crate::ids::Incarnation;
use crate::state::State;
use crate::state::mirror::Definition;
use crate::sync::point;

/// What is durable, independent of the journal's thread. Its lock is std's: the holder never yields to the scheduler.
#[derive(Clone)]
pub(crate) struct Paper(Arc<Mutex<Durable>>);

struct Durable {
    state: State,
    events: Vec<Event>,
    failed: bool,
}

impl Paper {
    fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(Durable { state, events: Vec::new(), failed: false })))
    }

    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asserts that reported facts are durable.
    pub(crate) fn must_have(&self, facts: &[Event]) {
        let durable = self.durable();
        for fact in facts {
            assert!(durable.events.contains(fact), "acknowledged, and not durable: {fact:?}");
        }
    }

    /// Asserts that a shown state is the durable one.
    pub(crate) fn must_be(&self, shown: &State, head: (u64, [u8; 32])) {
        let durable = self.durable();
        assert!(durable.state == *shown, "shown, and not what is durable");
        assert_eq!(head.0, durable.events.len() as u64, "shown with another head than that of what is durable");
    }

    /// The texts of one asker's commands, in the journal's order.
    pub(crate) fn texts(&self, who: u8) -> Vec<String> {
        let durable = self.durable();
        let of_asker = |event: &Event| match event {
            Event::ConditionRaised(noted) if noted.mirror == mirror(who) => Some(noted.text.clone()),
            _ => None,
        };
        durable.events.iter().filter_map(of_asker).collect()
    }

    /// Number of facts of the journal about its own files.
    pub(crate) fn seals(&self) -> usize {
        self.durable().events.iter().filter(|event| matches!(event, Event::SegmentSealed(_))).count()
    }
}

/// Writes to the paper, slowly.
pub(crate) struct Slow {
    pub(crate) paper: Paper,
    /// Number of commits until one ends a segment.
    pub(crate) seals_after: Option<u32>,
    /// Number of commits until one fails.
    pub(crate) fails_after: Option<u32>,
}

impl Slow {
    pub(crate) fn steady(paper: &Paper) -> Self {
        Self { paper: paper.clone(), seals_after: None, fails_after: None }
    }

    fn write(&self, entries: &[Entry]) {
        let mut durable = self.paper.durable();
        for Entry { payload, .. } in entries {
            let event = codec::decode(payload.kind, payload.version, &payload.bytes).unwrap();
            durable.state.apply(&event);
            durable.events.push(event);
        }
    }
}

/// Counts down; returns whether it is due.
fn due(after: &mut Option<u32>) -> bool {
    let left = after.take();
    *after = left.and_then(|left| left.checked_sub(1));
    left == Some(0)
}

impl JournalWriter for Slow {
    fn commit(&mut self, entries: &[Entry], _wall_ms: u64, _digest: Digest<'_>) -> Result<Option<UpkeepStep>, Halt> {
        assert!(!self.paper.durable().failed, "written after a write had failed");
        point();
        if due(&mut self.fails_after) {
            // Part of it may have been written.
            self.write(entries.get(1..).unwrap_or_default());
            self.paper.durable().failed = true;
            return Err(Halt::Volume("the disk is full".to_owned()));
        }
        self.write(entries);
        point();
        let last = self.head().0;
        Ok(due(&mut self.seals_after).then_some(UpkeepStep::Sealed {
            first: 1,
            last,
            frames: 1,
            bytes: 4096,
            checks: 0,
            hash: [1; 32],
            last_frame: [2; 32],
        }))
    }

    fn head(&self) -> (u64, [u8; 32]) {
        (self.paper.durable().events.len() as u64, [0; 32])
    }
}

/// Each asker has its own mirror.
pub(crate) fn mirror(who: u8) -> Incarnation {
    Incarnation([who; 16])
}

/// A state with the mirrors of this many askers, and the paper for it.
pub(crate) fn paper(askers: u8) -> (State, Paper) {
    let mut state = State::default();
    for who in 0..askers {
        let definition = Definition {
            name: format!("mirror-{who}"),
            source_repository: "source".to_owned(),
            source_region: "eu-central-1".to_owned(),
            region: "us-east-1".to_owned(),
            storage_namespace: format!("s3://bucket/{who}"),
            created_ms: 0,
        };
        let define =
            crate::command::Command::Mirror { mirror: mirror(who), ask: MirrorCommand::Define(definition), at_ms: 0 };
        for event in crate::decide::decide(&state, define).unwrap() {
            state.apply(&event);
        }
    }
    let paper = Paper::new(state.clone());
    (state, paper)
}

/// Starts the journal's thread with a journal writer.
pub(crate) fn start(state: State, writer: Slow) -> (Recorder, RecorderThread) {
    recorder::start(state, Box::new(writer), Arc::new(Still)).unwrap()
}

/// The text of an asker's command.
pub(crate) fn text(who: u8, turn: u8) -> String {
    format!("{who}.{turn}")
}

/// Records one fact, and compares the answer with the command and with what is durable.
pub(crate) async fn ask(recorder: &Recorder, paper: &Paper, who: u8, turn: u8) -> Result<(), RecordError> {
    let facts = recorder
        .ask(
            mirror(who),
            MirrorCommand::Raise {
                condition: lakemirror_journal::state::condition::MirrorCondition::Other(0),
                text: text(who, turn),
            },
        )
        .await?;
    let [Event::ConditionRaised(noted)] = &facts[..] else { panic!("an answer to another question: {facts:?}") };
    assert_eq!((noted.mirror, &noted.text), (mirror(who), &text(who, turn)), "an answer to another question");
    paper.must_have(&facts);
    Ok(())
}

/// Reads the state, and compares it with what is durable.
pub(crate) async fn look(recorder: &Recorder, paper: &Paper) -> Result<(), RecordError> {
    let paper = paper.clone();
    recorder.read_with_head(move |state, head| paper.must_be(state, head)).await
}
