//! The built command with each kind of mirrors database: its messages at start and its exit codes.

use std::path::Path;
use std::time::Duration;

use super::postgres;
use crate::process::{Process, lakemirror};
use crate::servers;

const PATIENCE: Duration = Duration::from_secs(60);

/// A service without a reachable lakeFS, with this mirrors database.
fn start(directory: &Path, database: &str) -> Process {
    let config = format!(
        "region: east\norganization_id: acme\nregional_endpoint: http://127.0.0.1:1\n\
         dst_endpoints: {{ west: http://127.0.0.1:1 }}\n\
         lakefs_access_key_id: AKIAIOSFODNN7EXAMPLE\nlakefs_secret_access_key: canary\n\
         auth: {{ encrypt: {{ secret_key: canary }} }}\nlisten_address: 127.0.0.1:0\n\
         blockstore: {{ type: local, local: {{ path: {0}/blocks }} }}\njournal: {{ path: {0}/journal }}\n\
         mirrors_database: {database}\n",
        directory.display()
    );
    let file = directory.join("config.yaml");
    std::fs::write(&file, config).unwrap();
    let mut command = lakemirror();
    // Credentials come from the configuration only, and no request leaves this machine.
    for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"] {
        command.env_remove(name);
    }
    Process::start(command.env("AWS_EC2_METADATA_DISABLED", "true").args(["run", "--config"]).arg(&file))
}

fn dynamodb(endpoint: &str) -> String {
    format!(
        "{{ type: dynamodb, dynamodb: {{ table_name: kvstore, aws_region: us-east-1, endpoint: '{endpoint}', \
         aws_access_key_id: service, aws_secret_access_key: canary }} }}"
    )
}

fn sql(login: &str) -> String {
    format!("{{ type: postgres, postgres: {{ connection_string: '{login}', max_open_connections: 3 }} }}")
}

fn ends_in_order(process: Process) -> String {
    process.signal("TERM");
    let (code, said) = process.end(PATIENCE);
    assert_eq!(code, 0, "{said}");
    assert!(!said.contains("canary"), "no secret in the log: {said}");
    said
}

#[test]
fn service_runs_on_dynamodb_and_reports_what_the_table_guarantees() {
    let Some(server) = servers::dynamodb("the service over DynamoDB") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut process = start(directory.path(), &dynamodb(&server.endpoint));
    process.until("a table of one region", PATIENCE);
    process.until("the journal is open", PATIENCE);
    ends_in_order(process);
}

#[tokio::test]
async fn service_runs_on_postgres_and_refuses_a_table_with_other_columns() {
    let Some((address, _)) = postgres::server("the service over PostgreSQL") else { return };
    postgres::make_schema(address, "service").await;
    let login = postgres::login(address, "service");
    let directory = tempfile::tempdir().unwrap();
    let mut process = start(directory.path(), &sql(&login));
    process.until("one SQL database", PATIENCE);
    process.until("the journal is open", PATIENCE);
    ends_in_order(process);

    postgres::sql(address, "ALTER TABLE service.lakemirror_kv RENAME COLUMN value TO item_value").await;
    let (code, said) = start(directory.path(), &sql(&login)).end(PATIENCE);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("item_value bytea") && said.contains("needed is (item_key bytea primary key"), "{said}");
    assert!(!said.contains("p1@"), "{said}");
}

#[test]
fn service_starts_without_its_database_and_reports_it() {
    for (database, place) in
        [(dynamodb("http://127.0.0.1:1"), "127.0.0.1:1"), (sql("postgres://u:canary@127.0.0.1:1/d"), "127.0.0.1:1/d")]
    {
        let directory = tempfile::tempdir().unwrap();
        let mut process = start(directory.path(), &database);
        let said = process.until("the mirrors database does not answer yet", PATIENCE);
        assert!(said.contains(place), "{said}");
        process.until("the journal is open", PATIENCE);
        ends_in_order(process);
    }
}

#[test]
fn invalid_connection_string_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = start(directory.path(), &sql("host=h sslmode=always password=canary")).end(PATIENCE);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("connection_string") && said.contains("sslmode must be"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}
