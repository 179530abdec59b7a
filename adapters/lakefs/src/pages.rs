//! Reading a listing to its end, or failing: never a part of it.

use lakemirror_ports::{Fault, FaultKind};
use serde::de::DeserializeOwned;

use super::call::Call;
use super::client::Client;
use super::types::Page;
use super::walk::{Budget, Order, Walk};

impl Client {
    /// Every item of a listing. `call` makes the request without paging parameters.
    pub(super) async fn every<T: DeserializeOwned + Send>(
        &self,
        order: Order,
        call: impl Fn() -> Call + Send,
        id: impl Fn(&T) -> &str + Send,
        absent: Option<&str>,
    ) -> Result<Vec<T>, Fault> {
        let (mut walk, mut budget) = (Walk::new(order), Budget::default());
        let mut all = Vec::new();
        loop {
            let call = self.paged(call(), walk.after());
            let reply = self.transport.ask(&call).await?;
            let page: Page<T> = self.transport.parse(&call, &reply, absent)?;
            budget.take(page.results.len(), reply.body.len()).map_err(|reason| self.too_long(&call, &reason))?;
            let more = walk
                .turn(&page.pagination, page.results.iter().map(&id))
                .map_err(|reason| self.transport.contradiction(&call, &reason))?;
            all.extend(page.results);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Adds the paging parameters of the page after `after`; empty for the first.
    pub(super) fn paged(&self, call: Call, after: &str) -> Call {
        let call = call.query("amount", &self.page_size);
        if after.is_empty() { call } else { call.query("after", after) }
    }

    /// The fault of a listing that is beyond its budget.
    pub(super) fn too_long(&self, call: &Call, reason: &str) -> Fault {
        self.transport.fault(call, FaultKind::Refused, None, reason)
    }
}
