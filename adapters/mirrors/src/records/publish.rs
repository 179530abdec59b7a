//! Summaries in the database: written by the mirror's region, only what changed; read by everybody.
//!
//! Owns the order of the writes: parts first, so that the first item never speaks of what is not there yet where the
//! database is one; what an earlier layout left behind goes last.

use super::stored::{self, Main, Part};
use super::write::Step;
use super::*;

/// Digest and stamp of a part.
type Known = (blake3::Hash, Stamp);

/// What this process last wrote of a mirror's parts, so that an unchanged part is not even read.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<BTreeMap<Incarnation, Vec<Known>>>);

impl Written {
    fn of(&self, mirror: Incarnation, epoch: u64) -> Vec<Known> {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |parts: &&Vec<Known>| parts.iter().all(|(_, stamp)| stamp.epoch <= epoch);
        written.get(&mirror).filter(of).cloned().unwrap_or_default()
    }

    fn remember(&self, mirror: Incarnation, parts: Vec<Known>) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match parts.is_empty() {
            true => written.remove(&mirror),
            false => written.insert(mirror, parts),
        };
    }
}

const PARTS: &str = "branches/";

fn parts_prefix(region: &str, incarnation: Incarnation) -> String {
    format!("{PARTS}{region}/{incarnation}/")
}

fn part_key(region: &str, part: &Part) -> String {
    format!("{}{:04}-{:04}", parts_prefix(region, part.incarnation), part.of, part.part)
}

impl Records {
    /// Publishes a status of a mirror of `region`. Only what changed is written; a lower or equal stamp never overwrites
    /// another status.
    ///
    /// # Errors
    /// [`RecordsError`]; parts may have been written then, and the call can be repeated.
    pub async fn put_summary(&self, region: &str, summary: &Summary) -> Result<Published, RecordsError> {
        let key = summary_key(region, summary.incarnation);
        let refused = |what| RecordsError::Unreadable { key: key.clone(), what };
        let before = self.written.of(summary.incarnation, summary.stamp.epoch);
        let (mut main, mut parts) = stored::split(summary, before.len()).map_err(refused)?;
        if !parts.is_empty() && before.is_empty() {
            // Another process may have chosen the layout, or a later one may be at work.
            let there = self.read::<Main>(&key).await?.map(|(_, main)| main);
            if there.as_ref().is_some_and(|there| there.summary.stamp > summary.stamp) {
                return Ok(Published::Outdated);
            }
            (main, parts) = stored::split(summary, there.map_or(0, |there| there.parts.len())).map_err(refused)?;
        }
        let Some(stamps) = self.put_parts(region, &parts, &before).await? else { return Ok(Published::Outdated) };
        main.parts = stamps.iter().map(|(_, stamp)| *stamp).collect();
        let (published, earlier) = self.put_main(&key, &main).await?;
        if published == Published::Outdated {
            return Ok(published);
        }
        self.written.remember(summary.incarnation, stamps);
        if earlier != parts.len() {
            self.remove_parts(region, summary.incarnation, parts.len()).await?;
        }
        Ok(published)
    }

    /// Writes the first item; also how many parts the one before had.
    async fn put_main(&self, key: &str, main: &Main) -> Result<(Published, usize), RecordsError> {
        let stamp = main.summary.stamp;
        self.modify(key, |found: Option<Main>| {
            let earlier = found.as_ref().map_or(0, |found| found.parts.len());
            let (step, published) = match found {
                Some(found) if found.summary.stamp > stamp => (Step::Leave, Published::Outdated),
                Some(found) if found.summary.stamp.epoch == stamp.epoch && found.says_what(main) => {
                    (Step::Leave, Published::Unchanged)
                }
                Some(found) if found.summary.stamp == stamp => (Step::Leave, Published::Outdated),
                _ => (Step::Write(main.clone()), Published::Written),
            };
            Ok((step, (published, earlier)))
        })
        .await
    }

