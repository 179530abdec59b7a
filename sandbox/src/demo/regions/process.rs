//! A region's lakemirror as a child process: its configuration, its log, its end.
//!
//! The child has its own process group, so that Ctrl-C in a terminal reaches only the demo, which then ends its
//! children in order. It reads from a pipe that the demo holds open, and ends as after SIGTERM when the pipe closes.
//! The kernel closes the pipe however the demo ends, so no child is left behind, not even by `kill -9`.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakemirror_ports::clock::Clock;

use super::world::{Place, World};
use crate::demo::DemoError;
use crate::demo::service::Api;
use crate::sandbox::{EXAMPLE_ACCESS_KEY_ID, EXAMPLE_SECRET_ACCESS_KEY, EXAMPLE_SECRET_KEY};

/// How long a start may take.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a graceful end may take; then the process is killed.
const END_TIME_MAX: Duration = Duration::from_secs(8);
const EVERY: Duration = Duration::from_millis(50);
/// The log line with which a process reports that it listens, up to the port.
const LISTENS: &str = "the API listens at http://127.0.0.1:";
/// Number of log lines that are shown when it ended on its own.
const LAST_LINES: usize = 5;
/// How much of a log is read.
const LOG_BYTES_MAX: u64 = 1 << 20;

/// A lakemirror process, running or not.
pub(super) struct Process {
    place: Place,
    config: PathBuf,
    log: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    child: Owned,
    url: String,
    api: Api,
}

