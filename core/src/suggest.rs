//! Finds the known name that an unknown name was probably meant to be.
//!
//! The functions are pure. They suggest only a name that is close.

/// The nearest of `known`, if it is close enough to be a typing error: the same letters in another case or with other
/// dashes, or one error for every three letters. The first of equally near names wins.
#[must_use]
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let wanted = folded(name);
    let slips_max = (wanted.len() / 3).clamp(1, 3);
    known
        .map(|candidate| (distance(&wanted, &folded(candidate)), candidate))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// The suggestion as a sentence for a message; empty if there is none.
#[must_use]
pub fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    nearest(name, known).map(|found| format!("did you mean `{found}`?")).unwrap_or_default()
}

fn folded(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' ')).flat_map(char::to_lowercase).collect()
}

/// The Levenshtein distance of two names, by the two-row method. Only the first 64 letters count: no setting is longer.
fn distance(a: &[char], b: &[char]) -> usize {
    const LETTERS_MAX: usize = 64;
    let mut above: Vec<usize> = (0..=b.len().min(LETTERS_MAX)).collect();
    for (row, letter) in a.iter().take(LETTERS_MAX).enumerate() {
        let mut left = row + 1;
        let mut current = vec![left];
        for (other, pair) in b.iter().zip(above.windows(2)) {
            let &[diagonal, over] = pair else { continue };
            left = if letter == other { diagonal } else { 1 + diagonal.min(over).min(left) };
            current.push(left);
        }
        above = current;
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_the_known_name_and_unrelated_names_find_none() {
        let known = || ["region", "regional_endpoint", "list_mirrors_page_size", "ttl", "blockstore"].into_iter();
        for (name, want) in [
            ("regoin", Some("region")),
            ("Region", Some("region")),
            ("regional-endpoint", Some("regional_endpoint")),
            ("regionalEndpoint", Some("regional_endpoint")),
            ("block_store", Some("blockstore")),
            ("tll", Some("ttl")),
            ("xyz", None),
            ("retention", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known()), want, "{name}");
        }
    }

    #[test]
    fn distances() {
        let d = |a: &str, b: &str| distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!((d("kitten", "sitting"), d("", "abc"), d("abc", ""), d("abc", "abc")), (3, 3, 3, 0));
    }
}
