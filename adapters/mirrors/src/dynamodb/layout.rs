//! The table: made when it is not there, adopted when it is, refused when its keys are others; and what it guarantees.
//!
//! Owns the keys, the way of paying, and the stream that a global table replicates by. Facts:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html>.

use std::fmt;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, MultiRegionConsistency, ScalarAttributeType,
    StreamSpecification, StreamViewType, TableDescription, TableStatus,
};
use lakemirror_ports::FaultKind;

use super::super::attempts::{Effect, Failure};
use super::{ITEM_KEY, PARTITION_KEY, failure};

const NEEDED: &str = "PartitionKey (B, HASH) and ItemKey (B, RANGE)";

/// What holds between the regions that use a table. In one region, reads and conditional writes are always exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guarantees {
    /// The table is in one region; whoever uses it there reads what was written last.
    OneRegion,
    /// A global table: other regions see a write later, and a condition is checked against the own region's copy only.
    Eventual {
        /// The other regions with a replica.
        replicas: Vec<String>,
    },
    /// A global table with strong consistency: reads and conditions are exact in all regions.
    Strong {
        /// The other regions with a replica.
        replicas: Vec<String>,
    },
}

impl fmt::Display for Guarantees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneRegion => {
                f.write_str("a table of one region; what one region has written all regions that use it read")
            }
            Self::Eventual { replicas } => write!(
                f,
                "a global table with replicas in {}, eventually consistent (MREC): what one region has written others read later, conditions hold within a region",
                replicas.join(", ")
            ),
            Self::Strong { replicas } => write!(
                f,
                "a global table with replicas in {}, strongly consistent (MRSC): what one region has written all regions read",
                replicas.join(", ")
            ),
        }
    }
}

/// Makes the table unless it is there, and checks it. While it is being made, the failure says so.
pub(super) async fn ensure(client: &Client, table: &str) -> Result<Guarantees, Failure> {
    let found = match describe(client, table).await? {
        Some(found) => found,
        None => {
            create(client, table).await?;
            describe(client, table).await?.ok_or_else(|| being_made(table))?
        }
    };
    check(table, &found)?;
    Ok(guarantees(&found))
}

async fn describe(client: &Client, table: &str) -> Result<Option<TableDescription>, Failure> {
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(failure::of(&error)),
    }
}

async fn create(client: &Client, table: &str) -> Result<(), Failure> {
    let invalid = |error: aws_sdk_dynamodb::error::BuildError| {
        Failure::new(FaultKind::Refused, Effect::None, format!("table {table} cannot be made: {error}"))
    };
    let stream =
        StreamSpecification::builder().stream_enabled(true).stream_view_type(StreamViewType::NewAndOldImages).build();
    let mut request = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .stream_specification(stream.map_err(invalid)?);
    for (name, kind) in [(PARTITION_KEY, KeyType::Hash), (ITEM_KEY, KeyType::Range)] {
        let attribute =
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::B).build();
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        request = request.attribute_definitions(attribute.map_err(invalid)?).key_schema(key.map_err(invalid)?);
    }
    match request.send().await {
        Ok(_) => {
            tracing::info!(table, "mirrors database: the table was not there and is made");
            Ok(())
        }
        // Somebody else makes it at this moment.
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(()),
        Err(error) => {
            let mut failure = failure::of(&error);
            failure.message = format!("table {table} is not there and cannot be made: {}", failure.message);
            Err(failure)
        }
    }
}

fn being_made(table: &str) -> Failure {
    Failure::new(FaultKind::Retry, Effect::None, format!("table {table} is being made"))
}

fn check(table: &str, found: &TableDescription) -> Result<(), Failure> {
    let keys = keys(found);
    if keys != NEEDED {
        let message = format!(
            "table {table} has the keys {keys}, needed are {NEEDED}; set mirrors_database.dynamodb.table_name to another table, one that is not there is made"
        );
        return Err(Failure::new(FaultKind::Refused, Effect::WrongTable, message));
    }
    match found.table_status() {
        Some(TableStatus::Creating) => Err(being_made(table)),
        Some(TableStatus::Deleting) => {
            let message = format!("table {table} is being deleted");
            Err(Failure::new(FaultKind::Retry, Effect::None, message))
        }
        Some(
            status @ (TableStatus::Archived | TableStatus::Archiving | TableStatus::InaccessibleEncryptionCredentials),
        ) => {
            let message = format!("table {table} is {}; restore it or the access to its key", status.as_str());
            Err(Failure::new(FaultKind::Denied, Effect::None, message))
        }
        _ => Ok(()),
    }
}

/// The keys with their types, hash key first, in the words of [`NEEDED`].
fn keys(found: &TableDescription) -> String {
    let kind = |name: &str| {
        let of = found.attribute_definitions().iter().find(|attribute| attribute.attribute_name() == name);
        of.map_or("?", |attribute| attribute.attribute_type().as_str())
    };
    let mut keys: Vec<_> = found.key_schema().iter().collect();
    keys.sort_by_key(|key| *key.key_type() != KeyType::Hash);
    let one = |key: &&KeySchemaElement| {
        format!("{} ({}, {})", key.attribute_name(), kind(key.attribute_name()), key.key_type().as_str())
    };
    keys.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn guarantees(found: &TableDescription) -> Guarantees {
    let replicas: Vec<String> =
        found.replicas().iter().filter_map(|replica| replica.region_name()).map(str::to_owned).collect();
    match found.multi_region_consistency() {
        Some(MultiRegionConsistency::Strong) => Guarantees::Strong { replicas },
        _ if replicas.is_empty() => Guarantees::OneRegion,
        _ => Guarantees::Eventual { replicas },
    }
}

#[cfg(test)]
mod tests;
