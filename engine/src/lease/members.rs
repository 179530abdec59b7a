//! Who is alive, by heartbeats: whether they change, never what time they say.

use std::collections::BTreeMap;
use std::time::Duration;

use lakemirror_core::mutant;

use super::FAILURE_TIMEOUT;
use super::plan::Member;
use crate::ports::Heartbeat;

/// A process has to be seen for so long before mirrors are moved to it that another one has.
const SETTLED_AFTER: Duration = Duration::from_secs(60);

fn patience() -> Duration {
    if mutant::is_on("living_taken_for_dead") { Duration::from_millis(1) } else { FAILURE_TIMEOUT }
}

/// What was seen of the processes of one region.
#[derive(Debug, Default)]
pub(super) struct Members {
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    beat: Heartbeat,
    /// When the first read that showed the process had ended.
    first: Duration,
    /// When the first read that showed this very beat had ended.
    since: Duration,
    dead: bool,
}

impl Members {
    /// Takes what a read found that was sent at `sent` and answered at `now`. Whether anybody came, went or died.
    pub(super) fn take(&mut self, found: Vec<Heartbeat>, sent: Duration, now: Duration) -> bool {
        let before = self.living();
        let mut known = std::mem::take(&mut self.seen);
        for beat in found {
            let old = known.remove(&beat.process);
            let first = old.as_ref().filter(|old| !old.dead).map_or(now, |old| old.first);
            let since = old.as_ref().filter(|old| old.beat.count == beat.count).map_or(now, |old| old.since);
            let dead = beat.ended || sent.saturating_sub(since) >= patience();
            self.seen.insert(beat.process.clone(), Seen { beat, first, since, dead });
        }
        before != self.living()
    }

    fn living(&self) -> Vec<String> {
        self.seen.values().filter(|one| !one.dead).map(|one| one.beat.process.clone()).collect()
    }

    /// The living ones as of the last read, in the order of their ids, `me` among them.
    pub(super) fn alive(&self, me: &Member, now: Duration) -> Vec<Member> {
        let others = self.seen.values().filter(|one| !one.dead && one.beat.process != me.process);
        let others = others.map(|one| Member {
            process: one.beat.process.clone(),
            node: one.beat.node.clone(),
            settled: now.saturating_sub(one.first) >= SETTLED_AFTER,
        });
        let mut alive: Vec<Member> = others.chain([me.clone()]).collect();
        alive.sort_by(|a, b| a.process.cmp(&b.process));
        alive
    }

    /// Another process that works with a copy of this process's journal: one that was seen to beat beside it. The
    /// predecessor of a process that was killed only looks alive for a while.
    pub(super) fn twin(&self, me: &Member) -> Option<&str> {
        let beats = |one: &Seen| !one.dead && one.since > one.first;
        let twin = |one: &&Seen| beats(one) && one.beat.process != me.process && one.beat.node == me.node;
        self.seen.values().find(twin).map(|one| one.beat.about.as_str())
    }

    /// How long this process has to have lived before it counts as settled.
    pub(super) const fn settled_after() -> Duration {
        SETTLED_AFTER
    }
}

#[cfg(test)]
mod tests;
