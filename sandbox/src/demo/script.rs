//! The order of events at the source while the mirror is active. Every wait is bounded and names what it waited for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lakemirror_api::types::Mirror;
use lakemirror_core::causes::chain;
use lakemirror_ports::clock::Clock;

use super::DemoError;
use super::screen::{Screen, Voice, short};
use super::service::Api;
use super::show::{self, Moves};
use super::source::{Source, table};
use super::stage::{MIRROR, Stage};
use crate::checker::http::encode;
use crate::checker::{CheckError, Checker};

/// Every step takes less than this, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);
/// The index of the commit's file that does not arrive.
pub(super) const WITHHELD: usize = 2;
/// Time between two polls while waiting.
const EVERY: Duration = Duration::from_millis(50);

/// The parts that the script uses.
pub(super) struct Script<'a> {
    pub(super) stage: &'a Stage,
    pub(super) api: &'a Api,
    pub(super) checker: &'a Checker,
    pub(super) source: Source,
    pub(super) moves: &'a Moves<'a>,
    pub(super) screen: &'a Screen,
    pub(super) clock: &'a dyn Clock,
    /// Number of this start in the same directory, from 1.
    pub(super) round: u64,
}

/// Counts the starts over a directory.
pub(super) fn round(dir: &Path) -> Result<u64, DemoError> {
    let path = dir.join("demo.round");
    let before = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().unwrap_or(0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(source) => return Err(DemoError::Dir { dir: dir.to_owned(), source }),
    };
    let round: u64 = before + 1;
    fs::write(&path, format!("{round}\n")).map_err(|source| DemoError::Dir { dir: dir.to_owned(), source })?;
    Ok(round)
}

/// The sample repository with some history, unless it exists from an earlier start.
pub(super) async fn prologue(source: &Source, screen: &Screen) -> Result<(), DemoError> {
    if source.exists().await? {
        let head = source.head("main").await?;
        screen.say(Voice::Source, &format!("{} exists already, main at {}", source.name(), short(&head)));
        return Ok(());
    }
    source.create().await?;
    source.commit("main", "Orders of the first quarter", &table("orders/2026-q1", 24, 1)).await?;
    source.commit("main", "Orders of April", &table("orders/2026-04", 8, 2)).await?;
    source.branch("corrections", "main").await?;
    source.commit("corrections", "Correct four parts of April", &table("orders/2026-04", 4, 3)).await?;
    source.commit("main", "Price list", &table("prices", 2, 4)).await?;
    source.merge("corrections", "main", "Merge the corrections").await?;
    let head = source.head("main").await?;
    screen.say(Voice::Source, &format!("{} has 6 commits, 2 branches; main at {}", source.name(), short(&head)));
    Ok(())
}

