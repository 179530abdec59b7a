//! The life of a mirror through the four calls.

use super::*;

#[tokio::test]
async fn a_mirror_is_created_listed_found_deleted_and_created_again() {
    let rig = rig();
    let service = &rig.service;
    let created = service.create_mirror(&caller(), "sample", creation("m-one")).await.unwrap();
    assert_eq!((created.id.as_str(), created.state, created.branches.len()), ("m-one", MirrorState::Creating, 0));
    assert_eq!((created.source_region.as_str(), created.status_age_seconds), ("us-east-1", None));
    let twice = service.create_mirror(&caller(), "sample", creation("m-one")).await.unwrap_err();
    assert_eq!(twice.code, ErrorCode::Conflict);
    assert!(twice.message.contains("already exists"), "{twice}");
    service.create_mirror(&caller(), "sample", creation_in("m-two", "s3://west/two")).await.unwrap();

    let page = ListPage { amount: 1, ..ListPage::default() };
    let list = service.list_mirrors(&caller(), "sample", &page).await.unwrap();
    assert_eq!((list.results[0].id.as_str(), list.pagination.next_offset.as_str()), ("m-one", "m-one"));
    assert_eq!(service.get_mirror(&caller(), "sample", "m-one").await.unwrap(), created);

    service.delete_mirror(&caller(), "sample", "m-one", Deletion::Regular).await.unwrap();
    for error in [
        service.get_mirror(&caller(), "sample", "m-one").await.unwrap_err(),
        service.delete_mirror(&caller(), "sample", "m-one", Deletion::Regular).await.unwrap_err(),
    ] {
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::NotFound, "mirror not found"));
    }
    let again = service.create_mirror(&caller(), "sample", creation("m-one")).await.unwrap();
    assert_ne!(again.incarnation, created.incarnation);
}

#[tokio::test]
async fn a_mirror_of_another_source_or_region_is_not_found() {
    let rig = rig();
    rig.records.create(&new_mirror("m-one")).await.unwrap();
    let service = &rig.service;
    let error = service.get_mirror(&caller(), "empty", "m-one").await.unwrap_err();
    assert_eq!(error.message, "mirror not found");
    assert_eq!(
        service.delete_mirror(&caller(), "empty", "m-one", Deletion::Regular).await.unwrap_err().code,
        ErrorCode::NotFound
    );
    assert!(service.list_mirrors(&caller(), "empty", &ListPage::default()).await.unwrap().results.is_empty());
    let error = service.list_mirrors(&caller(), "nowhere", &ListPage::default()).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::NotFound, "repository not found"));

    let far = NewMirror {
        source_region: "eu-north-1".to_owned(),
        source_repository: "far".to_owned(),
        incarnation: Incarnation([2; 16]),
        ..new_mirror("m-far")
    };
    rig.records.create(&far).await.unwrap();
    let deletion = service.delete_mirror(&caller(), "far", "m-far", Deletion::Regular).await.unwrap_err();
    let creation = service.create_mirror(&caller(), "far", creation("m-new")).await.unwrap_err();
    for error in [deletion, creation] {
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains("eu-north-1"), "{error}");
    }
    assert!(service.get_mirror(&caller(), "far", "m-far").await.is_ok());
}

