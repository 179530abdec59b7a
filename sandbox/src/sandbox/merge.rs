//! Three-way merge of trees: the destination's and the source's changes since their common base, in one tree.
//!
//! A range that only one side changed, added or removed is taken or dropped as a whole. Where both sides have changes,
//! their records are compared individually. A path that both changed differently is a conflict, unless a strategy
//! decides. Reverts and cherry-picks are merges with other choices of the three trees.

use lakemirror_graveler::metarange::RangeInfo;

use super::build::Builder;
use super::failure::{Failure, Kind, Outcome};
use super::tree::{At, Cursor, Record, Tree};

/// Which side wins a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Neither: the merge fails.
    Fail,
    /// The destination.
    Destination,
    /// The source.
    Source,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Destination,
    Source,
}

/// The next step, from the positions of both walks.
enum Step {
    /// Take the side's range as it is.
    TakeRange(Side),
    /// Leave out the side's range: the other side removed it.
    DropRange(Side),
    /// Both are before ranges with the same bounds: take this side's, drop the other's.
    TakeOfTwo(Side),
    /// Enter the side's range.
    Enter(Side),
    /// Enter both.
    EnterBoth,
    /// The side's record is the only one of its key.
    Alone(Side),
    /// Both have a record of the same key.
    Both,
}

struct Merger<'a, 't> {
    base: &'a Tree<'t>,
    destination: Cursor<'t>,
    source: Cursor<'t>,
    strategy: Strategy,
}

/// Merges `source` into `destination` with the common base `base`, and writes the result to `out`.
///
/// # Errors
/// `Conflict`; errors of reading and writing files.
pub(super) fn merge(
    destination: &Tree<'_>,
    source: &Tree<'_>,
    base: &Tree<'_>,
    strategy: Strategy,
    out: &mut Builder<'_>,
) -> Outcome<()> {
    let mut merger = Merger { base, destination: destination.walk(), source: source.walk(), strategy };
    while let Some(step) = merger.decide() {
        merger.take(step, out)?;
    }
    Ok(())
}

fn conflict() -> Failure {
    Failure::new(Kind::Conflict, "conflict found")
}

impl<'t> Merger<'_, 't> {
    fn decide(&self) -> Option<Step> {
        use Side::{Destination, Source};
        match (self.destination.peek(), self.source.peek()) {
            (None, None) => None,
            (Some(at), None) => Some(self.last(Destination, &at)),
            (None, Some(at)) => Some(self.last(Source, &at)),
            (Some(At::Range(destination)), Some(At::Range(source))) => Some(self.two_ranges(destination, source)),
            (Some(At::Range(range)), Some(At::Record(record))) => {
                Some(self.range_and_record(Destination, range, Source, record))
            }
            (Some(At::Record(record)), Some(At::Range(range))) => {
                Some(self.range_and_record(Source, range, Destination, record))
            }
            (Some(At::Record(destination)), Some(At::Record(source))) => Some(match destination.key.cmp(&source.key) {
                std::cmp::Ordering::Less => Step::Alone(Destination),
                std::cmp::Ordering::Greater => Step::Alone(Source),
                std::cmp::Ordering::Equal => Step::Both,
            }),
        }
    }

    /// The other side has ended.
    fn last(&self, side: Side, at: &At<'_>) -> Step {
        match at {
            At::Record(_) => Step::Alone(side),
            At::Range(range) => self.whole(side, range).unwrap_or(Step::Enter(side)),
        }
    }

    /// Takes or drops a range for which the other side has nothing, if the base allows it without reading the range.
    fn whole(&self, side: Side, range: &RangeInfo) -> Option<Step> {
        match self.base.overlapping(range) {
            None => Some(Step::TakeRange(side)),
            Some(base) if base.id == range.id => Some(Step::DropRange(side)),
            Some(_) => None,
        }
    }

    fn two_ranges(&self, destination: &RangeInfo, source: &RangeInfo) -> Step {
        if destination.id == source.id {
            return Step::TakeOfTwo(Side::Source);
        }
        if destination.min_key == source.min_key && destination.max_key == source.max_key {
            return match self.base.overlapping(source) {
                Some(base) if base.id == source.id => Step::TakeOfTwo(Side::Destination),
                Some(base) if base.id == destination.id => Step::TakeOfTwo(Side::Source),
                _ => Step::EnterBoth,
            };
        }
        let first = match () {
            () if source.max_key < destination.min_key => self.whole(Side::Source, source),
            () if destination.max_key < source.min_key => self.whole(Side::Destination, destination),
            () => None,
        };
        first.unwrap_or(Step::EnterBoth)
    }

    fn range_and_record(&self, side: Side, range: &RangeInfo, other: Side, record: &Record) -> Step {
        if *range.min_key > *record.key {
            return Step::Alone(other);
        }
        let before = *range.max_key < *record.key;
        before.then(|| self.whole(side, range)).flatten().unwrap_or(Step::Enter(side))
    }

    fn walk(&mut self, side: Side) -> &mut Cursor<'t> {
        match side {
            Side::Destination => &mut self.destination,
            Side::Source => &mut self.source,
        }
    }

    fn take(&mut self, step: Step, out: &mut Builder<'_>) -> Outcome<()> {
        match step {
            Step::TakeRange(side) => {
                take_range(self.walk(side), out)?;
                self.walk(side).skip();
            }
            Step::DropRange(side) => self.walk(side).skip(),
            Step::TakeOfTwo(side) => {
                take_range(self.walk(side), out)?;
                self.destination.skip();
                self.source.skip();
            }
            Step::Enter(side) => self.walk(side).enter()?,
            Step::EnterBoth => {
                self.destination.enter()?;
                self.source.enter()?;
            }
            Step::Alone(side) => self.alone(side, out)?,
            Step::Both => self.both(out)?,
        }
        Ok(())
    }

    /// Only one side has the key: it added it, or the other removed it, or one changed what the other removed.
    fn alone(&mut self, side: Side, out: &mut Builder<'_>) -> Outcome<()> {
        if let Some(At::Record(record)) = self.walk(side).peek() {
            let record = record.clone();
            let keep = match self.base.get(&record.key)? {
                None => true,
                Some(base) if base.identity() == record.identity() => false,
                Some(_) => match self.strategy {
                    Strategy::Fail => return Err(conflict()),
                    Strategy::Destination => side == Side::Destination,
                    Strategy::Source => side == Side::Source,
                },
            };
            if keep {
                out.record(&record)?;
            }
        }
        self.walk(side).next();
        Ok(())
    }

    fn both(&mut self, out: &mut Builder<'_>) -> Outcome<()> {
        if let (Some(At::Record(destination)), Some(At::Record(source))) = (self.destination.peek(), self.source.peek())
        {
            let taken = if destination.identity() == source.identity() {
                source
            } else {
                let base = self.base.get(&source.key)?;
                let unchanged =
                    |record: &Record| base.as_ref().is_some_and(|base| base.identity() == record.identity());
                match self.strategy {
                    _ if unchanged(source) => destination,
                    _ if unchanged(destination) => source,
                    Strategy::Destination => destination,
                    Strategy::Source => source,
                    Strategy::Fail => return Err(conflict()),
                }
            };
            out.record(taken)?;
        }
        self.destination.next();
        self.source.next();
        Ok(())
    }
}

fn take_range(walk: &Cursor<'_>, out: &mut Builder<'_>) -> Outcome<()> {
    match walk.peek() {
        Some(At::Range(range)) => out.range(range),
        _ => Ok(()),
    }
}
