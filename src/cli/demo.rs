//! `lakemirror demo`: the main job on embedded defaults, nothing else installed.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use lakemirror_engine::lease::FAILURE_TIMEOUT;
use lakemirror_ports::clock::system::{OsEntropy, SystemClock};
use lakemirror_ports::clock::{Clock, Entropy};
use lakemirror_sandbox::demo::screen::Screen;
use lakemirror_sandbox::demo::service::{Serving, Wiring};
use lakemirror_sandbox::demo::{self, DemoError, Options, Outcome, Regions};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signals::{self, HangUp};
use super::{Exit, Failure};
use crate::config::Config;
use crate::run;

/// How to show it.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Keep everything running at the end, and print the curl lines to play with
    #[arg(long)]
    pub(super) interactive: bool,
    /// Directory to keep the state in; a second start over it resumes. Without it, a temporary one that is removed
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
    /// 2: a mirror, by lakemirror in this process. 3: a fan-out and a repository that goes the other way, by a process in
    /// each region over one database
    #[arg(long, value_name = "2|3", default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    pub(super) regions: u8,
}

/// Runs the demo to its end.
pub(super) fn demo(arguments: &DemoArguments) -> Result<Exit, Failure> {
    let regions = if arguments.regions == 3 { Regions::Three } else { Regions::Two };
    let options = Options { interactive: arguments.interactive, dir: arguments.dir.clone(), regions };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::because(Exit::Io, "cannot start the runtime", error))?;
    let ended = runtime.block_on(async { play(options, signals::stop_token(HangUp::Ends)?).await });
    runtime.shutdown_timeout(Duration::from_millis(500));
    ended
}

async fn play(options: Options, stop: CancellationToken) -> Result<Exit, Failure> {
    let clock = Arc::new(SystemClock::new());
    let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let screen = Screen::new(Box::new(io::stdout()), colours, clock.clone(), stop.clone());
    let outcome = demo::run(&options, &screen, &Production, stop, clock, Arc::new(OsEntropy)).await;
    if let Some(error) = screen.error() {
        return Err(Failure::Output(error));
    }
    match outcome {
        Ok(Outcome::Holds | Outcome::Stopped) => Ok(Exit::Ok),
        Ok(Outcome::Wrong) => Ok(Exit::CheckFailed),
        Err(error) => Err(failure(error)),
    }
}

/// The production wiring, in this process.
struct Production;

#[async_trait]
impl Wiring for Production {
    async fn start(
        &self,
        configuration: &str,
        listener: TcpListener,
        stop: CancellationToken,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Serving, DemoError> {
        let parsed = Config::parse(Path::new("demo.yaml"), configuration, &BTreeMap::new());
        let (config, _) = parsed.map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            DemoError::Ended(format!("the demo's own configuration is refused: {}", lines.join("; ")))
        })?;
        let ports = run::connect(&config, clock, entropy).await.map_err(|error| DemoError::Start(Box::new(error)))?;
        Ok(Box::pin(async move { Ok(run::serve(ports, listener, stop).await?) }))
    }

    fn dead_after(&self) -> Duration {
        FAILURE_TIMEOUT
    }
}

fn failure(error: DemoError) -> Failure {
    let exit = match &error {
        DemoError::Dir { .. } | DemoError::InUse(_) | DemoError::Stage(_) | DemoError::Io { .. } => Exit::Io,
        DemoError::Overdue { .. } => Exit::CheckFailed,
        _ => Exit::Unavailable,
    };
    Failure::because(exit, "the demo failed", error)
}
