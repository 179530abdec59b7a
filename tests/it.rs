//! The integration tests: one binary, one module a subject. What is tested is the built command or the library as
//! its users see it.

#[path = "it/config.rs"]
mod config;
