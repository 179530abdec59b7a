//! `lakemirror demo`: mirrors a repository with embedded defaults and nothing else installed.
//!
//! ```text
//! script ─► source sandbox ─► its bucket ─► replication (late, out of order) ─► the mirror's bucket
//!                 ▲                                                                   ▲
//!                 └──────────────── lakemirror (production wiring) ───────────────────┘──► mirror sandbox
//! show ◄─ lakemirror's API, the checker                     checker ─► both sandboxes, the mirror's bucket
//! ```
//!
//! [`stage`] sets up the environment, [`service`] runs lakemirror in this process, [`source`] makes changes, [`script`]
//! is the order of events, [`show`] prints comments, and the checker decides at the end. This module handles start and
//! end: one demo per directory, a clean end on a signal, the verdict. [`regions`] is the demo with three regions.

mod background;
mod regions;
pub mod screen;
mod script;
pub mod service;
mod show;
pub mod source;
pub mod stage;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lakemirror_ports::clock::{Clock, Entropy};
use tokio_util::sync::CancellationToken;

use self::screen::{Screen, Voice};
use self::script::Script;
use self::service::{Lakemirror, Wiring};
use self::show::{Moves, Show};
use self::source::Source;
use self::stage::{Plan, Stage, StageError};
use crate::checker::compare::Report;
use crate::checker::http::HttpError;
use crate::checker::{CheckError, Checker};
use crate::sandbox::replication::Behaviour;

/// Each copy is delayed by a random time in this range, so copies arrive out of order.
const COPIES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1800));

/// Options of the demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// Keep everything running at the end, until a signal.
    pub interactive: bool,
    /// Where to keep the state; a temporary directory that is removed at the end if absent.
    pub dir: Option<PathBuf>,
    /// How many regions to run.
    pub regions: Regions,
}

