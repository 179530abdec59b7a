//! Who may have which namespace.

use super::*;
use crate::ports::{Incarnation, Machine};

fn ceph(endpoint: &str) -> StoreIdentity {
    StoreIdentity::S3 { endpoint: endpoint.to_owned(), machine: None }
}

fn mirror(number: u8, namespace: &str) -> MirrorDefinition {
    MirrorDefinition {
        incarnation: Incarnation([number; 16]),
        name: format!("m-{number}"),
        source_repository: "sample".to_owned(),
        source_region: "east".to_owned(),
        region: "west".to_owned(),
        storage_namespace: namespace.to_owned(),
        created_ms: 1000,
        source_store: ceph("east:7480"),
        deleted: false,
    }
}

#[test]
fn the_sources_own_place_is_refused_and_an_equal_name_in_another_store_is_not() {
    let place = |namespace: &str, store: StoreIdentity| {
        in_the_sources_place(&mirror(1, namespace), "s3://data/sample/", &store)
    };
    for namespace in ["s3://data/sample", "s3://data/sample/", "s3://data", "s3://data/sample/below"] {
        let text = place(namespace, ceph("east:7480")).expect(namespace);
        assert!(text.contains("overlaps") && text.contains("s3://data/sample/"), "{text}");
        assert_eq!(place(namespace, ceph("west:7480")), None, "{namespace}");
        assert_eq!(place(namespace, StoreIdentity::Unknown), None, "{namespace}: a definition of an earlier version");
    }
    assert_eq!(place("s3://data/sample2", ceph("east:7480")), None);
    assert_eq!(place("s3://data2/sample", ceph("east:7480")), None);

    let machine = Machine { boot: "b".to_owned(), installation: String::new() };
    let store = StoreIdentity::Local { machine, path: "/blocks".to_owned(), inode: None };
    let own = MirrorDefinition { source_store: store.clone(), ..mirror(1, "local://data//./sample") };
    assert!(in_the_sources_place(&own, "local://data/sample", &store).is_some(), "one folder by two names");
}

#[test]
fn of_two_mirrors_in_one_place_the_earlier_one_stays_everywhere() {
    let (one, other) = (mirror(1, "s3://west/data"), mirror(2, "s3://west/data/below"));
    assert!(meets(&one, &other) && meets(&other, &one));
    assert!(comes_first(&one, &other) && !comes_first(&other, &one), "made at once: the ids decide");
    let later = MirrorDefinition { created_ms: 2000, ..one.clone() };
    assert!(comes_first(&other, &later) && !comes_first(&later, &other));
    for apart in [
        mirror(2, "s3://west/data2"),
        MirrorDefinition { deleted: true, ..other.clone() },
        MirrorDefinition { region: "north".to_owned(), ..other.clone() },
        MirrorDefinition { name: one.name.clone(), ..other.clone() },
        MirrorDefinition { incarnation: one.incarnation, ..other },
    ] {
        assert!(!meets(&one, &apart), "{apart:?}");
    }
}
