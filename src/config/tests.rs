//! Whole configurations: the smallest one, the chart's, a full one, and every kind of fault at once.

use super::*;
use std::path::PathBuf;
use std::time::Duration;

/// The smallest real configuration: one process for both ends.
const SMALLEST: &str = "\
region: us-east-1
organization_id: acme
regional_endpoint: http://127.0.0.1:8000
dst_endpoints: { us-west-2: http://127.0.0.1:8001 }
lakefs_access_key_id: AKIAIOSFODNN7EXAMPLE
lakefs_secret_access_key: wJalrXUtnFEMI...
auth: { encrypt: { secret_key: the-one-lakefs-uses } }
mirrors_database: { type: local, local: { path: ./mirrors } }
blockstore: { type: local, local: { path: ./east/blocks } }
also_serves:
  us-west-2: { blockstore: { type: local, local: { path: ./west/blocks } } }
journal: { path: ./journal }
listen_address: 127.0.0.1:8008
commit_sensor: { process_branches_duration: 1s }
";

fn load_with(text: &str, variables: &[(&str, &str)]) -> Loaded {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(Path::new("c.yaml"), text, &variables)
}

fn good(text: &str, variables: &[(&str, &str)]) -> Config {
    load_with(text, variables).unwrap_or_else(|problems| panic!("{}", lines(&problems))).0
}

fn warnings(text: &str, variables: &[(&str, &str)]) -> String {
    lines(&load_with(text, variables).unwrap_or_else(|problems| panic!("{}", lines(&problems))).1)
}

fn problems(text: &str) -> String {
    lines(&load_with(text, &[]).expect_err("it should not load"))
}

fn lines<T: ToString>(items: &[T]) -> String {
    items.iter().map(|item| item.to_string() + "\n").collect()
}

/// `SMALLEST` without the lines that begin with one of `keys`, and with `more` at its end.
fn changed(keys: &[&str], more: &str) -> String {
    let kept = SMALLEST.lines().filter(|line| !keys.iter().any(|key| line.starts_with(key)));
    kept.map(|line| line.to_owned() + "\n").collect::<String>() + more
}

#[test]
fn the_smallest_configuration_works_as_it_stands() {
    let (config, warnings) = load_with(SMALLEST, &[]).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.region, "us-east-1");
    assert_eq!(config.dst_endpoints["us-west-2"].as_str(), "http://127.0.0.1:8001/");
    assert_eq!(config.blockstore, Blockstore::Local { path: "./east/blocks".into() });
    assert_eq!(config.also_serves["us-west-2"].blockstore, Blockstore::Local { path: "./west/blocks".into() });
    assert_eq!(config.mirrors_database, MirrorsDatabase::Local { path: "./mirrors".into() });
    assert_eq!(config.journal.path, PathBuf::from("./journal"));
    assert_eq!(config.commit_sensor.process_branches_duration, Some(Duration::from_secs(1)));
    assert_eq!(config.lakefs_credentials.secret_access_key.expose(), "wJalrXUtnFEMI...");
}

#[test]
fn defaults_are_our_own_and_visible_as_such() {
    let config = good(&changed(&["listen_address", "commit_sensor"], ""), &[]);
    assert_eq!(config.listen_address, ":8008");
    assert_eq!(config.commit_sensor.process_branches_duration, None);
    assert_eq!(config.commit_sensor.scan_interval(), Duration::from_secs(5));
    assert_eq!(config.mirrors_manager.interval(), Duration::from_secs(5));
    let (first, last) = (Duration::from_secs(1), Duration::from_secs(60));
    assert_eq!(config.validator.recheck(), Recheck::BackOff { first, last });
    assert_eq!(config.logging, Logging { level: LogLevel::Info, format: LogFormat::Text });
    assert_eq!(config.committed.metadata_prefix, "_lakefs");
    assert_eq!(config.committed.local_cache.size_bytes, 1 << 30);
    assert_eq!(config.promotion, Promotion { history: History::Complete, on_divergence: OnDivergence::Report });
    assert_eq!(config.verification.evidence_max_age, Duration::from_secs(86_400));
    assert_eq!(config.verification.diagnose_after, Duration::from_secs(600));
    assert_eq!((config.imports, config.auth.cache), (Imports::Check, None));
    assert_eq!(config.deletion, Deletion { grace: Duration::from_secs(600), max_fraction: 0.5 });
    assert_eq!((config.list_mirrors_page_size, config.validator.num_workers), (1000, 3));
}

