//! Points in time of a journal: how they are written and shown.
//!
//! A point is a record number or a time. A time is RFC 3339 (`2026-11-24T12:34:56.5Z`, any offset), the same without an
//! offset (UTC), a date (midnight UTC), or a time of day (`12:34`, `12:34:56.789`) on the UTC day of the journal's last
//! record. Times are those of the writer's clock at each commit, in milliseconds.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use lakemirror_journal::log::{FrameInfo, RawRecord, Replay, ReplayRefused, SnapshotHeader};

use super::begin::not_all_at_hand;
use super::replay::End;
use super::{EvidenceError, Source};

/// A point in time, as the user gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// After this record.
    Seq(u64),
    /// At this time, milliseconds since 1970.
    At(u64),
    /// At this time of the journal's last day, milliseconds since midnight UTC.
    OfLastDay(u64),
}

/// A point in time of one journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointInTime {
    /// After this record.
    Seq(u64),
    /// At this time, milliseconds since 1970: after the last frame before the first one that was committed later.
    At(u64),
}

/// A text that is not a point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a record's number nor a time: write 8123, 2026-11-24T12:34:56Z, or 12:34:56 for a time (UTC) of the journal's last day"
)]
pub struct NotAPointInTime(String);

impl FromStr for Asked {
    type Err = NotAPointInTime;

    fn from_str(text: &str) -> Result<Self, NotAPointInTime> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Seq).map_err(|_| NotAPointInTime(text.to_owned()));
        }
        parse_time(text).ok_or_else(|| NotAPointInTime(text.to_owned()))
    }
}

/// Parses a time; record numbers are not accepted.
///
/// # Errors
/// [`NotAPointInTime`].
pub fn time(text: &str) -> Result<Asked, NotAPointInTime> {
    parse_time(text).ok_or_else(|| NotAPointInTime(text.to_owned()))
}

fn parse_time(text: &str) -> Option<Asked> {
    let at = |stamp: Timestamp| u64::try_from(stamp.as_millisecond()).ok().map(Asked::At);
    // Test for a colon first, because jiff accepts `1234` and `T12` as times.
    let looks_like_time_of_day = text.get(2..3) == Some(":");
    if looks_like_time_of_day {
        let midnight = Time::midnight();
        let since = text.parse::<Time>().ok()?.duration_since(midnight).as_millis();
        return u64::try_from(since).ok().map(Asked::OfLastDay);
    }
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return at(stamp);
    }
    let civil = text.parse::<Date>().ok().filter(|_| text.len() == 10).map(DateTime::from);
    let civil = civil.or_else(|| text.parse::<DateTime>().ok())?;
    at(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

impl Asked {
    /// Resolves the point in the journal in `source`. Reads the journal once for a time of day.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn resolve(self, source: &Source) -> Result<PointInTime, EvidenceError> {
        match self {
            Self::Seq(seq) => Ok(PointInTime::Seq(seq)),
            Self::At(ms) => Ok(PointInTime::At(ms)),
            Self::OfLastDay(since_midnight) => {
                let mut last = LastTime(0);
                source.read_oldest(&mut last)?;
                Ok(PointInTime::At(last.0 - last.0 % DAY_MS + since_midnight))
            }
        }
    }
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

struct LastTime(u64);

impl Replay for LastTime {
    fn record(&mut self, _: u64, _: RawRecord<'_>, _: &FrameInfo) -> Result<(), ReplayRefused> {
        Ok(())
    }

    fn frame(&mut self, frame: &FrameInfo) -> Result<(), ReplayRefused> {
        self.0 = frame.wall_ms;
        Ok(())
    }

    fn wants_records(&self) -> bool {
        false
    }
}

impl PointInTime {
    /// Whether a record was durable at the point. The first record that was not ends it.
    pub(crate) fn includes(&self, seq: u64, frame: &FrameInfo) -> bool {
        match self {
            Self::Seq(last) => seq <= *last,
            Self::At(ms) => frame.wall_ms <= *ms,
        }
    }

    fn is_before(&self, begin: &SnapshotHeader) -> bool {
        match self {
            Self::Seq(seq) => *seq < begin.seq,
            Self::At(ms) => *ms < begin.wall_ms,
        }
    }

    /// Whether the point can be answered: it must not be before the snapshot with which the available records begin,
    /// nor a record number after the end. A time after the last record is accepted: the answer is what was known then.
    pub(crate) fn check(&self, end: &End, begin: Option<&SnapshotHeader>) -> Result<(), EvidenceError> {
        if let Some(begin) = begin.filter(|begin| self.is_before(begin)) {
            let SnapshotHeader { seq, wall_ms, .. } = *begin;
            let begins = format!("begins with the state after record {seq}, of {}", show(wall_ms));
            let text = format!("what is at hand {begins}: {}", not_all_at_hand(seq.saturating_add(1)));
            return Err(EvidenceError::NotSeen(text));
        }
        let Self::Seq(asked) = *self else { return Ok(()) };
        if asked <= end.seq {
            return Ok(());
        }
        Err(EvidenceError::NotSeen(match end.seq {
            0 => format!("the journal has no record {asked}: it has no records yet"),
            last => format!("the journal has no record {asked}: it ends with record {last}, of {}", show(end.wall_ms)),
        }))
    }
}

/// A time as RFC 3339 in UTC with milliseconds; as a number if it is out of the calendar's range.
#[must_use]
pub fn show(ms: u64) -> String {
    match i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()) {
        Some(stamp) => format!("{stamp:.3}"),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_523_696_000;

    #[test]
    fn moments_are_read() {
        for (text, asked) in [
            ("8123", Asked::Seq(8123)),
            ("2026-11-24T12:34:56Z", Asked::At(NOON)),
            ("2026-11-24T12:34:56.789Z", Asked::At(NOON + 789)),
            ("2026-11-24T14:34:56+02:00", Asked::At(NOON)),
            ("2026-11-24T12:34:56", Asked::At(NOON)),
            ("2026-11-24 12:34:56", Asked::At(NOON)),
            ("2026-11-24", Asked::At(NOON - 45_296_000)),
            ("12:34:56", Asked::OfLastDay(45_296_000)),
            ("12:34", Asked::OfLastDay(45_240_000)),
            ("12:34:56.5", Asked::OfLastDay(45_296_500)),
        ] {
            assert_eq!(text.parse(), Ok(asked), "{text}");
        }
    }

    #[test]
    fn invalid_point_in_time_is_refused() {
        for text in ["", "x", "-1", "25:00", "12:34:56 ", "1234567890123456789012", "2026-13-01", "1969-01-01"] {
            assert_eq!(text.parse::<Asked>(), Err(NotAPointInTime(text.to_owned())));
        }
        assert!(time("8123").is_err(), "a number is not a time");
    }

    #[test]
    fn times_are_shown_with_milliseconds() {
        assert_eq!(show(NOON), "2026-11-24T12:34:56.000Z");
        assert_eq!(show(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(show(u64::MAX), "18446744073709551615 ms");
    }
}
