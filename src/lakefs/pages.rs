//! Reading a listing to its end, or failing: never a part of it.

use serde::de::DeserializeOwned;

use super::call::Call;
use super::client::Client;
use super::types::Page;
use super::walk::{Order, Walk};
use crate::engine::ports::Fault;

impl Client {
    /// Every item of a listing. `call` makes the request without paging parameters.
    pub(super) async fn every<T: DeserializeOwned + Send>(
        &self,
        order: Order,
        call: impl Fn() -> Call + Send,
        id: impl Fn(&T) -> &str + Send,
        absent: Option<&str>,
    ) -> Result<Vec<T>, Fault> {
        let mut walk = Walk::new(order);
        let mut all = Vec::new();
        loop {
            let call = self.paged(call(), &walk);
            let reply = self.transport.ask(&call).await?;
            let page: Page<T> = self.transport.parse(&call, &reply, absent)?;
            let more = walk
                .turn(&page.pagination, page.results.iter().map(&id))
                .map_err(|reason| self.transport.contradiction(&call, &reason))?;
            all.extend(page.results);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Adds the paging parameters of the walk's next page.
    pub(super) fn paged(&self, call: Call, walk: &Walk) -> Call {
        let call = call.query("amount", &self.page_size);
        if walk.after().is_empty() { call } else { call.query("after", walk.after()) }
    }
}