impl Script<'_> {
    pub(super) async fn run(&self) -> Result<(), DemoError> {
        self.mirror().await?;
        self.commits().await?;
        self.branch_and_merge().await?;
        let before = self.withheld().await?;
        self.reset_and_delete(&before).await
    }

    fn source_says(&self, branch: &str, commit: &str, text: &str) {
        self.screen.say(Voice::Source, &format!("{branch:<11} {} {text}", short(commit)));
    }

    /// Creates the mirror through lakemirror's API, as curl would.
    async fn mirror(&self) -> Result<(), DemoError> {
        let created = self
            .until("lakemirror's answer to POST …/mirrors", async || match self.api.create().await {
                Ok(created) => Ok(Some(created)),
                // Not ready yet.
                Err(error) if error.status() == Some(503) => Ok(None),
                Err(error) => Err(error.into()),
            })
            .await?;
        let what = if created { "asked for" } else { "exists already:" };
        self.screen.say(Voice::Demo, &format!("mirror {what} us-east-1/sample → us-west-2/sample-mirror"));
        self.level("the first copy of all branches").await
    }

    async fn commits(&self) -> Result<(), DemoError> {
        let round = self.round;
        for (part, count) in [("a", 4), ("b", 3)] {
            let files = table(&format!("orders/round-{round}{part}"), count, round * 10 + count);
            let message = format!("Orders {round}{part}");
            let commit = self.source.commit("main", &message, &files).await?;
            self.source_says("main", &commit, &format!("{message:?} with {count} new objects"));
        }
        self.level("the mirroring of two commits").await
    }

    async fn branch_and_merge(&self) -> Result<(), DemoError> {
        let branch = format!("feature-{}", self.round);
        self.source.branch(&branch, "main").await?;
        self.source.remove(&branch, &format!("orders/round-{}b/part-000.csv", self.round)).await?;
        let files = table(&format!("stock/round-{}", self.round), 6, self.round);
        let commit = self.source.commit(&branch, "Stock, and one part less", &files).await?;
        self.source_says(&branch, &commit, "a new branch, and a commit with 6 objects on it");
        self.level("the mirroring of a new branch").await?;
        let merge = self.source.merge(&branch, "main", &format!("Merge {branch}")).await?;
        self.source_says("main", &merge, &format!("merge of {branch}: a commit with two parents"));
        self.level("the mirroring of a merge").await
    }

    /// A commit with one object that does not arrive. Returns main's head before it.
    async fn withheld(&self) -> Result<String, DemoError> {
        let (before, replication) = (self.source.head("main").await?, &self.stage.replication);
        let files = table(&format!("returns/round-{}", self.round), 5, self.round);
        // Everything is held until the address of the withheld object is known.
        replication.hold("*");
        let mut addresses = Vec::new();
        for file in &files {
            addresses.push(self.source.upload("main", file).await?);
        }
        let pattern = format!("*{}", addresses.get(WITHHELD).map_or("", String::as_str));
        replication.hold(pattern.clone());
        replication.release("*");
        let commit = self.source.commit_staged("main", "Returns, one object withheld", false).await?;
        self.source_says("main", &commit, "5 new objects, one of which the replication does not copy");
        self.held_back(&commit, files.get(WITHHELD).map_or("", |(path, _)| path)).await?;
        let branch = format!("feature-{}", self.round);
        let empty = self.source.commit_staged(&branch, "An empty commit", true).await?;
        self.source_says(&branch, &empty, "an empty commit on the other branch, which nothing holds back");
        self.mirrored(&branch, &empty).await?;
        self.stays(&commit).await?;
        replication.release(&pattern);
        self.screen.say(Voice::Bucket, "the withheld object is released");
        self.mirrored("main", &commit).await?;
        Ok(before)
    }

    async fn reset_and_delete(&self, before: &str) -> Result<(), DemoError> {
        let branch = format!("feature-{}", self.round);
        self.source.delete_branch(&branch).await?;
        self.screen
            .say(Voice::Source, &format!("{branch:<11} deleted; the mirror removes it after the grace period (3 s)"));
        self.source.hard_reset("main", before).await?;
        self.source_says("main", before, "hard reset: the returns are undone");
        self.mirrored("main", before).await?;
        let files = table(&format!("orders/round-{}c", self.round), 3, self.round + 70);
        let commit = self.source.commit("main", "Orders after the reset", &files).await?;
        self.source_says("main", &commit, "a commit on top of what it was reset to");
        self.level("the end: all branches equal, the deleted one removed").await
    }

    /// Waits until everything but the held object has arrived, and lakemirror reports that it waits for that one only.
    async fn held_back(&self, commit: &str, path: &str) -> Result<(), DemoError> {
        let what = format!("lakemirror saying that it waits for {path} of {}", short(commit));
        let told = self
            .until(&what, async || {
                let status = self.stage.replication.status();
                let mirror = self.api.mirror().await?;
                let main = mirror.branches.iter().find(|branch| branch.id == "main");
                let main = main.filter(|main| main.source_commit_id.as_deref() == Some(commit));
                let settled = status.held == 1 && status.waiting == 0 && mirror.counts.objects_missing == 1;
                Ok(main.filter(|main| settled && show::waits_for_one(main, path)).and_then(show::waiting))
            })
            .await?;
        self.screen.say(Voice::Waiting, &told);
        let held = self.stage.replication.held();
        self.screen.say(Voice::Bucket, &format!("held: {}", held.join(", ")));
        self.stays(commit).await
    }

    /// Checks that the mirror's main does not show the commit.
    async fn stays(&self, commit: &str) -> Result<(), DemoError> {
        let shown = self.mirror_head("main").await?;
        if shown.as_deref() == Some(commit) {
            return Err(DemoError::Ended(format!("the mirror shows {commit} while one of its objects is missing")));
        }
        let at = shown.as_deref().map_or("nowhere", short).to_owned();
        self.screen.say(Voice::Demo, &format!("the mirror's main stays at {at}"));
        Ok(())
    }

    async fn mirror_head(&self, branch: &str) -> Result<Option<String>, DemoError> {
        let path = format!("/repositories/{MIRROR}/branches/{}", encode(branch));
        match self.stage.mirror.get::<serde_json::Value>(&path).await {
            Ok(found) => Ok(found.get("commit_id").and_then(|id| id.as_str()).map(str::to_owned)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn mirrored(&self, branch: &str, commit: &str) -> Result<(), DemoError> {
        let what = format!("the mirror's {branch} at {}", short(commit));
        let there = async || Ok(self.mirror_head(branch).await?.filter(|head| head == commit));
        self.until(&what, there).await?;
        self.judged().await
    }

    /// Waits until both sides have the same branches and heads, and the checker has checked the moves.
    async fn level(&self, what: &str) -> Result<(), DemoError> {
        self.until(what, async || {
            Ok::<_, CheckError>(self.checker.is_in_sync().await?.then_some(())).map_err(Into::into)
        })
        .await?;
        self.judged().await
    }

    /// Waits until the current state of the mirror is checked and printed.
    async fn judged(&self) -> Result<(), DemoError> {
        self.checker.look().await?;
        self.moves.show();
        Ok(())
    }

    async fn until<T>(
        &self,
        what: &str,
        probe: impl AsyncFn() -> Result<Option<T>, DemoError>,
    ) -> Result<T, DemoError> {
        let state = async || self.api.mirror().await.map_or_else(|error| chain(&error), |mirror| status(&mirror));
        until(self.clock, LIMIT, what, probe, state).await
    }
}

/// Polls until there is a result. On timeout, the error contains the state instead.
pub(super) async fn until<T>(
    clock: &dyn Clock,
    limit: Duration,
    what: &str,
    probe: impl AsyncFn() -> Result<Option<T>, DemoError>,
    state: impl AsyncFn() -> String,
) -> Result<T, DemoError> {
    let begun = clock.monotonic();
    loop {
        if let Some(found) = probe().await? {
            return Ok(found);
        }
        if clock.monotonic().saturating_sub(begun) > limit {
            return Err(DemoError::Overdue { what: what.to_owned(), limit, state: state().await });
        }
        clock.sleep(EVERY).await;
    }
}

/// A mirror's state for a message.
pub(super) fn status(mirror: &Mirror) -> String {
    let branches: Vec<String> = mirror.branches.iter().filter_map(show::waiting).collect();
    let message = mirror.state_message.as_deref().unwrap_or_default();
    format!(
        "the mirror is {:?} {message}; waiting: [{}]; problems: [{}]",
        mirror.state,
        branches.join("; "),
        mirror.problems.join("; ")
    )
}