/// A child process that does not outlive this value.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Writes the configuration of a region's process. It contains secrets, so only its owner may read it.
    pub(super) fn new(world: &World, place: Place) -> Result<Self, DemoError> {
        let dir = &world.region(place).dir;
        let (config, log) = (dir.join("lakemirror.yaml"), dir.join("lakemirror.log"));
        let write = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&config)?;
            file.write_all(configuration(world, place).as_bytes())
        };
        write().map_err(|source| DemoError::Io { what: format!("{} cannot be written", config.display()), source })?;
        Ok(Self { place, config, log, running: Mutex::default() })
    }

    /// Starts it and waits until it listens.
    pub(super) async fn start(&self, clock: &dyn Clock) -> Result<(), DemoError> {
        let io = |source| DemoError::Io { what: format!("lakemirror {} cannot be started", self.place.name()), source };
        let log = File::options().create(true).append(true).open(&self.log).map_err(io)?;
        let begin = log.metadata().map_err(io)?.len();
        let mut child = Owned(self.command(log).map_err(io)?.spawn().map_err(io)?);
        let begun = clock.monotonic();
        let url = loop {
            let said = read_from(&self.log, begin).map_err(io)?;
            if let Some(url) = listening(&said) {
                break url;
            }
            if let Some(status) = child.0.try_wait().map_err(io)? {
                return Err(DemoError::Ended(self.obituary(&status.to_string())));
            }
            if clock.monotonic().saturating_sub(begun) > START_TIME_MAX {
                let what = format!("the start of lakemirror {}", self.place.name());
                return Err(DemoError::Overdue { what, limit: START_TIME_MAX, state: last_lines(&said) });
            }
            clock.sleep(EVERY).await;
        };
        let api = Api::new(&url)?;
        *self.running() = Some(Running { child, url, api });
        Ok(())
    }

    fn command(&self, log: File) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        // The file contains everything: the user's own settings must not leak in.
        let foreign = |name: &str| ["REPLICATION_", "AWS_"].iter().any(|prefix| name.starts_with(prefix));
        for (name, _) in std::env::vars_os().filter(|(name, _)| foreign(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.args(["run", "--until-input-ends", "--config"]).arg(&self.config);
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("NO_PROXY", "127.0.0.1").process_group(0);
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its process id, URL and log.
    pub(super) fn introduction(&self) -> String {
        let running = self.running();
        let (id, url) = running.as_ref().map_or((0, ""), |running| (running.child.0.id(), running.url.as_str()));
        format!("lakemirror {} is process {id} on {url}, log {}", self.place.name(), self.log.display())
    }

    /// Its URL; empty while it does not run.
    pub(super) fn url(&self) -> String {
        self.running().as_ref().map(|running| running.url.clone()).unwrap_or_default()
    }

    /// Its API.
    pub(super) fn api(&self) -> Result<Api, DemoError> {
        let api = self.running().as_ref().map(|running| running.api.clone());
        api.ok_or_else(|| DemoError::Ended(format!("lakemirror {} does not run", self.place.name())))
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it has ended on its own, and the end of its log.
    pub(super) fn broken(&self) -> Option<String> {
        let status = self.running().as_mut()?.child.0.try_wait().ok()??;
        Some(self.obituary(&status.to_string()))
    }

    fn obituary(&self, status: &str) -> String {
        let said = read_from(&self.log, 0).unwrap_or_default();
        format!(
            "lakemirror {} ended by itself ({status}); the end of its log {}:\n{}",
            self.place.name(),
            self.log.display(),
            last_lines(&said)
        )
    }

    /// Ends it as `kill -9` does, and returns its process id.
    pub(super) fn kill(&self) -> u32 {
        let running = self.running().take();
        running.map_or(0, |running| running.child.0.id())
    }

    /// Ends it gracefully, or kills it after a bounded time.
    pub(super) async fn end(&self, clock: &dyn Clock) {
        let Some(Running { mut child, .. }) = self.running().take() else { return };
        drop(child.0.stdin.take());
        let begun = clock.monotonic();
        while matches!(child.0.try_wait(), Ok(None)) && clock.monotonic().saturating_sub(begun) < END_TIME_MAX {
            clock.sleep(EVERY).await;
        }
    }
}

/// A configuration as an operator would write it for a region.
fn configuration(world: &World, place: Place) -> String {
    let region = world.region(place);
    let text = |path: PathBuf| serde_json::Value::from(path.to_string_lossy().as_ref()).to_string();
    let others = Place::ALL.into_iter().filter(|other| *other != place);
    let others: Vec<String> = others.map(|other| format!("{}: '{}'", other.name(), world.region(other).url)).collect();
    format!(
        "region: {}\n\
         organization_id: acme\n\
         regional_endpoint: {}\n\
         dst_endpoints: {{ {} }}\n\
         lakefs_access_key_id: {EXAMPLE_ACCESS_KEY_ID}\n\
         lakefs_secret_access_key: {EXAMPLE_SECRET_ACCESS_KEY}\n\
         auth: {{ encrypt: {{ secret_key: {EXAMPLE_SECRET_KEY} }} }}\n\
         mirrors_database:\n  \
           type: dynamodb\n  \
           dynamodb:\n    \
             table_name: lakemirror\n    \
             aws_region: us-east-1\n    \
             endpoint: {}\n    \
             aws_access_key_id: demo\n    \
             aws_secret_access_key: demo\n\
         blockstore: {{ type: local, local: {{ path: {} }} }}\n\
         journal: {{ path: {} }}\n\
         listen_address: 127.0.0.1:0\n\
         commit_sensor: {{ process_branches_duration: 1s }}\n\
         mirrors_manager: {{ process_mirrors_interval_duration: 1s }}\n\
         deletion: {{ grace: 3s }}\n",
        place.name(),
        region.url,
        others.join(", "),
        world.database,
        text(region.blocks()),
        text(region.dir.join("journal")),
    )
}

/// A file from an offset on, up to the maximum that is read.
fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let end = fs::metadata(path)?.len();
    file.seek(SeekFrom::Start(offset.max(end.saturating_sub(LOG_BYTES_MAX))))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The URL at which it listens, according to the log.
fn listening(said: &str) -> Option<String> {
    // A line that is still being written may be incomplete.
    let (_, rest) = said.get(..=said.rfind('\n')?)?.split_once(LISTENS)?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("http://127.0.0.1:{port}"))
}

fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_whole_lines() {
        let line = format!("INFO {LISTENS}41234");
        assert_eq!(listening(&line), None);
        assert_eq!(listening(&format!("a\n{line} b\nc")).as_deref(), Some("http://127.0.0.1:41234"));
    }

    #[test]
    fn end_of_the_log_is_short() {
        assert_eq!(last_lines("1\n2\n3\n4\n5\n6\n"), "2\n3\n4\n5\n6");
        assert_eq!(last_lines("1"), "1");
    }
}
