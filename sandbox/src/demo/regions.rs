//! `lakemirror demo --regions 3`: a fan-out and a repository in the other direction, with one process per region.
//!
//! ```text
//! us-east-1   sample ──────────┬──► us-west-2     sample-west       one DynamoDB table, which all three
//!                              └──► eu-central-1  sample-eu         `lakemirror run` processes share and
//! us-west-2   ledger ──────────────► us-east-1    ledger-east       nothing else
//! ```
//!
//! [`world`] is the environment, [`process`] a lakemirror child process, [`follow`] a mirror with its checker,
//! [`script`] the order of events. This module starts and ends them: no child process outlives the demo.

mod follow;
mod process;
mod script;
mod world;

use std::time::Duration;

use lakemirror_ports::clock::Clock;

use self::follow::Followed;
use self::process::Process;
use self::script::Script;
use self::world::{LEDGER_EAST, Place, SAMPLE_EU, SAMPLE_WEST, World};
use super::screen::{Screen, Voice};
use super::show::Moves;
use super::source::Source;
use super::stage::access;
use super::{DemoError, Outcome, Part, service};

/// Time between two scans for moves and for ended processes.
const EVERY: Duration = Duration::from_millis(100);

/// All parts of the demo.
struct Cast {
    east: Process,
    west: Process,
    eu: Process,
    sample_west: Followed,
    sample_eu: Followed,
    ledger_east: Followed,
    world: World,
}

/// Runs the demo until its end or until it is stopped.
pub(super) async fn run(part: &Part<'_>) -> Result<Outcome, DemoError> {
    let Part { screen, stop, clock, .. } = part;
    let cast = tokio::select! {
        () = stop.cancelled() => return Ok(Outcome::Stopped),
        cast = begin(part) => cast?,
    };
    let moves = cast.followed().map(|one| Moves::labelled(&one.checker, screen, one.wanted.name));
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(Outcome::Stopped),
        what = cast.breaks(&**clock) => Err(DemoError::Ended(what)),
        outcome = play(&cast, part, &moves) => outcome,
        () = show(&moves, &**clock) => Ok(Outcome::Stopped),
    };
    let outcome = match outcome {
        Ok(Outcome::Holds | Outcome::Wrong) if part.interactive => {
            hints(&cast, screen);
            let kept = tokio::select! {
                () = stop.cancelled() => outcome,
                what = cast.breaks(&**clock) => Err(DemoError::Ended(what)),
                () = show(&moves, &**clock) => outcome,
            };
            screen.say(Voice::Demo, "ending");
            kept
        }
        outcome => outcome,
    };
    moves.iter().for_each(Moves::show);
    if matches!(outcome, Ok(Outcome::Stopped)) {
        screen.say(Voice::Demo, "stopped before the verdict");
    }
    cast.end(&**clock).await;
    outcome
}

async fn begin(part: &Part<'_>) -> Result<Cast, DemoError> {
    let Part { dir, screen, clock, entropy, .. } = part;
    let mut world = World::open(dir, super::behaviour(), clock, entropy).await?;
    let [mut sample_west, mut sample_eu, mut ledger_east] =
        [Followed::new(&world, SAMPLE_WEST)?, Followed::new(&world, SAMPLE_EU)?, Followed::new(&world, LEDGER_EAST)?];
    let lakefs = Place::ALL.map(|place| format!("{} on {}", place.name(), world.region(place).url));
    screen.say(Voice::Demo, &format!("lakeFS sandboxes {}; DynamoDB sandbox on {}", lakefs.join(", "), world.database));
    super::script::prologue(&sample(&world, &sample_west, &sample_eu), screen).await?;
    script::ledger_prologue(&ledger(&world, &ledger_east), screen).await?;
    world.replicate();
    for one in [&mut sample_west, &mut sample_eu, &mut ledger_east] {
        // The first scan must end before lakemirror can move a branch.
        one.checker.look().await?;
        one.watch(&mut world.background);
    }
    let processes = Place::ALL.map(|place| Process::new(&world, place));
    let [east, west, eu] = processes;
    let (east, west, eu) = (east?, west?, eu?);
    tokio::try_join!(east.start(&**clock), west.start(&**clock), eu.start(&**clock))?;
    for process in [&east, &west, &eu] {
        screen.say(Voice::Demo, &process.introduction());
    }
    screen.say(Voice::Demo, &format!("configurations, journals and state in {}", dir.display()));
    Ok(Cast { east, west, eu, sample_west, sample_eu, ledger_east, world })
}