/// How many regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Regions {
    /// One mirror, driven by lakemirror in this process.
    Two,
    /// A fan-out and a repository in the other direction, with one process per region.
    Three,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The checker found no fault.
    Holds,
    /// The checker found faults and reported them.
    Wrong,
    /// A signal ended it before the verdict.
    Stopped,
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The environment cannot be set up.
    #[error("the demo cannot be set up")]
    Stage(#[from] StageError),
    /// lakemirror does not start.
    #[error("lakemirror does not start")]
    Start(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The checker cannot decide, or a change at the source failed.
    #[error("a call to a sandbox failed")]
    Check(#[from] CheckError),
    /// A call failed.
    #[error("a call failed")]
    Http(#[from] HttpError),
    /// A part that must keep running ended.
    #[error("{0}")]
    Ended(String),
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s; {state}", limit.as_secs())]
    Overdue {
        /// What the demo waited for.
        what: String,
        /// For how long.
        limit: Duration,
        /// The state instead.
        state: String,
    },
    /// The directory cannot be used.
    #[error("the directory {dir} cannot be used")]
    Dir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The operating system refused something.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// Another demo uses the directory.
    #[error("the directory {0} is in use by another demo: end it, or use another --dir")]
    InUse(PathBuf),
}

/// The demo's directory, and whether it is removed at the end.
struct Home {
    dir: PathBuf,
    temporary: bool,
    /// Held for as long as the demo runs.
    _lock: File,
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            tracing::warn!("the temporary directory {} stays: {error}", self.dir.display());
        }
    }
}

/// All parts of the demo.
struct Cast {
    stage: Stage,
    lakemirror: Lakemirror,
    checker: Checker,
    watching: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
}

/// Runs the demo until its end or until `stop` is cancelled.
///
/// # Errors
/// [`DemoError`]; faults of the mirror are an [`Outcome`].
pub async fn run(
    options: &Options,
    screen: &Screen,
    wiring: &dyn Wiring,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Outcome, DemoError> {
    let home = home(options, &*entropy)?;
    let part = Part { dir: &home.dir, interactive: options.interactive, screen, wiring, stop: &stop, clock, entropy };
    let outcome = match options.regions {
        Regions::Two => two_regions(&part).await,
        Regions::Three => regions::run(&part).await,
    };
    if options.dir.is_some() {
        screen.say(Voice::Demo, &format!("everything is kept in {}; start again to go on", home.dir.display()));
    }
    outcome
}

/// What all demos need.
struct Part<'a> {
    dir: &'a Path,
    interactive: bool,
    screen: &'a Screen,
    wiring: &'a dyn Wiring,
    stop: &'a CancellationToken,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

async fn two_regions(part: &Part<'_>) -> Result<Outcome, DemoError> {
    let Part { screen, stop, clock, .. } = part;
    let cast = tokio::select! {
        () = stop.cancelled() => return Ok(Outcome::Stopped),
        cast = begin(part) => cast?,
    };
    let moves = Moves::new(&cast.checker, screen);
    let mut show = Show::new(&cast.lakemirror.api, &moves, &**clock);
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(Outcome::Stopped),
        what = cast.stage.broken().told() => Err(DemoError::Ended(what)),
        outcome = play(&cast, part, &moves) => outcome,
        () = show.run() => Ok(Outcome::Stopped),
    };
    let outcome = match outcome {
        Ok(Outcome::Holds | Outcome::Wrong) if part.interactive => {
            stay(&cast, screen, &mut show, stop).await.and(outcome)
        }
        outcome => outcome,
    };
    moves.show();
    if matches!(outcome, Ok(Outcome::Stopped)) {
        screen.say(Voice::Demo, "stopped before the verdict");
    }
    cast.end().await;
    outcome
}

fn home(options: &Options, entropy: &dyn Entropy) -> Result<Home, DemoError> {
    let temporary = options.dir.is_none();
    let dir = options
        .dir
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join(format!("lakemirror-demo-{:016x}", entropy.random_u64())));
    let wrong = |source| DemoError::Dir { dir: dir.clone(), source };
    fs::create_dir_all(&dir).map_err(wrong)?;
    let dir = fs::canonicalize(&dir).map_err(wrong)?;
    let lock = File::create(dir.join("demo.lock")).map_err(wrong)?;
    match lock.try_lock() {
        Ok(()) => Ok(Home { dir, temporary, _lock: lock }),
        Err(fs::TryLockError::WouldBlock) => Err(DemoError::InUse(dir)),
        Err(fs::TryLockError::Error(source)) => Err(wrong(source)),
    }
}

/// The replication behaviour of the demos.
fn behaviour() -> Behaviour {
    Behaviour {
        scan_every: Duration::from_millis(50),
        delay_min: COPIES.0,
        delay_max: COPIES.1,
        ..Behaviour::default()
    }
}

async fn begin(part: &Part<'_>) -> Result<Cast, DemoError> {
    let Part { dir, screen, clock, entropy, .. } = part;
    let plan = Plan { dir: dir.to_path_buf(), behaviour: behaviour() };
    let mut stage = Stage::open(plan, Arc::clone(clock), Arc::clone(entropy)).await?;
    let checker = stage.checker()?;
    let source = Source::new(stage.source.clone(), checker.clone());
    screen.say(
        Voice::Demo,
        &format!("lakeFS sandbox us-east-1 on {}, us-west-2 on {}", stage.source_url, stage.mirror_url),
    );
    script::prologue(&source, screen).await?;
    stage.replicate();
    let stop = CancellationToken::new();
    let (judge, until) = (checker.clone(), stop.clone());
    // The first scan must end before lakemirror can move a branch.
    checker.look().await?;
    let watching = tokio::spawn(async move { judge.run(until).await });
    let lakemirror = Lakemirror::start(&stage, part.wiring, Arc::clone(clock), Arc::clone(entropy)).await?;
    screen.say(Voice::Demo, &format!("lakemirror on {}, state in {}", lakemirror.url, dir.display()));
    Ok(Cast { stage, lakemirror, checker, watching, stop })
}

