//! No credential in anything that is printed.

use lakemirror_ports::Lakefs as _;

use super::server::{Server, answer, error};
use super::*;
use crate::CallerCredentials;

#[tokio::test]
async fn nothing_prints_the_secret_even_if_the_server_repeats_it() {
    let encoded = "QUtJQUlPU0ZPRE5ON0VYQU1QTEU6Y2FuYXJ5LW9mLWEtc2VjcmV0LWtleQ==";
    let echo = format!("header was Basic {encoded}, that is {SECRET_KEY}");
    let server = Server::start([error(401, &echo), answer(400, &echo)]).await;
    let client = client(&server);
    let mut printed = format!("{client:?}");
    for _ in 0..2 {
        let fault = client.branch("rep", "main").await.unwrap_err();
        assert!(fault.message.contains("***"), "{fault}");
        printed += &format!("{fault} {fault:?}");
    }
    let settings = Settings {
        endpoint: "http://user:canary@h".into(),
        access_key_id: ACCESS_KEY.into(),
        secret_access_key: SECRET_KEY.into(),
        page_size: 1,
        region: None,
        ca_bundle: None,
        proxies: lakemirror_outbound::Proxies::default(),
    };
    printed += &format!("{:?}", settings.secret_access_key);
    let error = Client::new(settings, Arc::<TestClock>::default(), Arc::new(Zero)).unwrap_err();
    printed += &format!("{error} {error:?}");
    printed += &format!("{:?}", CallerCredentials::Bearer(SECRET_KEY.into()));
    assert!(!printed.contains("canary") && !printed.contains(encoded), "{printed}");
}

#[test]
fn a_secret_that_no_header_can_carry_is_refused_unseen() {
    let settings = Settings {
        endpoint: "http://h".into(),
        access_key_id: ACCESS_KEY.into(),
        secret_access_key: "can\nary".into(),
        page_size: 1,
        region: None,
        ca_bundle: None,
        proxies: lakemirror_outbound::Proxies::default(),
    };
    // Base64 can carry anything.
    Client::new(settings, Arc::<TestClock>::default(), Arc::new(Zero)).unwrap();
    assert!(CallerCredentials::Bearer("can\nary".into()).header().is_none());
    let header = CallerCredentials::Bearer("canary".into()).header().unwrap();
    assert_eq!(format!("{header:?}"), "Sensitive");
}