    /// Writes the parts that are new; digest and stamp of all, or nothing where a later summary's is there.
    async fn put_parts(
        &self,
        region: &str,
        parts: &[Part],
        before: &[Known],
    ) -> Result<Option<Vec<Known>>, RecordsError> {
        let mut stamps = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            let key = part_key(region, part);
            let digest = part.digest().map_err(|what| RecordsError::Unreadable { key: key.clone(), what })?;
            // The digest has the layout in it.
            if let Some(same) = before.get(number).filter(|(before, _)| *before == digest) {
                stamps.push(*same);
                continue;
            }
            let stamp = self
                .modify(&key, |found: Option<Part>| {
                    Ok::<_, RecordsError>(match found {
                        Some(found) if found.stamp > part.stamp => (Step::Leave, None),
                        Some(found) if found.says_what(part) => (Step::Leave, Some(found.stamp)),
                        _ => (Step::Write(part.clone()), Some(part.stamp)),
                    })
                })
                .await?;
            let Some(stamp) = stamp else { return Ok(None) };
            stamps.push((digest, stamp));
        }
        Ok(Some(stamps))
    }

    /// Removes the parts of layouts other than `of`.
    async fn remove_parts(&self, region: &str, incarnation: Incarnation, of: usize) -> Result<(), RecordsError> {
        for (key, _, part) in self.whole::<Part>(&parts_prefix(region, incarnation)).await? {
            if part.of != of {
                self.modify(&key, |_: Option<Part>| Ok::<_, RecordsError>((Step::Remove, ()))).await?;
            }
        }
        Ok(())
    }

    /// Removes all of a mirror's summary.
    pub(super) async fn remove_summary(&self, region: &str, incarnation: Incarnation) -> Result<(), RecordsError> {
        self.modify(&summary_key(region, incarnation), |found: Option<Main>| {
            Ok::<_, RecordsError>((if found.is_some() { Step::Remove } else { Step::Leave }, ()))
        })
        .await?;
        self.written.remember(incarnation, Vec::new());
        self.remove_parts(region, incarnation, 0).await
    }

    /// Removes what is left of summaries of mirrors of `region` that nobody defines any more and that were written before
    /// `before_ms`: a process that was paused may write one more after the mirror is gone. Returns how many.
    pub(super) async fn remove_orphans(
        &self,
        region: &str,
        known: &BTreeSet<Incarnation>,
        before_ms: u64,
    ) -> Result<u64, RecordsError> {
        let own = format!("{SUMMARIES}{region}/");
        let (found, _) = self.list(SUMMARIES, &self.summaries, |main: &Main| main.summary.stamp).await?;
        let orphans = found.iter().filter(|(key, main)| {
            let summary = &main.summary;
            key.starts_with(&own) && !known.contains(&summary.incarnation) && summary.written_at_ms <= before_ms
        });
        let mut removed = 0;
        for (_, main) in orphans {
            self.remove_summary(region, main.summary.incarnation).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// The last status of every mirror whose region has published one. Unusable ones are left out.
    ///
    /// # Errors
    /// [`RecordsError::Fault`].
    pub async fn summaries(&self) -> Result<BTreeMap<Incarnation, Summary>, RecordsError> {
        let (found, _) = self.list(SUMMARIES, &self.summaries, |main: &Main| main.summary.stamp).await?;
        let mut parts: BTreeMap<Incarnation, Vec<Part>> = BTreeMap::new();
        if found.values().any(|main| !main.parts.is_empty()) {
            let (all, _) = self.list(PARTS, &self.parts, |part: &Part| part.stamp).await?;
            all.into_values().for_each(|part| parts.entry(part.incarnation).or_default().push(part));
        }
        let joined = |main: Main| {
            let parts = parts.remove(&main.summary.incarnation).unwrap_or_default();
            (main.summary.incarnation, stored::join(main, parts))
        };
        Ok(found.into_values().map(joined).collect())
    }

    /// The last published status of one mirror.
    ///
    /// # Errors
    /// [`RecordsError::Fault`], or `Unreadable` where a newer lakemirror has written it.
    pub async fn summary(&self, region: &str, incarnation: Incarnation) -> Result<Option<Summary>, RecordsError> {
        let key = summary_key(region, incarnation);
        let Some((_, main)) = self.read::<Main>(&key).await? else { return Ok(None) };
        let main = self.summaries.newest(&key, main.summary.stamp, main);
        if main.parts.is_empty() {
            return Ok(Some(stored::join(main, [])));
        }
        let parts = self.whole::<Part>(&parts_prefix(region, incarnation)).await?;
        let newest = parts.into_iter().map(|(key, _, part)| self.parts.newest(&key, part.stamp, part));
        Ok(Some(stored::join(main, newest)))
    }
}