async fn play(cast: &Cast, part: &Part<'_>, moves: &Moves<'_>) -> Result<Outcome, DemoError> {
    let Part { screen, clock, .. } = part;
    let source = Source::new(cast.stage.source.clone(), cast.checker.clone());
    let script = Script {
        stage: &cast.stage,
        api: &cast.lakemirror.api,
        checker: &cast.checker,
        source,
        moves,
        screen,
        clock: &**clock,
        round: script::round(cast.stage.dir())?,
    };
    script.run().await?;
    let report = cast.checker.final_check().await?;
    moves.show();
    let outcome = verdict(screen, "the mirror", &report);
    if part.interactive {
        hints(cast, screen);
    }
    Ok(outcome)
}

/// Prints what the checker found, and returns the outcome.
fn verdict(screen: &Screen, mirror: &str, report: &Report) -> Outcome {
    report.differences.iter().for_each(|text| screen.say(Voice::Bad, text));
    let (voice, outcome, word) = match report.holds() {
        true => (Voice::Good, Outcome::Holds, "is right"),
        false => (Voice::Bad, Outcome::Wrong, "is NOT right"),
    };
    screen.say(voice, &format!("{mirror} {word}: {report}"));
    outcome
}

/// Keeps everything running until a signal, and prints comments.
async fn stay(
    cast: &Cast,
    screen: &Screen,
    show: &mut Show<'_>,
    stop: &CancellationToken,
) -> Result<Outcome, DemoError> {
    tokio::select! {
        () = stop.cancelled() => {}
        what = cast.stage.broken().told() => return Err(DemoError::Ended(what)),
        () = show.run() => {}
    }
    screen.say(Voice::Demo, "ending");
    Ok(Outcome::Holds)
}

fn hints(cast: &Cast, screen: &Screen) {
    let access = stage::access();
    let user = format!("-u {}:{}", access.id, access.secret.expose());
    let (source, mirror) = (format!("{}/repositories/sample", cast.stage.source.base()), cast.stage.mirror.base());
    let api = format!("{}{}", cast.lakemirror.url, service::BASE);
    let json = "-H 'Content-Type: application/json'";
    screen.plain("");
    screen.plain("Everything stays up; Ctrl-C ends it. To play with it, paste these into another terminal:");
    for (what, line) in [
        (
            "a new branch",
            format!("curl {user} -X POST {source}/branches {json} -d '{{\"name\":\"mine\",\"source\":\"main\"}}'"),
        ),
        (
            "an object",
            format!(
                "echo hello | curl {user} -X POST '{source}/branches/mine/objects?path=hello.txt' -H 'Content-Type: text/plain' --data-binary @-"
            ),
        ),
        (
            "a commit",
            format!("curl {user} -X POST {source}/branches/mine/commits {json} -d '{{\"message\":\"My first\"}}'"),
        ),
        ("what the mirror waits for", format!("curl {user} {api}/repositories/sample/mirrors/sample-mirror")),
        ("the mirror's branches", format!("curl {user} {mirror}/repositories/sample-mirror/branches")),
        (
            "the object on the mirror",
            format!("curl {user} '{mirror}/repositories/sample-mirror/refs/mine/objects?path=hello.txt'"),
        ),
        ("lakemirror's health", format!("curl {}/_health", cast.lakemirror.url)),
    ] {
        screen.plain(&format!("\n# {what}\n{line}"));
    }
    screen.plain(&format!("\nAccess key id: {}\nSecret access key: {}\n", access.id, access.secret.expose()));
}

impl Cast {
    /// Ends everything in reverse order of its start.
    async fn end(self) {
        self.lakemirror.stop().await;
        self.stop.cancel();
        // The checker's task ends at its next scan; a panic in it was already printed.
        let _ = self.watching.await;
        self.stage.close().await;
    }
}
