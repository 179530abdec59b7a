//! The order of events in three regions. Every wait is bounded and names what it waited for.

use std::time::Duration;

use lakemirror_api::types::Mirror;
use lakemirror_core::causes::chain;
use lakemirror_ports::clock::Clock;

use super::Cast;
use super::follow::Followed;
use super::world::{Place, Wanted};
use crate::checker::CheckError;
use crate::checker::http::HttpError;
use crate::demo::screen::{Screen, Voice, short};
use crate::demo::script::{WITHHELD, status, until};
use crate::demo::show::{self, Moves};
use crate::demo::source::{Source, table};
use crate::demo::{DemoError, Outcome, verdict};

/// Every step takes less than this, unless something is wrong. The slowest is a process that acquires its mirrors
/// again.
const LIMIT: Duration = Duration::from_secs(60);

/// The parts that the script uses.
pub(super) struct Script<'a> {
    pub(super) cast: &'a Cast,
    pub(super) sample: Source,
    pub(super) ledger: Source,
    pub(super) moves: &'a [Moves<'a>],
    pub(super) screen: &'a Screen,
    pub(super) clock: &'a dyn Clock,
    /// How long a process must be silent before another one acquires its mirrors.
    pub(super) dead_after: Duration,
    /// Number of this start in the same directory, from 1.
    pub(super) round: u64,
}

/// The ledger with some history, unless it exists from an earlier start.
pub(super) async fn ledger_prologue(source: &Source, screen: &Screen) -> Result<(), DemoError> {
    let known = if source.exists().await? {
        "exists already"
    } else {
        source.create().await?;
        source.commit("main", "Opening balances", &table("accounts/2026", 6, 11)).await?;
        source.commit("main", "Entries of January", &table("entries/2026-01", 9, 12)).await?;
        "has 3 commits"
    };
    let head = source.head("main").await?;
    screen.say(Voice::Source, &format!("{} {known}; main at {}", source.name(), short(&head)));
    Ok(())
}

