//! Connections: how many, how long, and whether one can be used again.
//!
//! Owns their opening, the time that a statement may take and the bound on their number. A connection on which anything
//! but the server's own refusal happened is closed, never reused: what it still has under way is not known. Where the
//! failure speaks of the server and not of the statement, every connection of the same [generation](super::generation) is closed with it.
//! A new connection counts only once its server has said that it takes writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lakemirror_ports::FaultKind;
use lakemirror_ports::clock::Clock;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Row};

use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::attempts::{Effect, Failure};
use super::failure::Scope;
use super::generation::{Generation, Generations, Names, Resolve};
use super::{Parameter, Settings, failure};

/// Name resolution, TCP, TLS and login together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One statement, and the wait for a connection before it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

/// The connections of one database.
pub(super) struct Pool {
    config: Config,
    tls: MakeRustlsConnect,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    idle_max: usize,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
    generations: Arc<Generations>,
    names: Arc<Names>,
}

/// Closed when it is dropped.
struct Connection {
    client: Client,
    /// When it was made, by the monotonic clock.
    made: Duration,
    generation: Generation,
}

impl Pool {
    pub(super) fn new(
        mut config: Config,
        tls: MakeRustlsConnect,
        settings: &Settings,
        resolver: Arc<dyn Resolve>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        if config.get_connect_timeout().is_none() {
            // One host that is silent leaves time for the others.
            let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
            config.connect_timeout(CONNECT_TIMEOUT / u32::try_from(hosts).unwrap_or(u32::MAX));
        }
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // All that is done here needs the primary, and a standby may answer first.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("lakemirror");
        }
        let names = Arc::new(Names::of(&config, resolver, Arc::clone(&clock)));
        Self {
            config,
            tls,
            names,
            generations: Arc::default(),
            permits: Semaphore::new(settings.connections_max.clamp(1, Semaphore::MAX_PERMITS)),
            idle: Mutex::new(Vec::new()),
            idle_max: settings.idle_max,
            lifetime: settings.lifetime,
            clock,
        }
    }

    /// The rows that a statement answers with.
    pub(super) async fn rows(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Failure> {
        let (connection, permit) = self.connection().await?;
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, connection.client.query_typed(statement, parameters));
        self.judge(answer.await, connection, permit).map_err(|(_, failure)| failure)
    }

    /// Runs statements without parameters, all or none of them. A refusal comes with the server's code.
    pub(super) async fn batch(&self, statements: &str) -> Result<(), (Option<SqlState>, Failure)> {
        let (connection, permit) = self.connection().await.map_err(|failure| (None, failure))?;
        let answer = tokio::time::timeout(STATEMENT_TIMEOUT, connection.client.batch_execute(statements));
        self.judge(answer.await, connection, permit)
    }

    fn judge<T>(
        &self,
        answer: Result<Result<T, tokio_postgres::Error>, tokio::time::error::Elapsed>,
        connection: Connection,
        permit: SemaphorePermit<'_>,
    ) -> Result<T, (Option<SqlState>, Failure)> {
        let Ok(answer) = answer else {
            self.end(connection.generation);
            let message = format!("no answer within {} s", STATEMENT_TIMEOUT.as_secs());
            return Err((None, Failure::new(FaultKind::Retry, Effect::Unknown, message)));
        };
        match answer.as_ref().err().map(failure::scope) {
            None | Some(Scope::Statement) => self.keep(connection),
            Some(Scope::Server) => self.end(connection.generation),
        }
        drop(permit);
        answer.map_err(|error| (error.code().cloned(), failure::of(&error)))
    }

    /// A connection that may be used now, and the right to have one.
    async fn connection(&self) -> Result<(Connection, SemaphorePermit<'_>), Failure> {
        let permit = match tokio::time::timeout(STATEMENT_TIMEOUT, self.permits.acquire()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => {
                let message = "all connections are in use; raise mirrors_database.postgres.max_open_connections";
                return Err(Failure::new(FaultKind::Retry, Effect::None, message));
            }
        };
        let made = match self.take_idle() {
            Some(connection) => {
                self.watch_names();
                connection
            }
            None => self.connect().await?,
        };
        Ok((made, permit))
    }

    /// Looks at the names in the background, so that no statement over an open connection waits for a resolver.
    fn watch_names(&self) {
        if self.names.is_due() {
            let (names, generations) = (Arc::clone(&self.names), Arc::clone(&self.generations));
            tokio::spawn(async move { look(&names, &generations).await });
        }
    }

    /// Gives up the connections of a generation, and says so once.
    fn end(&self, generation: Generation) {
        if self.generations.end(generation) {
            self.idle().retain(|connection| self.is_usable(connection));
            tracing::info!("the mirrors database's server has changed: connections are made again");
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let connecting = async {
            // Before the connection, so that no move between the two is missed.
            if self.names.is_due() {
                look(&self.names, &self.generations).await;
            }
            let generation = self.generations.current();
            (generation, self.config.connect(self.tls.clone()).await)
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let (generation, (client, driver)) = match connected {
            Ok((generation, Ok(connected))) => (generation, connected),
            Ok((generation, Err(error))) => {
                if error.as_db_error().is_some() && failure::scope(&error) == Scope::Server {
                    self.end(generation);
                }
                return Err(failure::of_connect(&error));
            }
            Err(_) => {
                let message = format!("no connection within {} s", CONNECT_TIMEOUT.as_secs());
                return Err(Failure::new(FaultKind::Retry, Effect::None, message));
            }
        };
        // Ends when the client is dropped or the connection is lost; a statement under way gets the error as well.
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!("a connection to the mirrors database ended: {error}");
            }
        });
        Ok(Connection { client, made: self.clock.monotonic(), generation })
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle();
        idle.retain(|connection| self.is_usable(connection));
        // The one used last, so that the others age and go.
        idle.pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.idle_max && self.is_usable(&connection) {
            idle.push(connection);
        }
    }

    fn is_usable(&self, connection: &Connection) -> bool {
        connection.generation == self.generations.current()
            && !connection.client.is_closed()
            && self.clock.monotonic().saturating_sub(connection.made) < self.lifetime
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives up all connections if a name has moved.
async fn look(names: &Names, generations: &Generations) {
    if names.have_moved().await && generations.end(generations.current()) {
        tracing::info!("the mirrors database's name has another address: connections are made again");
    }
}