#[tokio::test]
async fn status_comes_from_the_engine_or_from_the_database() {
    let rig = rig();
    let definition = rig.records.create(&new_mirror("m-one")).await.unwrap();
    let head = |seq| Some(lakemirror_mirrors::records::JournalHead { seq, hash: "ab".repeat(32), journal: None });
    let status = Status {
        state: lakemirror_mirrors::records::MirrorState::Synced,
        journal_head: head(41),
        ..Status::creating()
    };
    let summary = Summary {
        incarnation: definition.incarnation,
        name: definition.name.clone(),
        stamp: Stamp { epoch: 1, seq: 1 },
        written_at_ms: NOW_MS - 7_900,
        status: status.clone(),
    };
    let unseen = rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap();
    assert_eq!(unseen.journal_head, None);
    rig.records.put_summary("us-west-2", &summary).await.unwrap();
    let get = async || rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap();
    let published = get().await;
    assert_eq!((published.state, published.status_age_seconds), (MirrorState::Synced, None), "nobody was watched yet");
    let shown = |mirror: &lakemirror_api::types::Mirror| mirror.journal_head.clone().map(|head| (head.seq, head.hash));
    assert_eq!(shown(&published), Some((41, "ab".repeat(32))));

    let own = Status {
        state: lakemirror_mirrors::records::MirrorState::Stuck,
        lag_seconds: 9,
        journal_head: head(42),
        ..status
    };
    rig.engine.0.lock().unwrap().insert(definition.incarnation, own);
    let driven = get().await;
    assert_eq!((driven.state, driven.lag_seconds, driven.status_age_seconds), (MirrorState::Stuck, Some(9), None));
    assert_eq!(shown(&driven), Some((42, "ab".repeat(32))));
}

#[tokio::test]
async fn a_mirror_whose_name_another_region_gave_away_first_is_told_of_it_and_can_be_deleted() {
    let rig = rig();
    let mine = rig.records.create(&new_mirror("m-one")).await.unwrap();
    // Written in the other region while the two could not see each other.
    let own = rig.items.get("definitions/us-east-1/m-one").await.unwrap().unwrap();
    let text = String::from_utf8(own.value.to_vec()).unwrap();
    let (ours, theirs) = (mine.incarnation.to_string(), lakemirror_ports::Incarnation([0; 16]).to_string());
    assert_ne!(ours, theirs);
    let text = text.replace(&ours, &theirs).replace("us-east-1", "eu-north-1").replace("sample", "other");
    rig.items.put("definitions/eu-north-1/m-one", text.into(), lakemirror_mirrors::Expect::Absent).await.unwrap();
    let found = rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap();
    assert!(found.problems[0].contains("region eu-north-1 created a mirror of this name earlier"), "{found:?}");
    let list = rig.service.list_mirrors(&caller(), "sample", &ListPage::default()).await.unwrap();
    assert_eq!(list.results, [found]);
    rig.service.delete_mirror(&caller(), "sample", "m-one", Deletion::Regular).await.unwrap();
    assert_eq!(rig.service.get_mirror(&caller(), "sample", "m-one").await.unwrap_err().code, ErrorCode::NotFound);
    let listing = rig.records.list_definitions().await.unwrap();
    assert_eq!(listing.active("m-one").unwrap().source_region, "eu-north-1");
}

#[tokio::test]
async fn with_the_database_down_reading_goes_on_and_changes_do_not() {
    let rig = rig();
    let service = &rig.service;
    for name in ["m-one", "m-two"] {
        let wanted = creation_in(name, &format!("s3://west/{name}"));
        service.create_mirror(&caller(), "sample", wanted).await.unwrap();
    }
    service.list_mirrors(&caller(), "sample", &ListPage::default()).await.unwrap();
    service.delete_mirror(&caller(), "sample", "m-two", Deletion::Regular).await.unwrap();
    rig.items.down.store(true, Ordering::SeqCst);
    let told = service.get_mirror(&caller(), "sample", "m-one").await.unwrap();
    assert!(told.problems[0].contains("mirrors database does not answer"), "{told:?}");
    let list = service.list_mirrors(&caller(), "sample", &ListPage::default()).await.unwrap();
    assert_eq!(list.results.len(), 1, "what was deleted before stays deleted");
    // Another process may have created one of its name since.
    assert_eq!(service.get_mirror(&caller(), "sample", "m-two").await.unwrap_err().code, ErrorCode::Unavailable);
    let error = service.delete_mirror(&caller(), "sample", "m-one", Deletion::Regular).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    let error = service.create_mirror(&caller(), "sample", creation("m-six")).await.unwrap_err();
    assert!(error.code == ErrorCode::Unavailable && error.message.contains("mirrors database"), "{error}");
}