#[test]
fn values_of_the_file_are_obeyed() {
    let text = changed(
        &["commit_sensor"],
        "validator: { run_interval: 1m, object_presence_cache: { expiry: 12h } }\n\
         mirrors_manager: { process_mirrors_interval_duration: 20s }\n\
         promotion: { history: head, on_divergence: RESTORE }\n\
         imports: block\n",
    );
    let config = good(&text, &[]);
    assert_eq!(config.validator.recheck(), Recheck::Every(Duration::from_secs(60)));
    assert_eq!(config.mirrors_manager.interval(), Duration::from_secs(20));
    assert_eq!(config.verification.evidence_max_age, Duration::from_secs(12 * 3600));
    assert_eq!(config.promotion, Promotion { history: History::Head, on_divergence: OnDivergence::Restore });
    assert_eq!(config.imports, Imports::Block);
    let ours = good(&(text + "verification: { evidence_max_age: 6h }\n"), &[]);
    assert_eq!(ours.verification.evidence_max_age, Duration::from_secs(6 * 3600));
}

#[test]
fn what_the_chart_renders_is_taken() {
    let text = changed(
        &["journal", "lakefs_", "auth", "also_serves", "  us-west-2", "dst_endpoints"],
        "committed: { local_cache: { size_bytes: \"1073741824\", dir: /cache/data } }\n\
         refstore_database: { type: postgres, postgres: { connection_string: postgres://u:hush@h/d } }\n\
         auth: { api: { endpoint: http://fluffy/api/v1 }, cache: { enabled: 'true', ttl: \"1m\", size: '10' } }\n\
         organization_name: \"\"\n\
         logging:\n",
    );
    let variables = [
        ("REPLICATION_LAKEFS_ACCESS_KEY_ID", "AKIA"),
        ("REPLICATION_LAKEFS_SECRET_ACCESS_KEY", "hush"),
        ("REPLICATION_AUTH_ENCRYPT_SECRET_KEY", "hush"),
        ("REPLICATION_PORT_8008_TCP_ADDR", "10.0.0.1"),
    ];
    let config = good(&text, &variables);
    assert_eq!(config.committed.local_cache.size_bytes, 1 << 30);
    assert_eq!(config.journal.path, PathBuf::from("/cache/data/journal"));
    assert_eq!(config.auth.cache.map(|cache| (cache.size, cache.ttl)), Some((10, Duration::from_secs(60))));
    assert_eq!(config.organization_name, None);
    let warned = warnings(&text, &variables);
    assert_eq!(warned.lines().count(), 1, "{warned}");
    assert!(warned.contains("refstore_database: is accepted and not used") && !warned.contains("hush"), "{warned}");
}

#[test]
fn the_environment_beats_the_file_except_for_maps() {
    let variables = [("REPLICATION_REGION", "eu"), ("REPLICATION_LOGGING_LEVEL", "debug"), ("REPLICATION_IMPORTS", "")];
    let config = good(SMALLEST, &variables);
    assert_eq!((config.region.as_str(), config.logging.level), ("eu", LogLevel::Debug));
    let error = lines(&load_with(SMALLEST, &[("REPLICATION_DST_ENDPOINTS", "a=b")]).unwrap_err());
    assert!(error.starts_with("environment variable REPLICATION_DST_ENDPOINTS: "), "{error}");
    let error = lines(&load_with(SMALLEST, &[("REPLICATION_VALIDATOR_NUM_WORKERS", "few")]).unwrap_err());
    assert!(error.contains("VALIDATOR_NUM_WORKERS: validator.num_workers: `few` is not a whole number"), "{error}");
    let warned = warnings(SMALLEST, &[("REPLICATION_LOGING_LEVEL", "debug"), ("OTHER", "x")]);
    assert!(warned.contains("did you mean `REPLICATION_LOGGING_LEVEL`?"), "{warned}");
    assert_eq!(warned.lines().count(), 1, "{warned}");
}

#[test]
fn unknown_keys_warn_in_every_section_with_line_and_suggestion() {
    let text =
        changed(&[], "regoin: x\nvalidator:\n  num_wrokers: 4\n  range_presence_cache: { sise: 1 }\nzzz: [1, 2]\n");
    let warned = warnings(&text, &[]);
    for want in [
        "c.yaml:15:1: regoin: this key is not known; it is ignored; did you mean `region`?\n",
        "c.yaml:17:3: validator.num_wrokers: this key is not known; it is ignored; did you mean `num_workers`?\n",
        "c.yaml:18:27: validator.range_presence_cache.sise: this key is not known; it is ignored; did you mean `size`?\n",
        "c.yaml:19:1: zzz: this key is not known; it is ignored; remove it\n",
    ] {
        assert!(warned.contains(want), "{want}in\n{warned}");
    }
    assert_eq!(warned.lines().count(), 4, "{warned}");
}

