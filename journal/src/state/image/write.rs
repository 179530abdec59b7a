//! A state into the entries of its image, in their order.

use std::collections::BTreeMap;

use rkyv::api::high::{HighSerializer, to_bytes_in};
use rkyv::rancor;
use rkyv::ser::allocator::ArenaHandle;

use super::{ENTRY_HEADER_BYTES, ImageError, Kind, MirrorHead, Service};
use crate::ids::{CommitId, Incarnation};
use crate::state::State;
use crate::state::archived::Archived;
use crate::state::database::Database;
use crate::state::graph::Graph;
use crate::state::lifecycle::SegmentLifecycle;
use crate::state::mirror::Mirror;
use crate::state::policy::ArchivedRule;
use crate::state::tree::{Range, Trees};

/// Bytes that are gathered before they are given out.
const GATHERED_BYTES: usize = 64 * 1024;

/// Writes the image of a state, some bytes at a time; needs memory for its largest entry only.
///
/// # Errors
/// [`ImageError::Encode`]; what was given out is then no image.
pub fn write(state: &State, out: impl FnMut(&[u8])) -> Result<(), ImageError> {
    // Every field is named here and below: one that is added does not compile before it has its place.
    let State { writer_epoch, policy, mirrors, gone_ms, lifecycle, database, checks, ignored_events } = state;
    let SegmentLifecycle { segments, snapshot, losses, gaps } = lifecycle;
    let mut entries = Entries { out, gathered: Vec::new(), value: Vec::new(), count: 0 };
    let service = Service {
        writer_epoch: *writer_epoch,
        policy: policy.clone(),
        snapshot: *snapshot,
        checks: *checks,
        ignored_events: *ignored_events,
    };
    let version: u16 =
        if is_of_version_1(state) && gaps.is_empty() && *database == Database::default() { 1 } else { 2 };
    entries.put(Kind::Service, &version.to_le_bytes(), &service)?;
    if policy.archived == ArchivedRule::Block {
        entries.put_raw(Kind::Archive, &[], &[])?;
    }
    for loss in losses {
        entries.put(Kind::Loss, &[], loss)?;
    }
    for (first, segment) in segments {
        entries.put(Kind::Segment, &first.to_le_bytes(), segment)?;
    }
    for (name, at_ms) in gone_ms {
        entries.put_raw(Kind::Gone, name.as_bytes(), &at_ms.to_le_bytes())?;
    }
    for (id, mirror) in mirrors {
        entries.put_mirror(id, mirror)?;
    }
    for gap in gaps {
        entries.put(Kind::Gap, &[], gap)?;
    }
    let Database { generation, items } = database;
    if *generation > 0 {
        entries.put_raw(Kind::Database, &[], &generation.to_le_bytes())?;
    }
    for (key, value) in items {
        entries.put_raw(Kind::DatabaseItem, key.as_bytes(), value.as_bytes())?;
    }
    let count = entries.count;
    entries.put_raw(Kind::End, &[], &count.to_le_bytes())?;
    entries.flush();
    Ok(())
}

/// Whether the state has nothing that version 1 has no place for.
fn is_of_version_1(state: &State) -> bool {
    let ranges = state.mirrors.values().flat_map(|mirror| &mirror.trees.ranges);
    let mut archived = ranges.filter_map(|range| range.detail.as_deref()).map(|detail| &detail.archived);
    let conditions = state.mirrors.values().any(|mirror| !mirror.raised.is_empty());
    state.policy.archived == ArchivedRule::Report && archived.all(BTreeMap::is_empty) && !conditions
}

struct Entries<Out> {
    out: Out,
    gathered: Vec<u8>,
    value: Vec<u8>,
    count: u64,
}

