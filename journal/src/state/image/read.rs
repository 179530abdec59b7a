//! The entries of an image into a state. Whatever the bytes are, memory stays within a small multiple of their length,
//! and nothing panics.

use rkyv::api::high::{HighDeserializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor;

use super::{ENTRY_HEADER_BYTES, IMAGE_VERSION, ImageError, Kind, MirrorHead, Service, digest, digest_of};
use crate::ids::{CommitId, Incarnation, MetarangeId};
use crate::state::State;
use crate::state::archived::Archived;
use crate::state::mirror::Mirror;
use crate::state::policy::ArchivedRule;
use crate::state::tree::Range;

/// The state that an image is of.
///
/// # Errors
/// [`ImageError`]; every sequence of bytes that [`super::write`] does not give is refused.
pub fn read(image: &[u8]) -> Result<State, ImageError> {
    let mut reader = Reader { image, at: 0, state: State::default(), mirror: None, count: 0 };
    reader.read()?;
    // Order, repetitions, trailing bytes, unused bytes inside of values: all of them make another image.
    if digest(&reader.state)? == digest_of(image) { Ok(reader.state) } else { Err(ImageError::NotCanonical) }
}

struct Reader<'a> {
    image: &'a [u8],
    at: usize,
    state: State,
    /// The mirror whose entries are being read.
    mirror: Option<(Incarnation, Mirror)>,
    count: u64,
}

struct Entry<'a> {
    kind: Kind,
    key: &'a [u8],
    value: &'a [u8],
}

/// What is wrong with an entry.
type Fault = String;

impl<'a> Reader<'a> {
    fn read(&mut self) -> Result<(), ImageError> {
        loop {
            let start = self.at;
            let damaged = |what: Fault| ImageError::Damaged { at: start, what };
            let entry = self.next().ok_or_else(|| damaged("no whole entry".to_owned()))?;
            if (start == 0) != (entry.kind == Kind::Service) {
                return Err(damaged("the first entry, and no other, is about the service".to_owned()));
            }
            if start == 0 {
                check_version(entry.key)?;
            }
            if entry.kind == Kind::End {
                self.end_mirror();
                let whole = entry.value == self.count.to_le_bytes() && self.at == self.image.len();
                return if whole { Ok(()) } else { Err(damaged("entries are missing, or too many".to_owned())) };
            }
            self.count += 1;
            self.take(&entry).map_err(damaged)?;
        }
    }

    fn next(&mut self) -> Option<Entry<'a>> {
        let rest = self.image.get(self.at..)?;
        let (header, rest) = rest.split_first_chunk::<ENTRY_HEADER_BYTES>()?;
        let number = |at: usize| header.get(at..at + 4)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes));
        let kind = Kind::of(number(0)?)?;
        let (key_len, value_len) = (usize::try_from(number(4)?).ok()?, usize::try_from(number(8)?).ok()?);
        let (key, rest) = rest.split_at_checked(key_len)?;
        let value = rest.get(..value_len)?;
        self.at += ENTRY_HEADER_BYTES + key_len + value_len;
        Some(Entry { kind, key, value })
    }

    fn take(&mut self, entry: &Entry<'_>) -> Result<(), Fault> {
        let Entry { kind, key, value } = *entry;
        match kind {
            Kind::Service => {
                let Service { writer_epoch, policy, snapshot, checks, ignored_events } = decode(value)?;
                (self.state.writer_epoch, self.state.policy) = (writer_epoch, policy);
                (self.state.lifecycle.snapshot, self.state.checks, self.state.ignored_events) =
                    (snapshot, checks, ignored_events);
            }
            Kind::Archive if value.is_empty() => self.state.policy.archived = ArchivedRule::Block,
            Kind::Archive => return Err("it has no value".to_owned()),
            Kind::Loss => self.state.lifecycle.losses.push(decode(value)?),
            Kind::Segment => {
                let first = u64::from_le_bytes(fixed(key)?);
                self.state.lifecycle.segments.insert(first, decode(value)?);
            }
            Kind::Gone => {
                self.state.gone_ms.insert(text(key)?, u64::from_le_bytes(fixed(value)?));
            }
            Kind::Gap => self.state.lifecycle.gaps.push(decode(value)?),
            Kind::Database => self.state.database.generation = u64::from_le_bytes(fixed(value)?),
            Kind::DatabaseItem => {
                self.state.database.items.insert(text(key)?, text(value)?);
            }
            Kind::Mirror => {
                self.end_mirror();
                self.mirror = Some((Incarnation(fixed(key)?), mirror(decode(value)?)));
            }
            _ => {
                let (_, mirror) = self.mirror.as_mut().ok_or("it is of a mirror, and there was none")?;
                take_of_mirror(mirror, entry)?;
            }
        }
        Ok(())
    }

    fn end_mirror(&mut self) {
        if let Some((id, mirror)) = self.mirror.take() {
            self.state.mirrors.insert(id, mirror);
        }
    }
}