#[test]
fn all_problems_are_reported_at_once_each_with_its_place() {
    let text = "\
organization_id: a b
regional_endpoint: lakefs:8000
dst_endpoints: { us-west-2: ftp://x, eu: http://h }
lakefs_access_key_id: k
lakefs_secret_access_key: [hush]
auth: on
mirrors_database: { type: local }
blockstore: { type: s4 }
listen_address: 8008
commit_sensor: { process_branches_duration: 5, log_commit_page_size: 0 }
deletion: { max_fraction: 1.5, grace: { a: b } }
also_serves: { nowhere: { blockstore: { type: s3, s3: { credentials: { access_key_id: k } } } } }
";
    let found = problems(text);
    for want in [
        "c.yaml:1:1: journal.path: is required and not set;",
        "c.yaml:1:1: region: is required and not set; set it to this installation's region id, here or in the environment as REPLICATION_REGION\n",
        "c.yaml:1:18: organization_id: `a b` holds a space;",
        "c.yaml:2:20: regional_endpoint: is not an http or https URL with a host;",
        "c.yaml:3:29: dst_endpoints.us-west-2: is not an http",
        "c.yaml:5:27: lakefs_secret_access_key: is a list, not a single value;",
        "c.yaml:6:7: auth: is a single value, not a section with keys of its own;",
        "auth.encrypt.secret_key: is required and not set;",
        "c.yaml:7:1: mirrors_database.local.path: is required and not set;",
        "c.yaml:8:21: blockstore.type: `s4` is not known; write one of s3, local, gs, azure. did you mean `s3`?\n",
        "c.yaml:9:17: listen_address: `8008` has no port;",
        "c.yaml:10:45: commit_sensor.process_branches_duration: `5` has no unit;",
        "commit_sensor.log_commit_page_size: `0` is out of range; write a value from 1 to",
        "c.yaml:11:27: deletion.max_fraction: `1.5` is out of range;",
        "deletion.grace: is a section with keys of its own, not a single value;",
        "c.yaml:12:16: also_serves.nowhere: has no lakeFS URL; add dst_endpoints.nowhere",
        "also_serves.nowhere.blockstore.s3.credentials.secret_access_key: is required",
    ] {
        assert!(found.contains(want), "{want}\nis not in\n{found}");
    }
    assert_eq!(found.lines().count(), 17, "{found}");
    assert!(!found.contains("hush"));
}

#[test]
fn a_shared_mirrors_database_is_read_from_the_file_and_the_environment() {
    let without = ["mirrors_database", "also_serves", "  us-west-2"];
    let table =
        "mirrors_database: { type: dynamodb, dynamodb: { table_name: t, aws_region: eu-west-1, max_attempts: '4' } }\n";
    let MirrorsDatabase::Dynamodb(table) = good(&changed(&without, table), &[]).mirrors_database else { panic!() };
    assert_eq!((table.table_name.as_str(), table.aws_region.as_deref()), ("t", Some("eu-west-1")));
    assert_eq!((table.max_attempts, table.scan_limit), (Some(4), None));
    let login = ("REPLICATION_MIRRORS_DATABASE_POSTGRES_CONNECTION_STRING", "postgres://u:hush@h/d");
    let pool = "mirrors_database: { type: postgres, postgres: { connection_max_lifetime: 90s } }\n";
    let config = good(&changed(&without, pool), &[login]);
    assert!(!format!("{:?} {config:?}", config.summary()).contains("hush"));
    let MirrorsDatabase::Postgres(pool) = config.mirrors_database else { panic!() };
    assert_eq!(pool.connection_string.expose(), "postgres://u:hush@h/d");
    assert_eq!(pool.connection_max_lifetime, Some(Duration::from_secs(90)));
}

#[test]
fn what_this_version_cannot_do_is_refused_after_a_full_read() {
    let dynamodb = changed(
        &["mirrors_database"],
        "mirrors_database: { type: dynamodb, dynamodb: { table_name: t, scan_limit: lots, aws_access_key_id: x } }\n",
    );
    let found = problems(&dynamodb);
    assert!(found.contains("mirrors_database.dynamodb.scan_limit: `lots`"), "{found}");
    assert!(found.contains("mirrors_database.dynamodb.aws_secret_access_key: is missing beside"), "{found}");
    assert!(found.contains("also_serves: needs mirrors_database.type local;"), "{found}");
    for (store, section) in [("gs", "credentials_json: hush"), ("azure", "storage_access_key: hush")] {
        let text = changed(&["blockstore"], &format!("blockstore: {{ type: {store}, {store}: {{ {section} }} }}\n"));
        let found = problems(&text);
        assert!(found.contains(&format!("`{store}` is not supported in this version;")), "{found}");
        assert!(!found.contains("hush"));
    }
}

#[test]
fn s3_is_read_as_lakefs_has_it() {
    let s3 = "blockstore: { type: s3, s3: { region: eu, endpoint: 'http://127.0.0.1:9000', force_path_style: \"true\",\n \
              discover_bucket_region: false, pre_signed_expiry: 15m, max_retries: '5',\n \
              credentials: { access_key_id: 007, secret_access_key: 0123 } } }\n";
    let text = changed(&["blockstore"], s3);
    assert_eq!(warnings(&text, &[]), "");
    let Blockstore::S3(store) = good(&text, &[]).blockstore else { panic!("not s3") };
    let credentials = store.credentials.unwrap();
    assert_eq!((credentials.access_key_id.as_str(), credentials.secret_access_key.expose()), ("007", "0123"));
    assert_eq!((store.force_path_style, store.discover_bucket_region, store.max_retries), (true, false, Some(5)));
    assert_eq!(store.checksum, S3Checksum::WhenRequired);
    let plain = changed(&["blockstore"], "blockstore: { type: s3 }\n");
    let Blockstore::S3(store) = good(&plain, &[]).blockstore else { panic!("not s3") };
    assert_eq!(
        (store.credentials, store.checksum, store.discover_bucket_region),
        (None, S3Checksum::WhenSupported, true)
    );
    let warned = warnings(&plain, &[("REPLICATION_BLOCKSTORE_S3_REGOIN", "eu")]);
    assert!(warned.contains("REPLICATION_BLOCKSTORE_S3_REGION"), "{warned}");
}

#[test]
fn regions_are_checked_against_each_other() {
    let own = changed(&["also_serves", "  us-west-2"], "also_serves: { us-east-1: { blockstore: { type: s3 } } }\n");
    assert!(problems(&own).contains("also_serves.us-east-1: is this process's own region;"));
    let unserved = changed(&["also_serves", "  us-west-2"], "");
    assert!(warnings(&unserved, &[]).contains("dst_endpoints.us-west-2: no process serves this region"));
    let twice = changed(&["dst_endpoints"], "dst_endpoints: { us-west-2: http://w, us-east-1: http://e }\n");
    assert!(warnings(&twice, &[]).contains("dst_endpoints.us-east-1: is this process's own region"));
    assert_eq!(good(&twice, &[]).dst_endpoints.len(), 1);
}

#[test]
fn texts_that_are_not_settings_are_one_problem() {
    assert!(problems("region: \"open\nx: 1\n").contains("not readable as YAML"));
    assert!(problems("- a\n- b\n").contains("c.yaml:1:1: the file holds a list, not settings;"));
    assert!(problems("region: a\nregion: b\n").starts_with("c.yaml:2:1: `region` is there twice, first in line 1;"));
    assert_eq!(problems("").lines().filter(|line| line.contains("is required and not set")).count(), 9);
}

#[test]
fn no_secret_is_ever_shown() {
    const CANARY: &str = "canary-7f3a";
    let text = changed(
        &["lakefs_secret", "auth", "blockstore"],
        &format!(
            "lakefs_secret_access_key: {CANARY}\nauth: {{ encrypt: {{ secret_key: {CANARY} }} }}\n\
             blockstore: {{ type: s3, s3: {{ credentials: {{ access_key_id: k, secret_access_key: {CANARY}, \
             session_token: {CANARY} }} }} }}\n"
        ),
    );
    let (config, warnings) = load_with(&text, &[]).unwrap();
    let shown = format!("{config:?} {config:#?} {:?} {warnings:?}", config.summary());
    assert!(!shown.contains(CANARY), "{shown}");
    assert!(config.summary().iter().any(|(name, value)| *name == "region" && value == "us-east-1"));
    for (old, new) in [("regional_endpoint", "http://u:PW@h"), ("dst_endpoints", "{ us-west-2: 'http://u:PW@[' }")] {
        let broken = changed(&[old], &format!("{old}: {}\n", new.replace("PW", CANARY)));
        let found = problems(&broken);
        assert!(found.contains(old) && !found.contains(CANARY), "{found}");
    }
}

#[test]
fn a_secret_that_ends_in_a_line_break_is_trimmed_with_a_warning() {
    let text = changed(&["lakefs_secret_access_key"], "lakefs_secret_access_key: \"hush\\r\\n\"\n");
    assert_eq!(good(&text, &[]).lakefs_credentials.secret_access_key.expose(), "hush");
    let said = warnings(&text, &[]);
    assert!(said.contains("lakefs_secret_access_key: ends in a line break") && !said.contains("hush"), "{said}");
    let variable = [("REPLICATION_AUTH_ENCRYPT_SECRET_KEY", "canary\n")];
    assert_eq!(good(SMALLEST, &variable).auth.encrypt_secret_key.expose(), "canary");
    assert!(warnings(SMALLEST, &variable).contains("variable REPLICATION_AUTH_ENCRYPT_SECRET_KEY: auth.encrypt"));
}

#[test]
fn every_secret_is_trimmed_and_so_is_what_goes_with_it() {
    let s3 = "blockstore: { type: s3, s3: { credentials: { access_key_id: \"AK\\n\", secret_access_key: \"hush\\n\", \
              session_token: \"hush\\r\\n\" } } }\n";
    let text = changed(&["blockstore", "mirrors_database", "also_serves", "  us-west-2"], s3)
        + "mirrors_database: { type: postgres, postgres: { connection_string: \"postgres://u:hush@h/d\\n\" } }\n";
    let variables = [("REPLICATION_LAKEFS_ACCESS_KEY_ID", "AKIA\n"), ("REPLICATION_REGION", "eu\r\n")];
    let (config, warned) = load_with(&text, &variables).unwrap();
    let Blockstore::S3(store) = config.blockstore else { panic!("not s3") };
    let pair = store.credentials.unwrap();
    let token = pair.session_token.unwrap();
    assert_eq!((pair.access_key_id.as_str(), pair.secret_access_key.expose(), token.expose()), ("AK", "hush", "hush"));
    let MirrorsDatabase::Postgres(database) = config.mirrors_database else { panic!("not postgres") };
    assert_eq!(database.connection_string.expose(), "postgres://u:hush@h/d");
    assert_eq!((config.lakefs_credentials.access_key_id.as_str(), config.region.as_str()), ("AKIA", "eu"));
    let said = lines(&warned);
    assert_eq!(said.matches("ends in a line break").count(), 6, "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn a_secret_of_line_breaks_alone_is_not_set() {
    let text = changed(&["lakefs_secret_access_key"], "lakefs_secret_access_key: \"\\n\"\n");
    assert!(problems(&text).contains("lakefs_secret_access_key: is required and not set"));
    let empty = [("REPLICATION_LAKEFS_SECRET_ACCESS_KEY", "\n")];
    assert_eq!(good(SMALLEST, &empty).lakefs_credentials.secret_access_key.expose(), "wJalrXUtnFEMI...");
}

#[test]
fn problems_and_hints_come_together_and_a_missing_key_names_its_variable() {
    let text = changed(&["organization_id", "region"], "organisation_id: acme\n");
    let found = problems(&text);
    assert!(found.contains("did you mean `organization_id`?"), "{found}");
    assert!(found.contains("organization_id: is required") && found.contains("REPLICATION_ORGANIZATION_ID"), "{found}");
    assert!(found.contains("region: is required") && found.contains("REPLICATION_REGION"), "{found}");
}

#[test]
fn the_log_is_known_before_the_rest_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, "logging: { format: json, level: WARN }\nregion: [\"wrong\"]\n").unwrap();
    let logging = Config::logging(&path, &BTreeMap::new());
    assert_eq!(logging, Logging { level: LogLevel::Warn, format: LogFormat::Json });
    assert_eq!(Config::logging(&dir.path().join("none"), &BTreeMap::new()), Logging::default());
    let variables = BTreeMap::from([("REPLICATION_LOGGING_FORMAT".to_owned(), "json".to_owned())]);
    assert_eq!(Config::logging(&dir.path().join("none"), &variables).format, LogFormat::Json);
}

