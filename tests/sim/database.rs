//! The mirrors database as a process reaches it: the production's in-memory items behind the simulated faults.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use lakemirror::engine::ports::Fault;
use lakemirror::mirrors::{Expect, Item, Items, Page, PutError};
use serde_json::Value;

use crate::wire::{Call, Wire};
use crate::world::{Place, World};

/// See the module.
pub(crate) struct Port(pub(crate) Wire);

/// A future on memory completes at once.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// Reports the driver of a mirror, according to an owner's item.
fn tell_driver(world: &mut World, key: &str, value: &[u8]) {
    let Some((_, incarnation)) = key.strip_prefix("owners/").and_then(|rest| rest.split_once('/')) else { return };
    let item: Value = serde_json::from_slice(value).unwrap_or(Value::Null);
    let holder = item["holder"].as_str().map(str::to_owned);
    world.note(|| format!("  {:.8} is driven by {holder:?}", incarnation));
    let epoch = item["epoch"].as_u64().unwrap_or_default();
    world.judge.driver_written(incarnation, holder, epoch);
}

#[async_trait]
impl Items for Port {
    fn place(&self) -> &str {
        "memory"
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, Fault> {
        let name = key.to_owned();
        let work = move |_: &_, world: &mut World| now(world.database.get(&name));
        self.0.call(Call::read(Place::Database, "get item"), key, work).await
    }

    async fn query(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Page, Fault> {
        let (of, after) = (prefix.to_owned(), after.map(str::to_owned));
        let work = move |_: &_, world: &mut World| now(world.database.query(&of, after.as_deref(), limit));
        self.0.call(Call::read(Place::Database, "query items"), prefix, work).await
    }

    async fn put(&self, key: &str, value: Bytes, expect: Expect) -> Result<u64, PutError> {
        let name = key.to_owned();
        let work = move |_: &_, world: &mut World| {
            let put = now(world.database.put(&name, value.clone(), expect));
            if put.is_ok() {
                tell_driver(world, &name, &value);
            }
            Ok(put)
        };
        let call = Call { repeatable: false, ..Call::read(Place::Database, "put item") };
        self.0.call(call, key, work).await?
    }

    async fn delete(&self, key: &str, version: u64) -> Result<(), PutError> {
        let name = key.to_owned();
        let work = move |_: &_, world: &mut World| Ok(now(world.database.delete(&name, version)));
        let call = Call { repeatable: false, ..Call::read(Place::Database, "delete item") };
        self.0.call(call, key, work).await?
    }
}
