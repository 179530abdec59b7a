//! The mirrors database: one conformance suite against memory, a directory, the sandbox's DynamoDB, DynamoDB Local and
//! PostgreSQL. Failures of the two servers are tested with a proxy and with a scripted server.

#[path = "items/conformance.rs"]
mod conformance;
#[path = "items/dynamodb.rs"]
mod dynamodb;
#[path = "items/faulty_dynamodb.rs"]
mod faulty_dynamodb;
#[path = "items/line.rs"]
pub(crate) mod line;
#[path = "items/postgres.rs"]
pub(crate) mod postgres;
#[path = "items/postgres_failover.rs"]
mod postgres_failover;
#[path = "items/postgres_tls.rs"]
mod postgres_tls;
#[path = "items/sandbox_dynamodb.rs"]
mod sandbox_dynamodb;
#[path = "items/service.rs"]
mod service;
#[path = "items/simple.rs"]
mod simple;
