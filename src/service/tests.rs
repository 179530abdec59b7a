//! The service over fakes: every check of a creation, what is answered when, and who may.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use lakemirror_api::server::Credentials;
use lakemirror_api::types::MirrorState;
use lakemirror_mirrors::records::{Stamp, Summary};
use lakemirror_mirrors::{Expect, Item, Items, Memory, Page, PutError};
use lakemirror_ports::{BranchHead, CommitId, CommitRecord, CreateOutcome, Fault, SourceObject, StoreIdentity};

use super::*;

mod calls;
mod fakes;
mod liveness;

use fakes::*;

async fn refusal(rig: &Rig, source: &str, new: MirrorCreation) -> (u16, String) {
    let error = rig.service.create_mirror(&caller(), source, new).await.unwrap_err();
    assert_eq!(rig.records.list_definitions().await.unwrap().all_active().len(), rig.before, "nothing was made");
    (error.code.status(), error.message)
}

#[tokio::test]
async fn what_cannot_be_mirrored_is_refused_with_what_to_change() {
    let rig = rig();
    let base = creation("new");
    for (change, status, says) in [
        (MirrorCreation { name: "No".to_owned(), ..base.clone() }, 400, "3 to 63"),
        (MirrorCreation { region: "us-east-1".to_owned(), ..base.clone() }, 400, "another region"),
        (MirrorCreation { region: "mars".to_owned(), ..base.clone() }, 400, "use one of eu-north-1, us-west-2"),
        (MirrorCreation { storage_namespace: "west".to_owned(), ..base.clone() }, 400, "not a URI"),
        (MirrorCreation { storage_namespace: "local://west".to_owned(), ..base.clone() }, 400, "s3://"),
    ] {
        let (found, message) = refusal(&rig, "sample", change).await;
        assert_eq!(found, status, "{message}");
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(refusal(&rig, "other", base.clone()).await, (404, "repository not found".to_owned()));
    assert_eq!(refusal(&rig, "Not A Name", base).await, (404, "repository not found".to_owned()));
}

#[tokio::test]
async fn one_bucket_name_in_two_stores_is_fine_and_in_one_it_is_not() {
    let same = MirrorCreation { storage_namespace: "s3://east/sample/below".to_owned(), ..creation("new") };
    rig().service.create_mirror(&caller(), "sample", same.clone()).await.unwrap();
    let mut parts = parts();
    parts.blockstore.identity = store("west");
    let (status, message) = refusal(&Rig::of(parts), "sample", same).await;
    assert_eq!(status, 400);
    assert!(message.contains("overlaps"), "{message}");
}

#[tokio::test]
async fn a_namespace_that_overlaps_another_mirrors_is_refused_with_its_name() {
    let mut rig = rig();
    rig.records.create(&new_mirror("taken")).await.unwrap();
    rig.before = 1;
    for namespace in ["s3://west/sample", "s3://west/sample/", "s3://west", "s3://west/sample/below"] {
        let (status, message) = refusal(&rig, "sample", creation_in("new", namespace)).await;
        assert_eq!(status, 409, "{message}");
        assert!(message.contains("overlaps") && message.contains("mirror taken"), "{message}");
    }
    // Another region's store is not known to be the same one, and a deleted mirror needs its place no more.
    let north = MirrorCreation { region: "eu-north-1".to_owned(), ..creation("north") };
    rig.service.create_mirror(&caller(), "sample", north).await.unwrap();
    rig.service.create_mirror(&caller(), "sample", creation_in("beside", "s3://west/sample2")).await.unwrap();
    rig.service.delete_mirror(&caller(), "sample", "taken", Deletion::Regular).await.unwrap();
    rig.service.create_mirror(&caller(), "sample", creation("new")).await.unwrap();
}

#[tokio::test]
async fn the_definition_says_which_store_the_source_has() {
    let rig = rig();
    rig.service.create_mirror(&caller(), "sample", creation("new")).await.unwrap();
    let listing = rig.records.list_definitions().await.unwrap();
    assert_eq!(listing.active("new").unwrap().source_store, store("east"));
}

#[tokio::test]
async fn a_mirror_of_a_mirror_is_refused_by_record_or_by_mark() {
    let mut rig = rig();
    let here =
        NewMirror { region: "us-east-1".to_owned(), source_region: "us-west-2".to_owned(), ..new_mirror("sample") };
    rig.records.create(&here).await.unwrap();
    rig.before = 1;
    let (status, message) = refusal(&rig, "sample", creation("new")).await;
    assert!(status == 400 && message.contains("itself a mirror"), "{status} {message}");

    let parts = parts();
    let mark = BTreeMap::from([(INCARNATION_KEY.to_owned(), "ff".repeat(16))]);
    let east = Fake::of(&[repository("sample", "s3://east/sample", true)], mark);
    let rig = Rig::of(Parts { lakefs: Arc::new(east), ..parts });
    let (status, message) = refusal(&rig, "sample", creation("new")).await;
    assert!(status == 400 && message.contains("itself a mirror"), "{status} {message}");
}

#[tokio::test]
async fn a_foreign_repository_of_the_name_is_a_conflict() {
    let parts = parts_with_west(&[repository("new", "s3://west/sample", false)], BTreeMap::new());
    let (status, message) = refusal(&Rig::of(parts), "sample", creation("new")).await;
    assert!(status == 409 && message.contains("already has a repository new"), "{status} {message}");
    let parts = parts_with_west(&[repository("new", "s3://west/sample", true)], BTreeMap::new());
    Rig::of(parts).service.create_mirror(&caller(), "sample", creation("new")).await.unwrap();
}

#[tokio::test]
async fn the_source_or_the_database_down_is_503_never_404() {
    let rig = rig();
    rig.east.down.store(true, Ordering::SeqCst);
    let (status, message) = refusal(&rig, "sample", creation("new")).await;
    assert!(status == 503 && message.contains("source repository"), "{status} {message}");
    rig.east.down.store(false, Ordering::SeqCst);
    rig.items.down.store(true, Ordering::SeqCst);
    let service = &rig.service;
    for code in [
        service.create_mirror(&caller(), "sample", creation("new")).await.unwrap_err().code,
        service.get_mirror(&caller(), "sample", "m").await.unwrap_err().code,
        service.list_mirrors(&caller(), "sample", &ListPage::default()).await.unwrap_err().code,
        service.delete_mirror(&caller(), "sample", "m", Deletion::Regular).await.unwrap_err().code,
    ] {
        assert_eq!(code, ErrorCode::Unavailable);
    }
}

#[tokio::test]
async fn a_destination_that_does_not_answer_decides_nothing() {
    let rig = rig();
    rig.west.down.store(true, Ordering::SeqCst);
    rig.service.create_mirror(&caller(), "sample", creation("new")).await.unwrap();
    let unseen =
        MirrorCreation { region: "eu-north-1".to_owned(), storage_namespace: "gs://x".to_owned(), ..creation("two") };
    rig.service.create_mirror(&caller(), "sample", unseen).await.unwrap();
}

#[test]
fn occupancy_tells_own_from_foreign() {
    let (mine, none) = (BTreeMap::from([(INCARNATION_KEY.to_owned(), "07".repeat(16))]), BTreeMap::new());
    let definition = |deleted: bool, region: &str| Definition {
        name: "m".to_owned(),
        incarnation: Incarnation([7; 16]),
        source_repository: "sample".to_owned(),
        source_region: "us-east-1".to_owned(),
        region: region.to_owned(),
        storage_namespace: "s3://w".to_owned(),
        creation_date: 0,
        created_by: String::new(),
        source_store: StoreIdentity::Unknown,
        deleted_at_ms: deleted.then_some(1),
        stamp: Stamp::default(),
        unknown: serde_json::Map::new(),
    };
    let judge = |read_only, metadata: &BTreeMap<String, String>, branches, definitions: &[Definition]| {
        let repository = repository("m", "s3://w/", read_only);
        occupancy::occupancy(
            &occupancy::Found { repository: &repository, metadata, branches },
            "s3://w",
            "west",
            definitions,
        )
    };
    assert_eq!(judge(true, &mine, 3, &[definition(true, "west")]), Occupancy::Predecessor);
    assert!(matches!(judge(true, &mine, 3, &[definition(false, "west")]), Occupancy::Foreign(_)));
    assert_eq!(judge(true, &mine, 3, &[definition(false, "elsewhere")]), Occupancy::Adoptable, "its records are lost");
    assert_eq!(judge(true, &none, 0, &[]), Occupancy::Adoptable);
    assert!(matches!(judge(true, &none, 1, &[]), Occupancy::Foreign(_)));
    assert!(matches!(judge(false, &mine, 0, &[]), Occupancy::Foreign(_)));
    let elsewhere = repository("m", "s3://x", true);
    let found = occupancy::Found { repository: &elsewhere, metadata: &mine, branches: 0 };
    assert!(matches!(occupancy::occupancy(&found, "s3://w", "west", &[]), Occupancy::Foreign(_)));
}
