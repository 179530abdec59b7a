//! Evaluates whether policies allow one action on one resource (`pkg/auth/service.go`): any matching deny wins, and
//! without a matching allow the answer is no.

use lakemirror_lakefs::{Policy, Statement};

use super::action::Permission;
use super::arn::{covers, wildcard};
use super::condition::hold;

/// Whether `user` may do this from `source`.
pub(super) fn allows(policies: &[Policy], user: &str, source: Option<&str>, wanted: &Permission) -> bool {
    let mut allowed = false;
    for statement in policies.iter().flat_map(|policy| &policy.statements) {
        match judge(statement, user, source, wanted) {
            Verdict::Deny => return false,
            Verdict::Allow => allowed = true,
            Verdict::Silent => {}
        }
    }
    allowed
}

enum Verdict {
    Allow,
    Deny,
    Silent,
}

/// A statement that cannot be interpreted denies, because that may be its intent.
fn judge(statement: &Statement, user: &str, source: Option<&str>, wanted: &Permission) -> Verdict {
    match hold(&statement.conditions, source) {
        Ok(true) => {}
        Ok(false) => return Verdict::Silent,
        Err(_) => return Verdict::Deny,
    }
    let Some(resources) = resources(&statement.resource) else { return Verdict::Deny };
    let resource = resources.iter().any(|pattern| covers(pattern, user, &wanted.resource));
    if !resource || !statement.actions.iter().any(|pattern| wildcard(pattern, wanted.action)) {
        return Verdict::Silent;
    }
    if statement.effect == "allow" { Verdict::Allow } else { Verdict::Deny }
}

/// One pattern, or a JSON array of patterns in the same string; `None` for an array that does not parse.
fn resources(text: &str) -> Option<Vec<String>> {
    if text.trim_start().starts_with('[') { serde_json::from_str(text).ok() } else { Some(vec![text.to_owned()]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(effect: &str, resource: &str, actions: &[&str]) -> Statement {
        Statement {
            effect: effect.into(),
            resource: resource.into(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            conditions: Default::default(),
        }
    }

    fn from(mut statement: Statement, operator: &str, range: &str) -> Statement {
        statement.conditions = [(operator.into(), [("SourceIp".into(), vec![range.into()])].into())].into();
        statement
    }

    fn asks(statements: Vec<Statement>) -> bool {
        let wanted = Permission { action: "fs:DeleteRepository", resource: "arn:lakefs:fs:::repository/m".into() };
        // One policy for each statement, and the reverse order: neither may matter.
        let apart = |all: Vec<Statement>| -> Vec<Policy> {
            all.into_iter().map(|one| Policy { id: "p".into(), statements: vec![one] }).collect()
        };
        let forward = allows(&apart(statements.clone()), "ann", Some("10.0.0.1"), &wanted);
        let backward = allows(&apart(statements.into_iter().rev().collect()), "ann", Some("10.0.0.1"), &wanted);
        assert_eq!(forward, backward, "order matters");
        forward
    }

    #[test]
    fn without_a_statement_nothing_is_allowed() {
        assert!(!asks(vec![]));
        assert!(!asks(vec![statement("allow", "*", &[])]));
    }

    #[test]
    fn allows_match_by_resource_and_action() {
        for (resource, action, expected) in [
            ("*", "*", true),
            ("*", "fs:*", true),
            ("*", "fs:Delete*", true),
            ("*", "fs:Create*", false),
            ("*", "auth:*", false),
            ("arn:lakefs:fs:::repository/m", "fs:DeleteRepository", true),
            ("arn:lakefs:fs:::repository/m*", "fs:DeleteRepository", true),
            ("arn:lakefs:fs:::repository/m/*", "fs:DeleteRepository", false),
            ("arn:lakefs:fs:::repository/n", "fs:DeleteRepository", false),
            (r#"["arn:lakefs:fs:::repository/n","arn:lakefs:fs:::repository/m"]"#, "fs:*", true),
            (r#" ["arn:lakefs:fs:::repository/n"]"#, "fs:*", false),
            ("", "fs:*", false),
        ] {
            assert_eq!(asks(vec![statement("allow", resource, &["x:y", action])]), expected, "{resource} {action}");
        }
    }

    #[test]
    fn any_matching_deny_wins() {
        let allow = || statement("allow", "*", &["*"]);
        assert!(!asks(vec![allow(), statement("deny", "arn:lakefs:fs:::repository/m", &["fs:Delete*"])]));
        assert!(asks(vec![allow(), statement("deny", "arn:lakefs:fs:::repository/n", &["*"])]));
        assert!(asks(vec![allow(), statement("deny", "*", &["fs:Create*"])]));
        assert!(!asks(vec![allow(), statement("Deny", "*", &["*"])]), "an effect that is not understood denies");
        assert!(!asks(vec![allow(), statement("allow", "[not json", &["auth:*"])]), "malformed arrays deny");
    }

    #[test]
    fn conditions_decide_whether_a_statement_counts() {
        let allow = || statement("allow", "*", &["*"]);
        assert!(asks(vec![from(allow(), "IpAddress", "10.0.0.0/8")]));
        assert!(!asks(vec![from(allow(), "IpAddress", "11.0.0.0/8")]));
        assert!(!asks(vec![allow(), from(statement("deny", "*", &["*"]), "NotIpAddress", "11.0.0.0/8")]));
        assert!(asks(vec![allow(), from(statement("deny", "*", &["*"]), "NotIpAddress", "10.0.0.0/8")]));
        assert!(!asks(vec![allow(), from(allow(), "IpAddress", "nonsense")]), "an error denies");
    }

    #[test]
    fn the_user_stands_for_itself_in_resources() {
        let wanted = Permission { action: "auth:ReadUser", resource: "arn:lakefs:auth:::user/ann".into() };
        let own =
            Policy { id: "own".into(), statements: vec![statement("allow", "arn:lakefs:auth:::user/${user}", &["*"])] };
        assert!(allows(std::slice::from_ref(&own), "ann", None, &wanted));
        assert!(!allows(&[own], "bob", None, &wanted));
    }
}