fn check_version(key: &[u8]) -> Result<(), ImageError> {
    let damaged = |what| ImageError::Damaged { at: 0, what };
    match u16::from_le_bytes(fixed(key).map_err(damaged)?) {
        1..=IMAGE_VERSION => Ok(()),
        0 => Err(damaged("version 0".to_owned())),
        found => Err(ImageError::Newer { found }),
    }
}

fn take_of_mirror(mirror: &mut Mirror, entry: &Entry<'_>) -> Result<(), Fault> {
    let Entry { kind, key, value } = *entry;
    match kind {
        Kind::Branch => {
            mirror.branches.insert(text(key)?, decode(value)?);
        }
        Kind::Condition => {
            let [number] = fixed(key)?;
            mirror.raised.insert(number, decode(value)?);
        }
        Kind::Hold => {
            mirror.holds.insert(text(key)?, decode(value)?);
        }
        Kind::Commit => {
            mirror.graph.commits.insert(CommitId(fixed(key)?), decode(value)?);
        }
        Kind::Frontier => {
            mirror.graph.frontier.insert(CommitId(fixed(key)?));
        }
        Kind::Children => {
            let children = value.chunks(32).map(|id| fixed(id).map(CommitId)).collect::<Result<_, _>>()?;
            mirror.graph.children.insert(CommitId(fixed(key)?), children);
        }
        Kind::Resident => {
            mirror.resident.insert(CommitId(fixed(key)?));
        }
        Kind::Range => take_range(mirror, decode(value)?)?,
        Kind::Archived => take_archived(mirror, value)?,
        Kind::Metarange => {
            mirror.trees.metaranges.insert(MetarangeId(fixed(key)?), decode(value)?);
        }
        Kind::Service
        | Kind::Archive
        | Kind::Loss
        | Kind::Segment
        | Kind::Gone
        | Kind::Mirror
        | Kind::End
        | Kind::Gap
        | Kind::Database
        | Kind::DatabaseItem => {
            return Err("it is not of a mirror".to_owned());
        }
    }
    Ok(())
}

fn take_range(mirror: &mut Mirror, range: Range) -> Result<(), Fault> {
    let sound = range.detail.as_deref().is_none_or(|detail| detail.missing.is_sound() && detail.imports.is_sound());
    if !sound {
        return Err(format!("a set of entries of range {} is malformed", range.id));
    }
    let index = u32::try_from(mirror.trees.ranges.len()).map_err(|_| "too many ranges")?;
    if mirror.trees.range_index.insert(range.id, index).is_some() {
        return Err(format!("range {} is there twice", range.id));
    }
    mirror.trees.ranges.push(range);
    Ok(())
}

/// Archived entries of the range that was read last.
fn take_archived(mirror: &mut Mirror, value: &[u8]) -> Result<(), Fault> {
    let detail = mirror.trees.ranges.last_mut().and_then(|range| range.detail.as_deref_mut());
    let detail = detail.ok_or("archived entries follow no range that has a detail")?;
    let (entries, rest) = value.as_chunks::<6>();
    if !rest.is_empty() {
        return Err("archived entries are cut short".to_owned());
    }
    for [a, b, c, d, class, shown] in entries.iter().copied() {
        let archived = Archived { class, shown: shown == 1 };
        detail.archived.insert(u32::from_le_bytes([a, b, c, d]), archived);
    }
    Ok(())
}

fn mirror(head: MirrorHead) -> Mirror {
    let MirrorHead { definition, phase, adopted_ms, source, trouble, checks, moves, published } = head;
    Mirror { phase, adopted_ms, source, trouble, checks, moves, published, ..Mirror::new(definition) }
}

fn decode<T>(bytes: &[u8]) -> Result<T, Fault>
where
    T: rkyv::Archive,
    T::Archived:
        for<'a> CheckBytes<HighValidator<'a, rancor::Error>> + rkyv::Deserialize<T, HighDeserializer<rancor::Error>>,
{
    rkyv::from_bytes(bytes).map_err(|error: rancor::Error| error.to_string())
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Fault> {
    bytes.try_into().map_err(|_| format!("{} bytes where {N} belong", bytes.len()))
}

fn text(bytes: &[u8]) -> Result<String, Fault> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| error.to_string())
}
