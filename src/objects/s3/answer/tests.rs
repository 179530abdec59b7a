//! The table of statuses and codes.

use super::*;

#[test]
fn every_class_of_failure_has_its_kind() {
    use FaultKind::{Contradiction, Denied, Refused, Retry};
    for (status, code, kind) in [
        (404, "NoSuchBucket", Refused),
        (404, "", Contradiction),
        (301, "PermanentRedirect", Refused),
        (301, "", Refused),
        (307, "TemporaryRedirect", Refused),
        (400, "AuthorizationHeaderMalformed", Refused),
        (400, "ExpiredToken", Denied),
        (400, "RequestTimeout", Retry),
        (400, "InvalidArgument", Refused),
        (401, "", Denied),
        (403, "AccessDenied", Denied),
        (403, "SignatureDoesNotMatch", Denied),
        (403, "RequestTimeTooSkewed", Denied),
        (403, "", Denied),
        (429, "", Retry),
        (500, "InternalError", Retry),
        (503, "SlowDown", Retry),
        (503, "", Retry),
        (504, "", Retry),
        (200, "", Retry),
        (405, "MethodNotAllowed", Refused),
        (501, "NotImplemented", Refused),
    ] {
        assert_eq!(classify(status, code).0, kind, "{status} {code}");
    }
}

#[test]
fn causes_are_told_once_and_in_bounded_length() {
    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: String,
        source: Option<Box<Layer>>,
    }
    let layer = |text: &str, source: Option<Layer>| Layer { text: text.into(), source: source.map(Box::new) };
    assert_eq!(chain(&layer("a", Some(layer("b", Some(layer("b", None)))))), "a: b");
    let long = chain(&layer(&"é".repeat(1000), Some(layer("x", None))));
    assert!(long.len() <= MESSAGE_MAX);
}