impl<Out: FnMut(&[u8])> Entries<Out> {
    fn put_mirror(&mut self, id: &Incarnation, mirror: &Mirror) -> Result<(), ImageError> {
        let Mirror { branches, holds, graph, trees, resident, raised, .. } = mirror;
        self.put(Kind::Mirror, &id.0, &head(mirror))?;
        for (condition, raised) in raised {
            self.put(Kind::Condition, &[*condition], raised)?;
        }
        for (name, branch) in branches {
            self.put(Kind::Branch, name.as_bytes(), branch)?;
        }
        for (name, hold) in holds {
            self.put(Kind::Hold, name.as_bytes(), hold)?;
        }
        let Graph { commits, frontier, children } = graph;
        for (id, commit) in commits {
            self.put(Kind::Commit, &id.0, commit)?;
        }
        for id in frontier {
            self.put_raw(Kind::Frontier, &id.0, &[])?;
        }
        for (id, children) in children {
            let children: Vec<u8> = children.iter().flat_map(|CommitId(id)| *id).collect();
            self.put_raw(Kind::Children, &id.0, &children)?;
        }
        for id in resident {
            self.put_raw(Kind::Resident, &id.0, &[])?;
        }
        // The index of ranges by their ids follows from their order.
        let Trees { ranges, range_index: _, metaranges } = trees;
        for range in ranges {
            self.put(Kind::Range, &[], range)?;
            self.put_archived(range)?;
        }
        for (id, metarange) in metaranges {
            self.put(Kind::Metarange, &id.0, metarange)?;
        }
        Ok(())
    }

    /// Right behind the range, so that it needs no key.
    fn put_archived(&mut self, range: &Range) -> Result<(), ImageError> {
        let Some(detail) = range.detail.as_deref().filter(|detail| !detail.archived.is_empty()) else { return Ok(()) };
        let bytes = |(ordinal, archived): (&u32, &Archived)| {
            let [a, b, c, d] = ordinal.to_le_bytes();
            [a, b, c, d, archived.class, u8::from(archived.shown)]
        };
        let value: Vec<u8> = detail.archived.iter().flat_map(bytes).collect();
        self.put_raw(Kind::Archived, &[], &value)
    }

    fn put<T>(&mut self, kind: Kind, key: &[u8], value: &T) -> Result<(), ImageError>
    where
        T: for<'a> rkyv::Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, rancor::Error>>,
    {
        let mut buffer = std::mem::take(&mut self.value);
        buffer.clear();
        let bytes = to_bytes_in(value, buffer).map_err(|error: rancor::Error| ImageError::Encode(error.to_string()))?;
        let put = self.put_raw(kind, key, &bytes);
        self.value = bytes;
        put
    }

    fn put_raw(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), ImageError> {
        let too_long = |_| ImageError::Encode(format!("an entry of {} bytes", value.len()));
        let lengths = (u32::try_from(key.len()).map_err(too_long)?, u32::try_from(value.len()).map_err(too_long)?);
        if self.gathered.len().saturating_add(ENTRY_HEADER_BYTES + key.len() + value.len()) > GATHERED_BYTES {
            self.flush();
        }
        for number in [kind as u32, lengths.0, lengths.1] {
            self.gathered.extend_from_slice(&number.to_le_bytes());
        }
        self.gathered.extend_from_slice(key);
        if value.len() > GATHERED_BYTES {
            self.flush();
            (self.out)(value);
        } else {
            self.gathered.extend_from_slice(value);
        }
        self.count += 1;
        Ok(())
    }

    fn flush(&mut self) {
        if !self.gathered.is_empty() {
            (self.out)(&self.gathered);
            self.gathered.clear();
        }
    }
}

fn head(mirror: &Mirror) -> MirrorHead {
    let Mirror {
        definition,
        phase,
        adopted_ms,
        source,
        trouble,
        raised: _,
        branches: _,
        holds: _,
        graph: _,
        trees: _,
        resident: _,
        checks,
        moves,
        published,
    } = mirror;
    MirrorHead {
        definition: definition.clone(),
        phase: *phase,
        adopted_ms: *adopted_ms,
        source: source.clone(),
        trouble: trouble.clone(),
        checks: *checks,
        moves: *moves,
        published: *published,
    }
}
