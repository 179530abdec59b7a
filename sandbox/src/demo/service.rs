//! lakemirror in the demo: the production wiring in this process, and its HTTP API as curl would call it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use lakemirror_api::types::Mirror;
use lakemirror_core::causes::chain;
use lakemirror_ports::clock::{Clock, Entropy};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use super::stage::{Broken, MIRROR, MIRROR_NAMESPACE, MIRROR_REGION, SOURCE, Stage, access, listen};
use crate::checker::http::{Http, HttpError};

/// The API's base path.
pub const BASE: &str = "/service/replication/v1";

/// Starts lakemirror in this process. The production wiring implements it and passes itself in.
#[async_trait]
pub trait Wiring: Send + Sync {
    /// Builds the service from the text of a configuration file. The result serves until `stop` is cancelled.
    async fn start(
        &self,
        configuration: &str,
        listener: TcpListener,
        stop: CancellationToken,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Serving, DemoError>;
    /// How long a process must be silent before another one acquires its mirrors.
    fn dead_after(&self) -> Duration;
}

/// A running lakemirror; completes when it ends.
pub type Serving = BoxFuture<'static, Result<(), Box<dyn Error + Send + Sync>>>;

/// lakemirror's API, as far as the demo needs it.
#[derive(Debug, Clone)]
pub struct Api {
    http: Http,
}

impl Api {
    /// For a lakemirror's URL.
    ///
    /// # Errors
    /// [`HttpError::Client`].
    pub fn new(url: &str) -> Result<Self, HttpError> {
        Ok(Self { http: Http::new(&format!("{url}{BASE}"), &access())? })
    }

    /// Creates the demo's mirror. Returns false if it, or another mirror of that name, exists already.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn create(&self) -> Result<bool, HttpError> {
        self.create_of(SOURCE, MIRROR, MIRROR_REGION, MIRROR_NAMESPACE).await
    }

    /// The status of the demo's mirror.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn mirror(&self) -> Result<Mirror, HttpError> {
        self.mirror_of(SOURCE, MIRROR).await
    }

    /// Creates a mirror of `source`. Returns false if it, or another mirror of that name, exists already.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn create_of(&self, source: &str, name: &str, region: &str, namespace: &str) -> Result<bool, HttpError> {
        let body = json!({"name": name, "region": region, "storage_namespace": namespace});
        match self.http.send_json(Method::POST, &format!("/repositories/{source}/mirrors"), &body).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The status of a mirror of `source`.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn mirror_of(&self, source: &str, name: &str) -> Result<Mirror, HttpError> {
        self.http.get(&format!("/repositories/{source}/mirrors/{name}")).await
    }

    /// Deletes a mirror of `source`.
    ///
    /// # Errors
    /// [`HttpError`].
    pub async fn delete_of(&self, source: &str, name: &str) -> Result<(), HttpError> {
        self.http.send(Method::DELETE, &format!("/repositories/{source}/mirrors/{name}"), None).await.map(drop)
    }
}

/// lakemirror, running in this process.
pub(super) struct Lakemirror {
    pub(super) url: String,
    pub(super) api: Api,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Lakemirror {
    /// Starts it in an environment, with a configuration as in a file.
    pub(super) async fn start(
        stage: &Stage,
        wiring: &dyn Wiring,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, DemoError> {
        let (listener, address) = listen().await?;
        let text = stage.config(&address);
        let (stop, told) = (CancellationToken::new(), stage.broken().clone());
        let ended = wiring.start(&text, listener, stop.clone(), clock, entropy).await?;
        let serving = tokio::spawn(serve(ended, stop.clone(), told));
        let url = format!("http://{address}");
        Ok(Self { api: Api::new(&url)?, url, stop, serving })
    }

    /// Ends it as SIGTERM would.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        if let Err(crash) = self.serving.await {
            tracing::error!("lakemirror ended with a panic: {crash}");
        }
    }
}

async fn serve(serving: Serving, stop: CancellationToken, told: Broken) {
    match serving.await {
        Err(error) => told.tell(format!("lakemirror ended: {}", chain(&*error))),
        Ok(()) if !stop.is_cancelled() => told.tell("lakemirror ended by itself".to_owned()),
        Ok(()) => {}
    }
}