/// The repository that is mirrored to two regions.
fn sample(world: &World, west: &Followed, eu: &Followed) -> Source {
    let judges = vec![west.checker.clone(), eu.checker.clone()];
    let wanted = &west.wanted;
    Source::of(world.region(wanted.from).lakefs.clone(), judges, wanted.source, &wanted.source_namespace())
}

/// The repository that is mirrored in the other direction.
fn ledger(world: &World, east: &Followed) -> Source {
    let wanted = &east.wanted;
    let judges = vec![east.checker.clone()];
    Source::of(world.region(wanted.from).lakefs.clone(), judges, wanted.source, &wanted.source_namespace())
}

async fn play(cast: &Cast, part: &Part<'_>, moves: &[Moves<'_>]) -> Result<Outcome, DemoError> {
    let script = Script {
        cast,
        sample: sample(&cast.world, &cast.sample_west, &cast.sample_eu),
        ledger: ledger(&cast.world, &cast.ledger_east),
        moves,
        screen: part.screen,
        clock: &*part.clock,
        dead_after: part.wiring.dead_after(),
        round: super::script::round(part.dir)?,
    };
    script.run().await
}

/// Prints moves as they are detected, until dropped.
async fn show(moves: &[Moves<'_>], clock: &dyn Clock) {
    loop {
        moves.iter().for_each(Moves::show);
        clock.sleep(EVERY).await;
    }
}

impl Cast {
    fn followed(&self) -> [&Followed; 3] {
        [&self.sample_west, &self.sample_eu, &self.ledger_east]
    }

    fn processes(&self) -> [&Process; 3] {
        [&self.east, &self.west, &self.eu]
    }

    /// The process that serves the API for a region's repositories.
    fn process(&self, place: Place) -> &Process {
        match place {
            Place::East => &self.east,
            Place::West => &self.west,
            Place::Eu => &self.eu,
        }
    }

    /// Waits until a part ends on its own, and returns which.
    async fn breaks(&self, clock: &dyn Clock) -> String {
        let child = async {
            loop {
                if let Some(what) = self.processes().into_iter().find_map(Process::broken) {
                    return what;
                }
                clock.sleep(EVERY).await;
            }
        };
        tokio::select! {
            what = child => what,
            what = self.world.background.broken().told() => what,
        }
    }

    /// Ends everything in reverse order of its start.
    async fn end(self, clock: &dyn Clock) {
        tokio::join!(self.east.end(clock), self.west.end(clock), self.eu.end(clock));
        for one in self.followed() {
            one.unwatch().await;
        }
        self.world.background.close().await;
    }
}

fn hints(cast: &Cast, screen: &Screen) {
    let access = access();
    let user = format!("-u {}:{}", access.id, access.secret.expose());
    let lakefs = |place: Place| format!("{}/repositories", cast.world.region(place).lakefs.base());
    let api = |place: Place| format!("{}{}/repositories", cast.process(place).url(), service::BASE);
    let (east, west) = (lakefs(Place::East), lakefs(Place::West));
    let json = "-H 'Content-Type: application/json'";
    screen.plain("");
    screen.plain("Everything stays up; Ctrl-C ends it. To play with it, paste these into another terminal:");
    for (what, line) in [
        (
            "an object and a commit on sample in us-east-1",
            format!(
                "echo hello | curl {user} -X POST '{east}/sample/branches/main/objects?path=hello.txt' -H 'Content-Type: text/plain' --data-binary @- && curl {user} -X POST {east}/sample/branches/main/commits {json} -d '{{\"message\":\"My first\"}}'"
            ),
        ),
        ("what us-east-1 knows of its mirrors", format!("curl {user} {}/sample/mirrors", api(Place::East))),
        ("the object in us-west-2", format!("curl {user} '{west}/sample-west/refs/main/objects?path=hello.txt'")),
        (
            "eu-central-1's mirror again",
            format!(
                "curl {user} -X POST {}/sample/mirrors {json} -d '{{\"name\":\"sample-eu\",\"region\":\"eu-central-1\",\"storage_namespace\":\"local://eu/sample\"}}'",
                api(Place::East)
            ),
        ),
        ("the other way", format!("curl {user} {}/ledger/mirrors/ledger-east", api(Place::West))),
        (
            "the processes' logs",
            format!("tail -f {}", cast.processes().map(|process| process.log().display().to_string()).join(" ")),
        ),
    ] {
        screen.plain(&format!("\n# {what}\n{line}"));
    }
    screen.plain(&format!("\nAccess key id: {}\nSecret access key: {}\n", access.id, access.secret.expose()));
}