#[test]
fn files_that_cannot_be_read_are_a_problem_with_their_path() {
    let dir = tempfile::tempdir().unwrap();
    let none = BTreeMap::new();
    let load = |path: &Path| lines(&Config::load(path, &none).expect_err("it should not load"));
    assert!(load(&dir.path().join("none.yaml")).contains("none.yaml: cannot be read"));
    assert!(load(dir.path()).contains("cannot be read"));
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
    assert!(load(&path).contains("line 2 is not UTF-8"));
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    assert!(load(&path).contains("larger than"));
    std::fs::write(&path, SMALLEST).unwrap();
    assert!(Config::load(&path, &none).is_ok());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(cut in 0_usize..700, insert in "\\PC{0,12}") {
        let at = (0..=cut.min(SMALLEST.len())).rev().find(|at| SMALLEST.is_char_boundary(*at)).unwrap_or(0);
        let _ = load_with(&format!("{}{insert}{}", &SMALLEST[..at], &SMALLEST[at..]), &[]);
        let _ = load_with(&SMALLEST[..at], &[("REPLICATION_REGION", &insert)]);
    }
}

const WEST_PAIR: &str = "dst_credentials: { us-west-2: { access_key_id: WEST, secret_access_key: canary-west } }\n";

#[test]
fn a_region_has_its_own_key_pair_and_the_common_one_is_the_default() {
    let pair = |pair: &LakefsCredentials| (pair.access_key_id.clone(), pair.secret_access_key.expose().to_owned());
    let common = ("AKIAIOSFODNN7EXAMPLE".to_owned(), "wJalrXUtnFEMI...".to_owned());
    let west = ("WEST".to_owned(), "canary-west".to_owned());

    let plain = good(SMALLEST, &[]);
    assert_eq!(
        (pair(&plain.lakefs_credentials), pair(&plain.dst_credentials["us-west-2"])),
        (common.clone(), common.clone())
    );
    let config = good(&changed(&[], WEST_PAIR), &[]);
    assert_eq!((pair(&config.lakefs_credentials), pair(&config.dst_credentials["us-west-2"])), (common.clone(), west));
    assert_eq!(warnings(&changed(&[], WEST_PAIR), &[]), "");
    let shown = format!("{:?} {config:?}", config.summary());
    assert!(shown.contains("us-west-2=WEST") && !shown.contains("canary"), "{shown}");

    // The environment goes before the file, half by half, and needs nothing in the file.
    let id = ("REPLICATION_DST_CREDENTIALS_US_WEST_2_ACCESS_KEY_ID", "ENV");
    let secret = ("REPLICATION_DST_CREDENTIALS_US_WEST_2_SECRET_ACCESS_KEY", "canary-env");
    let config = good(SMALLEST, &[id, secret]);
    assert_eq!(pair(&config.dst_credentials["us-west-2"]), ("ENV".to_owned(), "canary-env".to_owned()));
    assert_eq!(pair(&config.lakefs_credentials), common);
    assert_eq!(warnings(SMALLEST, &[id, secret]), "");
    let config = good(&changed(&[], WEST_PAIR), &[secret]);
    assert_eq!(pair(&config.dst_credentials["us-west-2"]), ("WEST".to_owned(), "canary-env".to_owned()));
}

