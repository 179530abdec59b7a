//! Texts from outside of any length: no fact comes of them that a record of the journal cannot hold (I9).

use std::collections::{BTreeMap, BTreeSet};

use lakemirror_journal::bits::{Bits, EncodedBits};
use lakemirror_journal::codec;
use lakemirror_journal::command::{Command, MirrorCommand};
use lakemirror_journal::commit::CommitRecord;
use lakemirror_journal::decide::{Refused, decide};
use lakemirror_journal::event::{Event, RangeReadV1, SourceProbedV1};
use lakemirror_journal::ids::{CommitId, Incarnation, MetarangeId, RangeId};
use lakemirror_journal::limits::NAME_BYTES_MAX;
use lakemirror_journal::log::RECORD_BYTES_LIMIT;
use lakemirror_journal::state::State;
use lakemirror_journal::state::mirror::{Definition, Source};
use lakemirror_journal::state::policy::Policy;

const ID: Incarnation = Incarnation([7; 16]);

fn long() -> String {
    "ü".repeat(150_000)
}

fn definition(name: String) -> Definition {
    let text = || "x".to_owned();
    let (source_repository, source_region, region, storage_namespace) = (text(), text(), text(), text());
    Definition { name, source_repository, source_region, region, storage_namespace, created_ms: 1 }
}

fn source(default_branch: String) -> Source {
    Source { storage_namespace: "s3://b/p".into(), default_branch, creation_date: 1 }
}

fn commit(byte: u8, message: String) -> CommitRecord {
    let metadata = BTreeMap::new();
    let (id, committer, metarange) = (CommitId([byte; 32]), String::new(), Some(MetarangeId([byte; 32])));
    CommitRecord {
        id,
        parents: vec![],
        committer,
        message,
        creation_date: 1,
        metarange,
        metadata,
        generation: 1,
        version: 1,
    }
}

fn ask(state: &mut State, ask: MirrorCommand) -> Result<Vec<Event>, Refused> {
    let events = decide(state, Command::Mirror { mirror: ID, ask, at_ms: 1 })?;
    for event in &events {
        let bytes = codec::encode(event).unwrap().bytes.len();
        assert!(bytes <= RECORD_BYTES_LIMIT, "a fact {} of {bytes} bytes", event.name());
        state.apply(event);
    }
    Ok(events)
}

fn known() -> State {
    let mut state = State::default();
    ask(&mut state, MirrorCommand::Define(definition("m".into()))).unwrap();
    ask(&mut state, MirrorCommand::IdentifySource(source("main".into()))).unwrap();
    state
}

#[test]
fn a_name_that_no_fact_can_hold_is_left_out_and_the_others_are_followed() {
    let mut state = known();
    let listed = vec![(long(), CommitId([1; 32])), ("main".into(), CommitId([2; 32]))];
    ask(
        &mut state,
        MirrorCommand::ObserveBranches { listed, hidden: BTreeSet::from([long()]), proven_gone: vec![long()] },
    )
    .unwrap();
    assert_eq!(state.mirror(&ID).unwrap().branches.keys().collect::<Vec<_>>(), ["main"]);
    let records = vec![commit(1, long()), commit(2, "m".into())];
    assert_eq!(ask(&mut state, MirrorCommand::ObserveCommits(records)).unwrap().len(), 1);
    assert!(state.mirror(&ID).unwrap().graph.get(&CommitId([2; 32])).is_some());
}

#[test]
fn texts_for_people_are_cut_and_noted_once() {
    let mut state = known();
    assert_eq!(
        ask(
            &mut state,
            MirrorCommand::Raise {
                condition: lakemirror_journal::state::condition::MirrorCondition::RepositoryForeign,
                text: long()
            }
        )
        .unwrap()
        .len(),
        1
    );
    assert_eq!(
        ask(
            &mut state,
            MirrorCommand::Raise {
                condition: lakemirror_journal::state::condition::MirrorCondition::RepositoryForeign,
                text: long()
            }
        )
        .unwrap(),
        []
    );
    ask(&mut state, MirrorCommand::Take { epoch: 1, resumed: true, before: long() }).unwrap();
    let (software, recovery, policy) = (long(), long(), Policy::default());
    let started = decide(&state, Command::Start { writer_epoch: 1, software, policy, recovery, at_ms: 1 }).unwrap();
    assert!(started.iter().all(|event| codec::encode(event).unwrap().bytes.len() <= RECORD_BYTES_LIMIT));
}

#[test]
fn what_cannot_be_cut_is_refused() {
    let mut state = known();
    assert!(ask(&mut State::default(), MirrorCommand::Define(definition(long()))).is_err());
    let bytes = "x".repeat(NAME_BYTES_MAX + 1);
    assert!(ask(&mut state, MirrorCommand::IdentifySource(source(bytes))).is_err());
    assert!(ask(&mut state, MirrorCommand::IdentifySource(source("x".repeat(NAME_BYTES_MAX)))).is_ok());
}

#[test]
fn long_lists_are_cut_into_records_or_refused() {
    let mut state = known();
    let head = CommitId([2; 32]);
    ask(
        &mut state,
        MirrorCommand::ObserveBranches {
            listed: vec![("main".into(), head)],
            hidden: BTreeSet::new(),
            proven_gone: vec![],
        },
    )
    .unwrap();
    let many: Vec<CommitRecord> = (0..9000u32)
        .map(|at| {
            let mut record = commit(2, "m".into());
            record.id.0[..4].copy_from_slice(&at.to_le_bytes());
            record
        })
        .chain([commit(2, "m".into())])
        .collect();
    let ids: Vec<CommitId> = many.iter().map(|record| record.id).collect();
    ask(&mut state, MirrorCommand::ObserveCommits(many)).unwrap();
    assert_eq!(ask(&mut state, MirrorCommand::RecordsWritten(ids)).unwrap().len(), 3);

    let range = |at: u32| {
        let mut id = RangeId([9; 32]);
        id.0[..4].copy_from_slice(&at.to_le_bytes());
        id
    };
    let metarange = MetarangeId([2; 32]);
    let ranges = (0..9000).map(|at| (range(at), 4)).collect();
    assert_eq!(ask(&mut state, MirrorCommand::ReadMetarange { metarange, ranges }).unwrap().len(), 3);
    let none = || Bits::none(4).encode();
    let read = |inherited_from| RangeReadV1 {
        mirror: ID,
        range: range(0),
        entries: 4,
        imports: none(),
        inherited: EncodedBits { ..none() },
        inherited_from,
        inherited_oldest_ms: u64::MAX,
        at_ms: 1,
    };
    assert!(ask(&mut state, MirrorCommand::ReadRange(read((1..9000).map(range).collect()))).is_err());
    ask(&mut state, MirrorCommand::ReadRange(read(Vec::new()))).unwrap();
    let probed = |gone| SourceProbedV1 { mirror: ID, range: range(0), gone, there: Vec::new(), at_ms: 1 };
    assert!(ask(&mut state, MirrorCommand::ProbeSource(probed((0..90_000).collect()))).is_err());
    ask(&mut state, MirrorCommand::ProbeSource(probed(vec![1]))).unwrap();
}
