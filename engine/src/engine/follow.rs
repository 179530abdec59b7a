//! The supervisor's executor: gathers what is desired and what runs, and carries out what [`reconcile`] says.

use std::collections::BTreeMap;

use lakemirror_core::ids::Incarnation;
use tokio_util::sync::CancellationToken;

use super::{Engine, Tasks};
use crate::assignments::Assignments;
use crate::mirror::{Ended, MirrorContext};
use crate::ports::MirrorDefinition;
use crate::reconcile::{Action, Desired, Driver, Running, reconcile};

impl Engine {
    /// Brings the mirrors at work in line with what is defined and taken.
    pub(super) async fn follow(
        &self,
        assignments: &mut Assignments,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let definitions: BTreeMap<Incarnation, MirrorDefinition> =
            assignments.definitions.iter().flatten().map(|one| (one.incarnation, one.clone())).collect();
        let order: Vec<Incarnation> = assignments.definitions.iter().flatten().map(|one| one.incarnation).collect();
        let desired: Vec<Desired> = order
            .iter()
            .filter_map(|mirror| definitions.get(mirror))
            .map(|definition| Desired {
                mirror: definition.incarnation,
                is_deleted: definition.deleted,
                driver: self.driver_of(definition, assignments),
            })
            .collect();
        for action in reconcile(&desired, &self.running()) {
            self.carry_out(action, &definitions, assignments, tasks, stop).await?;
        }
        assignments.followed();
        Ok(())
    }

    /// Who is to drive a mirror, as far as this process knows.
    fn driver_of(&self, definition: &MirrorDefinition, assignments: &Assignments) -> Driver {
        let (mirror, region) = (&definition.incarnation, &definition.region);
        match (self.parts.regions.contains_key(region), self.parts.sources.contains_key(&definition.source_region)) {
            (false, _) => Driver::Elsewhere,
            (true, false) => Driver::SourceUnknown,
            (true, true) => match assignments.leases.elsewhere(region, mirror) {
                Some(by) => Driver::Another(by.to_owned()),
                None if assignments.leases.is_taken(region, mirror) && assignments.may_start(mirror) => {
                    Driver::ThisProcess
                }
                None => Driver::Undecided,
            },
        }
    }

    fn running(&self) -> BTreeMap<Incarnation, Running> {
        let running = |(id, context): (&Incarnation, &MirrorContext)| {
            let (is_deleting, is_stopping) = (context.definition.deleted, context.stop.is_cancelled());
            (*id, Running { is_deleting, is_stopping })
        };
        self.contexts().iter().map(running).collect()
    }

    async fn carry_out(
        &self,
        action: Action,
        definitions: &BTreeMap<Incarnation, MirrorDefinition>,
        assignments: &mut Assignments,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<(), Ended> {
        let context = |mirror: &Incarnation| self.contexts().get(mirror).cloned();
        match action {
            Action::Start(mirror) => {
                if let Some(definition) = definitions.get(&mirror) {
                    self.start(definition.clone(), assignments, tasks, stop).await?;
                }
            }
            Action::StopForDeletion(mirror) => {
                if let Some(context) = context(&mirror) {
                    context.stop.cancel();
                }
            }
            Action::LeaveTo { mirror, by } => {
                if let Some(context) = context(&mirror) {
                    tracing::warn!(mirror = context.name(), by, "another process drives this mirror: left to it");
                    context.lease.end();
                    context.stop.cancel();
                }
            }
            Action::ReportUnknownSource(mirror) => {
                if let Some(definition) = definitions.get(&mirror).filter(|_| assignments.is_fresh()) {
                    tracing::error!(
                        mirror = definition.name,
                        region = definition.source_region,
                        "the source's region has no lakeFS here: add it to dst_endpoints"
                    );
                }
            }
        }
        Ok(())
    }
}