#[test]
fn every_region_needs_a_key_pair_from_somewhere() {
    let own = "  us-east-1: { access_key_id: EAST, secret_access_key: s }\n";
    let both = format!("dst_credentials:\n  us-west-2: {{ access_key_id: WEST, secret_access_key: s }}\n{own}");
    let config = good(&changed(&["lakefs_"], &both), &[]);
    assert_eq!(config.lakefs_credentials.access_key_id, "EAST");
    assert_eq!(config.dst_credentials["us-west-2"].access_key_id, "WEST");

    let found = problems(&changed(&["lakefs_"], WEST_PAIR));
    assert!(found.contains("lakefs_access_key_id: is required") && found.contains("dst_credentials"), "{found}");
    let half = "dst_credentials: { us-west-2: { access_key_id: WEST } }\n";
    let found = problems(&changed(&[], half));
    assert!(found.contains("dst_credentials.us-west-2.secret_access_key: is required"), "{found}");
    let stray = "dst_credentials: { us-wset-2: { access_key_id: WEST, secret_access_key: s } }\n";
    let found = warnings(&changed(&[], stray), &[]);
    assert!(found.contains("dst_credentials.us-wset-2: no lakeFS of this region"), "{found}");
    let typo = "dst_credentials: { us-west-2: { access_key_id: WEST, secret_acess_key: s } }\n";
    assert!(problems(&changed(&[], typo)).contains("secret_access_key: is required"));
}
