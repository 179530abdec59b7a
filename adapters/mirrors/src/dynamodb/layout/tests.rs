//! What a table's description says: its keys, its state, its guarantees.

use aws_sdk_dynamodb::types::ReplicaDescription;
use aws_sdk_dynamodb::types::builders::TableDescriptionBuilder;

use super::*;

fn table(keys: &[(&str, KeyType, ScalarAttributeType)]) -> TableDescriptionBuilder {
    let mut table = TableDescription::builder();
    for (name, key, kind) in keys {
        table = table
            .key_schema(KeySchemaElement::builder().attribute_name(*name).key_type(key.clone()).build().unwrap())
            .attribute_definitions(
                AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build().unwrap(),
            );
    }
    table
}

fn ours() -> TableDescriptionBuilder {
    // In the other order, which means nothing.
    table(&[
        ("ItemKey", KeyType::Range, ScalarAttributeType::B),
        ("PartitionKey", KeyType::Hash, ScalarAttributeType::B),
    ])
}

#[test]
fn only_a_table_with_our_keys_fits() {
    assert_eq!(keys(&ours().build()), NEEDED);
    check("t", &ours().build()).unwrap();
    for other in [
        table(&[("PartitionKey", KeyType::Hash, ScalarAttributeType::B)]),
        table(&[
            ("PartitionKey", KeyType::Hash, ScalarAttributeType::B),
            ("ItemKey", KeyType::Range, ScalarAttributeType::S),
        ]),
        table(&[
            ("ItemKey", KeyType::Hash, ScalarAttributeType::B),
            ("PartitionKey", KeyType::Range, ScalarAttributeType::B),
        ]),
        table(&[]),
    ] {
        assert_eq!(check("t", &other.build()).unwrap_err().effect, Effect::WrongTable);
    }
}

#[test]
fn a_table_on_its_way_is_waited_for_and_a_lost_one_needs_somebody() {
    for (status, expected) in [
        (TableStatus::Active, None),
        (TableStatus::Updating, None),
        (TableStatus::Creating, Some(FaultKind::Retry)),
        (TableStatus::Deleting, Some(FaultKind::Retry)),
        (TableStatus::Archived, Some(FaultKind::Denied)),
        (TableStatus::InaccessibleEncryptionCredentials, Some(FaultKind::Denied)),
    ] {
        let found = check("t", &ours().table_status(status.clone()).build());
        assert_eq!(found.err().map(|failure| failure.kind), expected, "{status:?}");
    }
}

#[test]
fn guarantees_are_told_apart_and_named() {
    let replica = |region: &str| ReplicaDescription::builder().region_name(region).build();
    let alone = ours().build();
    assert_eq!(guarantees(&alone), Guarantees::OneRegion);
    let global = ours().replicas(replica("eu-west-1")).replicas(replica("us-west-2"));
    let eventual = guarantees(&global.clone().build());
    assert!(matches!(&eventual, Guarantees::Eventual { replicas } if replicas.len() == 2), "{eventual:?}");
    assert!(eventual.to_string().contains("eu-west-1, us-west-2, eventually consistent (MREC)"), "{eventual}");
    let eventual_by_name = global.clone().multi_region_consistency(MultiRegionConsistency::Eventual).build();
    assert_eq!(guarantees(&eventual_by_name), eventual);
    let strong = guarantees(&global.multi_region_consistency(MultiRegionConsistency::Strong).build());
    assert!(strong.to_string().contains("strongly consistent (MRSC)"), "{strong}");
}
