//! File descriptors: raises the process's limit to the maximum, and leaves the API's connections only what the journal,
//! the databases and the engine's own connections do not need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are reserved for the rest of the process, if the limit is high enough. The journal's hot store and
/// the embedded database have about sixty files each, whatever they contain.
const RESERVE: usize = 512;

/// Raises the soft limit to the hard one.
///
/// Returns the soft limit that now applies; `None` if there is no limit.
pub fn raise() -> Option<usize> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // If the system refuses, the old limit applies and bounds the connections.
        let _best_effort = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections there may be: what is configured, but three quarters of all descriptors, and at most 512, stay for
/// the rest.
#[must_use]
pub fn connections(configured: usize, limit: Option<usize>) -> usize {
    let Some(limit) = limit else { return configured };
    configured.min(limit - RESERVE.min(limit - limit / 4)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_process_keeps_its_share() {
        for (configured, limit, expected) in [
            (1024, None, 1024),
            (1024, Some(1 << 20), 1024),
            (1024, Some(1024), 512),
            (1024, Some(256), 64),
            (16, Some(256), 16),
            (1024, Some(0), 1),
        ] {
            assert_eq!(connections(configured, limit), expected, "{configured} {limit:?}");
        }
    }
}