impl Script<'_> {
    /// Runs all steps and returns the result of the checkers.
    pub(super) async fn run(&self) -> Result<Outcome, DemoError> {
        self.create().await?;
        self.fan_out().await?;
        self.other_way().await?;
        self.without_a_process().await?;
        self.mirror_of_a_mirror().await?;
        let eu = self.delete().await?;
        let mut outcomes = vec![eu];
        for one in [&self.cast.sample_west, &self.cast.ledger_east] {
            outcomes.push(self.judge(one).await?);
        }
        Ok(outcomes.into_iter().find(|outcome| *outcome != Outcome::Holds).unwrap_or(Outcome::Holds))
    }

    fn say(&self, text: &str) {
        self.screen.say(Voice::Demo, text);
    }

    fn commit_says(&self, source: &Source, commit: &str, text: &str) {
        self.screen.say(Voice::Source, &format!("{:<11} {} {text}", source.name(), short(commit)));
    }

    /// Creates each mirror at the process of its source's region, as curl would.
    async fn create(&self) -> Result<(), DemoError> {
        for one in self.cast.followed() {
            let Wanted { name, source, from, to } = one.wanted;
            let (api, namespace) = (self.cast.process(from).api()?, one.wanted.namespace());
            let asked = async || match api.create_of(source, name, to.name(), &namespace).await {
                Ok(created) => Ok(Some(created)),
                // Not ready yet.
                Err(error) if error.status() == Some(503) => Ok(None),
                Err(error) => Err(error.into()),
            };
            let created = self.until(&format!("an answer to POST …/{source}/mirrors"), asked).await?;
            let what = if created { "asked for" } else { "exists already:" };
            let (from, to) = (from.name(), to.name());
            self.say(&format!("mirror {what} {from}/{source} → {to}/{name}, by POST to the process of {from}"));
        }
        for one in self.cast.followed() {
            self.level(one).await?;
        }
        self.say("all three mirrors have all of their sources");
        Ok(())
    }

    /// A commit that reaches one region while the other one waits for an object.
    async fn fan_out(&self) -> Result<(), DemoError> {
        let (cast, replication) = (self.cast, &self.cast.world.to_eu);
        let mut addresses = Vec::new();
        // Everything is held until the address of the withheld object is known.
        replication.hold("*");
        let files = table(&format!("orders/round-{}", self.round), 5, self.round);
        for file in &files {
            addresses.push(self.sample.upload("main", file).await?);
        }
        let pattern = format!("*{}", addresses.get(WITHHELD).map_or("", String::as_str));
        let path = files.get(WITHHELD).map_or("", |(path, _)| path);
        replication.hold(pattern.clone());
        replication.release("*");
        let commit = self.sample.commit_staged("main", &format!("Orders {}", self.round), false).await?;
        self.commit_says(&self.sample, &commit, "5 new objects, one of which is not copied to eu-central-1");
        self.shows(&cast.sample_west, &commit).await?;
        let told = self
            .until("us-east-1 saying that eu-central-1 waits for an object, and us-west-2 for nothing", async || {
                let (west, eu) = (self.ask(&cast.sample_west).await?, self.ask(&cast.sample_eu).await?);
                let level = west
                    .as_ref()
                    .and_then(main)
                    .is_some_and(|main| main.promoted_commit_id == main.source_commit_id && is_at(main, &commit));
                let waits = eu
                    .as_ref()
                    .and_then(main)
                    .is_some_and(|main| is_at(main, &commit) && show::waits_for_one(main, path));
                let missing = eu.as_ref().is_some_and(|eu| eu.counts.objects_missing == 1);
                Ok(west.zip(eu).filter(|_| level && waits && missing && replication.status().waiting == 0))
            })
            .await?;
        self.told(&told.0);
        self.told(&told.1);
        self.stays(&cast.sample_eu, &commit).await?;
        replication.release(&pattern);
        self.screen.say(Voice::Bucket, "the object is released to eu-central-1");
        self.shows(&cast.sample_eu, &commit).await
    }

    /// The repository whose source is in another region.
    async fn other_way(&self) -> Result<(), DemoError> {
        let files = table(&format!("entries/round-{}", self.round), 4, self.round + 20);
        let commit = self.ledger.commit("main", &format!("Entries {}", self.round), &files).await?;
        self.commit_says(&self.ledger, &commit, "in us-west-2: the other way");
        self.shows(&self.cast.ledger_east, &commit).await?;
        let told = self
            .until("us-west-2 saying that us-east-1 shows the ledger", async || {
                let mirror = self.ask(&self.cast.ledger_east).await?;
                let shown = mirror
                    .as_ref()
                    .and_then(main)
                    .is_some_and(|main| main.promoted_commit_id.as_deref() == Some(&commit));
                Ok(mirror.filter(|_| shown))
            })
            .await?;
        self.told(&told);
        Ok(())
    }

    /// One region's process is killed: the others continue, and it resumes where it was.
    async fn without_a_process(&self) -> Result<(), DemoError> {
        let cast = self.cast;
        let id = cast.west.kill();
        self.say(&format!("kill -9 {id}: us-west-2 is without its lakemirror"));
        let files = table(&format!("returns/round-{}", self.round), 3, self.round + 40);
        let commit = self.sample.commit("main", &format!("Returns {}", self.round), &files).await?;
        self.commit_says(&self.sample, &commit, "3 new objects");
        let files = table(&format!("closing/round-{}", self.round), 2, self.round + 60);
        let entry = self.ledger.commit("main", &format!("Closing {}", self.round), &files).await?;
        self.commit_says(&self.ledger, &entry, "2 new objects, in the region without a lakemirror");
        self.shows(&cast.sample_eu, &commit).await?;
        self.shows(&cast.ledger_east, &entry).await?;
        self.stays(&cast.sample_west, &commit).await?;
        if let Some(mirror) = self.ask(&cast.sample_west).await? {
            self.told(&mirror);
        }
        cast.west.start(self.clock).await?;
        self.say(&cast.west.introduction());
        let silent = self.dead_after.as_secs();
        self.say(&format!(
            "it resumes from its journal, and moves branches once its predecessor was silent for {silent} s"
        ));
        self.shows(&cast.sample_west, &commit).await
    }

    /// A mirror cannot be mirrored.
    async fn mirror_of_a_mirror(&self) -> Result<(), DemoError> {
        let api = self.cast.east.api()?;
        let refused = self
            .until("an answer to POST …/ledger-east/mirrors", async || {
                match api.create_of("ledger-east", "ledger-eu", Place::Eu.name(), "local://eu/ledger").await {
                    Err(HttpError::Status { status: 503, .. }) => Ok(None),
                    Err(HttpError::Status { status, body, .. }) if status < 500 => Ok(Some(Some((status, body)))),
                    Err(error) => Err(error.into()),
                    Ok(_) => Ok(Some(None)),
                }
            })
            .await?;
        let Some((status, body)) = refused else {
            return Err(DemoError::Ended("a mirror of the mirror ledger-east was not refused".to_owned()));
        };
        self.say(&format!(
            "a mirror of ledger-east in eu-central-1 is refused by us-east-1, {status}: {}",
            message(&body)
        ));
        Ok(())
    }

    /// Deletes one mirror after its verdict.
    async fn delete(&self) -> Result<Outcome, DemoError> {
        let eu = &self.cast.sample_eu;
        let outcome = self.judge(eu).await?;
        // From here on it is not a mirror.
        eu.unwatch().await;
        let api = self.cast.east.api()?;
        api.delete_of(eu.wanted.source, eu.wanted.name).await?;
        self.say("sample-eu is deleted, by DELETE to the process of us-east-1");
        let gone = async || Ok((self.ask(eu).await?.is_none() && !eu.exists().await?).then_some(()));
        self.until("sample-eu gone from us-east-1's answers and from the lakeFS of eu-central-1", gone).await?;
        self.say("sample-eu is gone: 404 in us-east-1, and eu-central-1's lakeFS has no such repository");
        Ok(outcome)
    }

    async fn judge(&self, one: &Followed) -> Result<Outcome, DemoError> {
        self.level(one).await?;
        let report = one.checker.final_check().await?;
        self.moves.iter().for_each(Moves::show);
        Ok(verdict(self.screen, one.wanted.name, &report))
    }

    /// The status of a mirror from the process of its source's region; `None` if the process does not know it.
    async fn ask(&self, one: &Followed) -> Result<Option<Mirror>, DemoError> {
        let Wanted { name, source, from, .. } = one.wanted;
        match self.cast.process(from).api()?.mirror_of(source, name).await {
            Ok(mirror) => Ok(Some(mirror)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Prints what a source's region answered: the last status that it read from the mirror's region, and its age.
    fn told(&self, mirror: &Mirror) {
        let waiting: Vec<String> = mirror.branches.iter().filter_map(show::waiting).collect();
        let (voice, what) = match waiting.as_slice() {
            [] => (
                Voice::Demo,
                main(mirror).map_or("nothing yet".to_owned(), |main| {
                    format!("main at {}", main.promoted_commit_id.as_deref().map_or("nowhere", short))
                }),
            ),
            waiting => (Voice::Waiting, waiting.join("; ")),
        };
        let age = mirror.status_age_seconds.map_or("as published".to_owned(), |age| format!("{age} s old"));
        self.screen.say(voice, &format!("GET {} in {}: {what} (status {age})", mirror.id, mirror.source_region));
    }

    /// Checks that the mirror's main does not show the commit.
    async fn stays(&self, one: &Followed, commit: &str) -> Result<(), DemoError> {
        let shown = one.head("main").await?;
        if shown.as_deref() == Some(commit) {
            let name = one.wanted.name;
            return Err(DemoError::Ended(format!("{name} shows {commit}, which cannot be complete there yet")));
        }
        let at = shown.as_deref().map_or("nowhere", short);
        self.say(&format!("{}'s main stays at {at}", one.wanted.name));
        Ok(())
    }

    async fn shows(&self, one: &Followed, commit: &str) -> Result<(), DemoError> {
        let what = format!("{}'s main at {}", one.wanted.name, short(commit));
        self.until(&what, async || Ok(one.head("main").await?.filter(|head| head == commit))).await?;
        self.judged(one).await
    }

    /// Waits until both sides have the same branches and heads, and the checker has checked the moves.
    async fn level(&self, one: &Followed) -> Result<(), DemoError> {
        let level = async || Ok::<_, CheckError>(one.checker.is_in_sync().await?.then_some(())).map_err(Into::into);
        self.until(&format!("{} in sync with its source", one.wanted.name), level).await?;
        self.judged(one).await
    }

    async fn judged(&self, one: &Followed) -> Result<(), DemoError> {
        one.checker.look().await?;
        self.moves.iter().for_each(Moves::show);
        Ok(())
    }

    async fn until<T>(
        &self,
        what: &str,
        probe: impl AsyncFn() -> Result<Option<T>, DemoError>,
    ) -> Result<T, DemoError> {
        until(self.clock, LIMIT, what, probe, async || self.state().await).await
    }

    /// All mirrors' states for a message.
    async fn state(&self) -> String {
        let mut states = Vec::new();
        for one in self.cast.followed() {
            let state = match self.ask(one).await {
                Ok(Some(mirror)) => status(&mirror),
                Ok(None) => "there is no such mirror".to_owned(),
                Err(error) => chain(&error),
            };
            states.push(format!("{}: {state}", one.wanted.name));
        }
        states.join(". ")
    }
}

fn main(mirror: &Mirror) -> Option<&lakemirror_api::types::Branch> {
    mirror.branches.iter().find(|branch| branch.id == "main")
}

fn is_at(branch: &lakemirror_api::types::Branch, commit: &str) -> bool {
    branch.source_commit_id.as_deref() == Some(commit)
}

/// The message in an error's body.
fn message(body: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let message = parsed.as_ref().and_then(|parsed| parsed.get("message")?.as_str());
    message.unwrap_or(body).to_owned()
}
