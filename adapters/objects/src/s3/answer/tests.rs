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
