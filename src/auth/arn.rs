//! Matching of lakeFS's resource names and patterns (`pkg/auth/arn.go`, `pkg/auth/wildcard`).

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    /// Any run of characters, `/` included.
    Any,
    /// One character.
    One,
    /// This character.
    Literal(char),
}

/// The placeholder for the caller's name in a resource.
const USER: &str = "${user}";

/// A pattern's elements: `*` is any run, `?` is one, the rest is literal. The name that replaces `${user}` is always
/// literal: a user called `*` is not a wildcard.
fn elements(pattern: &str, user: &str) -> Vec<Element> {
    let mut all = Vec::new();
    for (place, part) in pattern.split(USER).enumerate() {
        if place > 0 {
            all.extend(user.chars().map(Element::Literal));
        }
        all.extend(part.chars().map(|char| match char {
            '*' => Element::Any,
            '?' => Element::One,
            other => Element::Literal(other),
        }));
    }
    all
}

/// Whether `pattern` covers `text`: `*` is any run of characters, `/` included, `?` is one; the rest is literal.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    matches(&elements(pattern, USER), text)
}

fn matches(pattern: &[Element], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // The position of the last star, and where its match ends. On a mismatch it matches one character more.
    let mut star: Option<(usize, usize)> = None;
    while let Some(&next) = text.get(t) {
        match pattern.get(p) {
            Some(Element::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(&want) if want == Element::One || want == Element::Literal(next) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, eaten)) = star else { return false };
                star = Some((at, eaten + 1));
                p = at + 1;
                t = eaten + 1;
            }
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|&left| left == Element::Any))
}

/// The six parts of an ARN; `None` if it is not one of lakeFS's.
fn parts(arn: &str) -> Option<[&str; 6]> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let parts = <[&str; 6]>::try_from(parts).ok()?;
    let [scheme, partition, service, _region, _account, resource] = parts;
    (scheme == "arn" && partition == "lakefs" && !service.is_empty() && !resource.is_empty()).then_some(parts)
}

/// Whether a policy's resource covers the requested resource. `*` covers all, regions are ignored, and a text that is not
/// an ARN covers nothing. `${user}` in the pattern is replaced by the user's name.
pub(super) fn covers(pattern: &str, user: &str, asked: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (Some(pattern), Some(asked)) = (parts(pattern), parts(asked)) else { return false };
    let [_, _, service, _, account, resource] = pattern;
    let [_, _, asked_service, _, asked_account, asked_resource] = asked;
    service == asked_service && account == asked_account && matches(&elements(resource, user), asked_resource)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aüc", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbX", false),
            ("fs:*Repository", "fs:CreateRepository", true),
            ("fs:*Repository", "fs:ListRepositories", false),
            ("fs:Read*", "fs:read", false),
            ("**", "x", true),
            ("?", "", false),
        ] {
            assert_eq!(wildcard(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn arns() {
        let asked = "arn:lakefs:fs:::repository/x";
        for (pattern, expected) in [
            ("*", true),
            ("arn:lakefs:fs:::*", true),
            ("arn:lakefs:fs:::repository/*", true),
            ("arn:lakefs:fs:eu-1::repository/x", true),
            ("arn:lakefs:fs::7:repository/x", false),
            ("arn:lakefs:auth:::repository/x", false),
            ("arn:aws:fs:::repository/x", false),
            ("arn:lakefs:fs:::repository/x/*", false),
            ("arn:lakefs:fs:::repository/?", true),
            ("arn:lakefs:*:::repository/x", false),
            ("arn:lakefs:fs:::", false),
            ("repository/x", false),
            ("", false),
        ] {
            assert_eq!(covers(pattern, "ann", asked), expected, "{pattern}");
        }
        assert!(!covers("arn:lakefs:fs:::repository/x", "ann", "arn:lakefs:fs:::repository/x/branch/y"));
        assert!(covers("arn:lakefs:fs:::namespace/s3://b/*", "ann", "arn:lakefs:fs:::namespace/s3://b/p:q"));
        assert!(covers("*", "ann", "*"), "listing everything needs a policy on everything");
        assert!(!covers("arn:lakefs:fs:::*", "ann", "*"), "as lakeFS reads it: the bare star is no ARN");
    }

    #[test]
    fn a_users_name_is_literal_whatever_it_holds() {
        let own = "arn:lakefs:auth:::user/${user}";
        for (user, asked, expected) in [
            ("*", "arn:lakefs:auth:::user/ann", false),
            ("a?n", "arn:lakefs:auth:::user/ann", false),
            ("*", "arn:lakefs:auth:::user/*", true),
            ("${user}", "arn:lakefs:auth:::user/ann", false),
            ("a:b", "arn:lakefs:auth:::user/a:b", true),
        ] {
            assert_eq!(covers(own, user, asked), expected, "{user} {asked}");
        }
        assert!(covers("arn:lakefs:fs:::repository/${user}-*", "*", "arn:lakefs:fs:::repository/*-x"));
    }

    /// The definition, implemented naively.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|eaten| by_definition(rest, &text[eaten..])),
            Some((want, rest)) => text
                .split_first()
                .is_some_and(|(next, tail)| (*want == '?' || want == next) && by_definition(rest, tail)),
        }
    }

    proptest! {
        #[test]
        fn wildcard_is_its_definition(pattern in "[ab?*]{0,8}", text in "[ab]{0,8}") {
            let definition = by_definition(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(wildcard(&pattern, &text), definition);
        }
    }
}
