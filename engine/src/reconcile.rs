//! What has to be done so that the mirrors at work are those that should be. Pure: the supervisor gathers what is desired
//! and what runs, and carries the actions out.

use std::collections::BTreeMap;

use lakemirror_core::ids::Incarnation;

/// A mirror that is defined, as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Desired {
    /// Which mirror.
    pub(super) mirror: Incarnation,
    /// Whether its deletion was asked for.
    pub(super) is_deleted: bool,
    /// Who is to drive it.
    pub(super) driver: Driver,
}

/// Who is to drive a mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Driver {
    /// This process, which holds its lease.
    ThisProcess,
    /// Another process, which has taken it.
    Another(String),
    /// Nobody yet, or it is not known: what runs goes on, and nothing is started.
    Undecided,
    /// No process here can: this process serves its region, and knows no lakeFS of its source's region.
    SourceUnknown,
    /// Processes of another region.
    Elsewhere,
}

/// A mirror at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    /// Whether it is at work on its deletion.
    pub(super) is_deleting: bool,
    /// Whether it was told to end.
    pub(super) is_stopping: bool,
}

/// What is to be done about one mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Its work begins.
    Start(Incarnation),
    /// Its work ends; what comes after it deletes the mirror.
    StopForDeletion(Incarnation),
    /// Its work ends, and its lease is not held any more.
    LeaveTo {
        /// Which mirror.
        mirror: Incarnation,
        /// The process that drives it, for people.
        by: String,
    },
    /// An operator has to name the lakeFS of its source's region.
    ReportUnknownSource(Incarnation),
}

/// The actions that bring what runs in line with what is desired, in the order of `desired`.
pub(super) fn reconcile(desired: &[Desired], running: &BTreeMap<Incarnation, Running>) -> Vec<Action> {
    desired.iter().filter_map(|one| action(one, running.get(&one.mirror))).collect()
}

fn action(desired: &Desired, running: Option<&Running>) -> Option<Action> {
    let mirror = desired.mirror;
    match (&desired.driver, running) {
        (Driver::SourceUnknown, _) => Some(Action::ReportUnknownSource(mirror)),
        (Driver::Elsewhere, _) => None,
        (_, Some(running)) if desired.is_deleted && !running.is_deleting => Some(Action::StopForDeletion(mirror)),
        (Driver::Another(by), Some(running)) if !running.is_stopping => {
            Some(Action::LeaveTo { mirror, by: by.clone() })
        }
        (Driver::ThisProcess, None) => Some(Action::Start(mirror)),
        (Driver::ThisProcess | Driver::Another(_) | Driver::Undecided, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIRROR: Incarnation = Incarnation([7; 16]);
    const AT_WORK: Running = Running { is_deleting: false, is_stopping: false };
    const DELETING: Running = Running { is_deleting: true, is_stopping: false };
    const STOPPING: Running = Running { is_deleting: false, is_stopping: true };

    fn actions(driver: Driver, is_deleted: bool, running: Option<Running>) -> Vec<Action> {
        let running = running.into_iter().map(|running| (MIRROR, running)).collect();
        reconcile(&[Desired { mirror: MIRROR, is_deleted, driver }], &running)
    }

    #[test]
    fn a_mirror_is_started_once_by_the_process_that_holds_its_lease() {
        assert_eq!(actions(Driver::ThisProcess, false, None), [Action::Start(MIRROR)]);
        assert_eq!(actions(Driver::ThisProcess, true, None), [Action::Start(MIRROR)], "its work is its deletion");
        assert_eq!(actions(Driver::ThisProcess, false, Some(AT_WORK)), []);
        for driver in [Driver::Undecided, Driver::Another("p".to_owned()), Driver::Elsewhere] {
            assert_eq!(actions(driver, false, None), []);
        }
    }

    #[test]
    fn a_deletion_ends_the_work_on_the_mirror_and_not_the_work_on_its_deletion() {
        assert_eq!(actions(Driver::ThisProcess, true, Some(AT_WORK)), [Action::StopForDeletion(MIRROR)]);
        assert_eq!(actions(Driver::ThisProcess, true, Some(DELETING)), []);
    }

    #[test]
    fn a_mirror_is_left_to_the_process_that_has_taken_it() {
        let another = || Driver::Another("p".to_owned());
        let left = Action::LeaveTo { mirror: MIRROR, by: "p".to_owned() };
        assert_eq!(actions(another(), false, Some(AT_WORK)), [left]);
        assert_eq!(actions(another(), false, Some(STOPPING)), []);
        assert_eq!(actions(Driver::Undecided, false, Some(AT_WORK)), [], "a doubt ends nothing");
    }

    #[test]
    fn a_mirror_without_a_lakefs_of_its_source_is_reported() {
        for running in [None, Some(AT_WORK)] {
            let found = actions(Driver::SourceUnknown, false, running);
            assert_eq!(found, [Action::ReportUnknownSource(MIRROR)]);
        }
    }
}
