//! Temporary.
use std::sync::Arc;
use lakemirror_api::server::{Observer, Service};
/// T
pub struct Tracing;
impl Observer for Tracing { fn begun(&self) -> String { "r".into() } fn answered(&self, _: &str, _: &str, _: &str, _: &str, _: u16) {} }
/// T
pub fn build(_: &crate::run::Ports, _: crate::engine::Engine) -> Arc<dyn Service> { unreachable!() }