#[tokio::test]
async fn every_call_asks_the_gate_first_and_for_the_right_thing() {
    let rig = rig();
    let (service, nobody) = (&rig.service, Caller { credentials: Credentials::Anonymous, ..caller() });
    let page = ListPage::default();
    for error in [
        service.create_mirror(&nobody, "nowhere", creation("BAD")).await.unwrap_err(),
        service.get_mirror(&nobody, "nowhere", "m").await.unwrap_err(),
        service.list_mirrors(&nobody, "nowhere", &page).await.unwrap_err(),
        service.delete_mirror(&nobody, "nowhere", "m", Deletion::Regular).await.unwrap_err(),
        service.approve_deletions(&nobody, "nowhere", "m", DeletionsApproval::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
    }
    let asked = rig.gate.0.lock().unwrap().clone();
    let expected = [
        r#"CreateMirror { mirror: "BAD", source: "nowhere", namespace: "s3://west/sample" }"#,
        "ReadMirrors",
        "ReadMirrors",
        r#"DeleteMirror { mirror: "m" }"#,
        r#"EditMirror { source: "nowhere" }"#,
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn a_place_that_a_local_store_cleans_is_authorised_as_it_is_used() {
    let rig = rig();
    let asked = creation_in("new", "local://west//secret");
    // The scheme is wrong for this store; what matters is what the gate was asked before.
    rig.service.create_mirror(&caller(), "sample", asked).await.unwrap_err();
    let asked = rig.gate.0.lock().unwrap().clone();
    assert!(asked[0].contains("local://west//secret") && asked[1].contains("local://west/secret"), "{asked:?}");
}

fn far() -> NewMirror {
    NewMirror {
        name: "m-far".to_owned(),
        source_repository: "far".to_owned(),
        source_region: "us-west-2".to_owned(),
        region: "us-east-1".to_owned(),
        ..new_mirror("m-far")
    }
}

async fn force(service: &MirrorService) -> Result<(), ApiError> {
    service.delete_mirror(&caller(), "far", "m-far", Deletion::Forced).await
}

#[tokio::test]
async fn the_mirrors_region_deletes_with_force_only_where_the_sources_region_is_silent() {
    let rig = rig();
    let (service, records) = (&rig.service, &rig.records);
    let made = records.create(&far()).await.unwrap();
    let answers = force(service).await.unwrap_err();
    assert!(answers.code == ErrorCode::Conflict && answers.message.contains("delete the mirror at lakemirror there"));

    // Its lakeFS is silent, and a process of it has just stopped: that one beats no more.
    rig.west.down.store(true, Ordering::SeqCst);
    records.beat("us-west-2", &heartbeat(7)).await.unwrap();
    let regular = service.delete_mirror(&caller(), "far", "m-far", Deletion::Regular).await.unwrap_err();
    assert!(regular.code == ErrorCode::NotFound && regular.message.contains("us-west-2"), "{regular}");
    force(service).await.unwrap();
    let listing = records.list_definitions().await.unwrap();
    assert!(listing.all_active().is_empty() && listing.definitions[0].incarnation == made.incarnation);
    assert_eq!(force(service).await.unwrap_err().code, ErrorCode::NotFound, "it is deleted");

    // The region that comes back takes it over, and may give the name away again; that one is not deleted.
    let again = NewMirror { incarnation: Incarnation([9; 16]), ..far() };
    records.create(&again).await.unwrap();
    assert_eq!(records.accept_forced("us-west-2").await.unwrap(), 0, "the creation did");
    let active = records.list_definitions().await.unwrap();
    assert_eq!(active.active("m-far").map(|one| one.incarnation), Some(again.incarnation));
}

#[tokio::test]
async fn a_region_that_comes_back_accepts_what_was_forced() {
    let rig = rig();
    let made = rig.records.create(&far()).await.unwrap();
    rig.west.down.store(true, Ordering::SeqCst);
    force(&rig.service).await.unwrap();
    assert_eq!(rig.records.accept_forced("us-east-1").await.unwrap(), 0, "it is not that region's to accept");
    assert_eq!(rig.records.accept_forced("us-west-2").await.unwrap(), 1);
    assert!(!rig.records.mark_deleted("us-west-2", "m-far", made.incarnation).await.unwrap(), "it is a tombstone");
    assert_eq!(rig.records.accept_forced("us-west-2").await.unwrap(), 0);
}

#[tokio::test]
async fn a_living_process_of_the_sources_region_is_enough_to_refuse_force() {
    let parts = parts();
    let clock = HeartbeatTask { records: Arc::clone(&parts.records), region: "us-west-2", count: AtomicU64::new(1) };
    let down = Fake::of(&[], BTreeMap::new());
    down.down.store(true, Ordering::SeqCst);
    let sources = BTreeMap::from([("us-west-2".to_owned(), Arc::new(down) as Arc<dyn Lakefs>)]);
    let rig = Rig::of(Parts { sources, clock: Arc::new(clock), ..parts });
    rig.records.create(&far()).await.unwrap();
    rig.records.beat("us-west-2", &heartbeat(0)).await.unwrap();
    let refused = force(&rig.service).await.unwrap_err();
    assert!(refused.code == ErrorCode::Conflict && refused.message.contains("pod-far"), "{refused}");
    let elsewhere = NewMirror {
        name: "m-north".to_owned(),
        region: "eu-north-1".to_owned(),
        incarnation: Incarnation([8; 16]),
        ..far()
    };
    rig.records.create(&elsewhere).await.unwrap();
    let north = rig.service.delete_mirror(&caller(), "far", "m-north", Deletion::Forced).await.unwrap_err();
    assert!(north.code == ErrorCode::NotFound && north.message.contains("eu-north-1"), "{north}");
}

#[tokio::test]
async fn an_approval_is_written_for_the_driver_with_what_the_mirror_showed() {
    let rig = rig();
    let made = rig.records.create(&new_mirror("m-one")).await.unwrap();
    let approve = |branches: Option<Vec<String>>| {
        let approval = DeletionsApproval { branches };
        async { rig.service.approve_deletions(&caller(), "sample", "m-one", approval).await }
    };
    assert_eq!(approve(None).await.unwrap_err().code, ErrorCode::Unavailable, "nothing is known of it");
    let branch = |name: String| lakemirror_mirrors::records::BranchStatus {
        name,
        source_commit: None,
        promoted_commit: Some(CommitId([3; 32])),
        state: lakemirror_mirrors::records::BranchState::Deleting,
        waiting: vec![lakemirror_mirrors::records::Waiting {
            kind: lakemirror_api::types::WaitKind::DeletionHeld,
            what: String::new(),
            objects_missing: None,
            objects: Vec::new(),
            and_more: 0,
            since_ms: 1,
            checked_at_ms: None,
        }],
        behind_since_ms: None,
    };
    let branches = (0..1000).map(|number| branch(format!("b{number:04}"))).collect();
    let status = Status { branches, ..Status::creating() };
    rig.engine.0.lock().unwrap().insert(made.incarnation, status);
    let first = approve(Some(vec!["b0007".to_owned()])).await.unwrap();
    assert_eq!(first.branches, ["b0007"]);
    let written = rig.records.approved_deletions(made.incarnation).await.unwrap();
    assert_eq!((written.len(), written[0].head, written[0].by.as_str()), (1, Some(CommitId([3; 32])), "admin"));
    assert_eq!(approve(Some(vec!["main".to_owned()])).await.unwrap_err().code, ErrorCode::Conflict);
    assert_eq!(approve(None).await.unwrap().branches.len(), 1000);
    assert_eq!(rig.records.approved_deletions(made.incarnation).await.unwrap().len(), 1001, "in items that fit");
    let other = rig.records.approved_deletions(Incarnation([0xaa; 16])).await.unwrap();
    assert!(other.is_empty());
}
