//! The API's service over the ports of this process.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use lakemirror_api::server::Service;
use lakemirror_engine::Engine;
use lakemirror_mirrors::records::Status;
use lakemirror_ports::clock::Clock;
use lakemirror_ports::{Incarnation, Lakefs, MirrorDefinition, StoreIdentity};
use tokio_util::sync::CancellationToken;

use super::Ports;
use super::gate::LakefsGate;
use super::registry::{SharedRegistry, shown};
use crate::auth::{Authenticator, Authorizer, CacheSettings, Directory};
use crate::service::{Blockstore, Gate, MirrorService, Parts, Region, Scheme, StatusProvider, Visible};

struct EngineStatus {
    engine: Engine,
    registry: Arc<SharedRegistry>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl StatusProvider for EngineStatus {
    async fn status(&self, incarnation: Incarnation) -> Option<Status> {
        let status = self.engine.status(&incarnation).await?;
        let mut shown = shown(&status, self.clock.wall_ms());
        shown.problems.splice(0..0, self.registry.problem());
        Some(shown)
    }

    async fn known(&self) -> Vec<MirrorDefinition> {
        self.engine.known().await
    }
}

/// Builds the service, which watches the processes of all regions until it is stopped.
pub(super) fn service(
    ports: &Ports,
    engine: Engine,
    registry: Arc<SharedRegistry>,
    stop: &CancellationToken,
) -> Arc<dyn Service> {
    let cache = ports.auth.cache.as_ref().map(|cache| CacheSettings {
        size: usize::try_from(cache.size).unwrap_or(usize::MAX),
        ttl: cache.ttl,
        jitter: cache.jitter,
    });
    let directory = || Arc::clone(&ports.home) as Arc<dyn Directory>;
    let (clock, entropy) = (&ports.clock, &ports.entropy);
    let key = ports.auth.encrypt_secret_key.clone();
    let gate = Arc::new(LakefsGate {
        authenticator: Authenticator::new(directory(), key, Arc::clone(clock), Arc::clone(entropy), cache),
        authorizer: Authorizer::new(directory(), Arc::clone(clock), Arc::clone(entropy), cache),
        trusted_proxies: ports.auth.trusted_proxies.clone(),
    });
    let blockstore = |region: &str, scheme: &str| Blockstore {
        scheme: if scheme == "local" { Scheme::Local } else { Scheme::S3 },
        identity: ports.regions.get(region).map_or(StoreIdentity::Unknown, |region| region.store.clone()),
    };
    let others = ports.sources.keys().filter(|region| **region != ports.region);
    let destinations: BTreeMap<String, Region> = others
        .map(|name| {
            let visible = ports.regions.get(name);
            let visible = visible.map(|region| Visible {
                lakefs: Arc::clone(&region.lakefs),
                blockstore: blockstore(name, region.scheme),
            });
            (name.clone(), Region { visible })
        })
        .collect();
    let home_scheme = ports.regions.get(&ports.region).map_or("s3", |region| region.scheme);
    let service = Arc::new(MirrorService::new(Parts {
        region: ports.region.clone(),
        lakefs: Arc::clone(&ports.home) as Arc<dyn Lakefs>,
        blockstore: blockstore(&ports.region, home_scheme),
        sources: ports.sources.clone(),
        destinations,
        gate: Arc::clone(&gate) as Arc<dyn Gate>,
        records: Arc::clone(&ports.records),
        status: Arc::new(EngineStatus { engine, registry, clock: Arc::clone(clock) }),
        alarm: ports.alarm.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    }));
    let (watching, until) = (Arc::clone(&service), stop.clone());
    tokio::spawn(async move { watching.watch(until).await });
    let (own, clock, until) = (ports.home.own_authorization(), Arc::clone(clock), stop.clone());
    tokio::spawn(async move { gate.remember(&own, &*clock, until).await });
    service
}
