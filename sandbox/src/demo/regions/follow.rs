//! A mirror with a checker that runs all the time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::world::{Wanted, World};
use crate::checker::http::{Http, encode};
use crate::checker::{CheckError, Checker, Setup};
use crate::demo::DemoError;
use crate::demo::background::Background;
use crate::demo::stage::access;

/// A mirror that is followed.
pub(super) struct Followed {
    pub(super) wanted: Wanted,
    pub(super) checker: Checker,
    /// The lakeFS of the mirror.
    lakefs: Http,
    /// The token that ends the checker, and the one that confirms its end.
    watching: Option<(CancellationToken, CancellationToken)>,
}

impl Followed {
    pub(super) fn new(world: &World, wanted: Wanted) -> Result<Self, CheckError> {
        let (from, to) = (world.region(wanted.from), world.region(wanted.to));
        let setup = Setup {
            source: from.url.clone(),
            source_repository: wanted.source.to_owned(),
            mirror: to.url.clone(),
            mirror_repository: wanted.name.to_owned(),
            access: access(),
            bucket: to.files(wanted.source),
            every: Duration::from_millis(30),
            ancestors_complete: true,
        };
        let checker = Checker::new(setup, world.clock.clone())?;
        Ok(Self { wanted, checker, lakefs: to.lakefs.clone(), watching: None })
    }

    /// Starts the checker.
    pub(super) fn watch(&mut self, background: &mut Background) {
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        self.watching = Some((stop.clone(), ended.clone()));
        let judge = self.checker.clone();
        background.spawn(async move {
            let _tells = ended.drop_guard();
            judge.run(stop).await;
        });
    }

    /// Ends the checker: later moves are not checked.
    pub(super) async fn unwatch(&self) {
        if let Some((stop, ended)) = &self.watching {
            stop.cancel();
            ended.cancelled().await;
        }
    }

    /// The head of a branch of the mirror.
    pub(super) async fn head(&self, branch: &str) -> Result<Option<String>, DemoError> {
        let found = self.found(&format!("/branches/{}", encode(branch))).await?;
        Ok(found.and_then(|found| found.get("commit_id")?.as_str().map(str::to_owned)))
    }

    /// Whether the mirror repository exists.
    pub(super) async fn exists(&self) -> Result<bool, DemoError> {
        Ok(self.found("").await?.is_some())
    }

    async fn found(&self, rest: &str) -> Result<Option<serde_json::Value>, DemoError> {
        match self.lakefs.get(&format!("/repositories/{}{rest}", self.wanted.name)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
