//! The composition root: `connect` builds the adapters that a configuration names, `serve` runs the service over
//! whatever it is given, so that the demo, the tests and the simulation run the same wiring.

pub mod ledger;
pub mod registry;
