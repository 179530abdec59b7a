//! Plans of processes that see the same: nothing is taken twice, all is driven, evenly, and then nothing moves.

use proptest::prelude::*;

use super::*;

fn id(number: u8) -> Incarnation {
    Incarnation([number; 16])
}

fn member(name: &str) -> Member {
    Member { process: name.into(), node: format!("node-{name}"), settled: true }
}

fn owner(holder: Option<&str>) -> Owner {
    Owner {
        holder: holder.map(Into::into),
        about: String::new(),
        node: String::new(),
        epoch: 1,
        meant_for: None,
        version: Some(1),
    }
}

type Owners = BTreeMap<Incarnation, Owner>;

/// Everybody plans from the same view and does its part; how many mirrors were taken from somebody who lives.
fn round(alive: &[Member], owners: &mut Owners, mirrors: &BTreeSet<Incarnation>) -> (usize, usize) {
    let view = owners.clone();
    let (mut taken, mut given) = (0, 0);
    for member in alive {
        let plan = plan(&View { me: &member.process, alive, owners: &view, mirrors });
        for mirror in plan.take {
            let before = owners.insert(mirror, owner(Some(&member.process)));
            assert!(
                before.and_then(|owner| owner.holder).is_none_or(|holder| alive.iter().all(|m| m.process != holder)),
                "two take the same mirror, or one that somebody has"
            );
            taken += 1;
        }
        for (mirror, to) in plan.give {
            assert_eq!(view[&mirror].holder.as_deref(), Some(member.process.as_str()), "only what one has");
            owners.insert(mirror, Owner { meant_for: Some(to), ..owner(None) });
            given += 1;
        }
    }
    (taken, given)
}

fn counts(alive: &[Member], owners: &Owners) -> Vec<usize> {
    let has = |member: &Member| owners.values().filter(|o| o.holder.as_deref() == Some(&member.process)).count();
    alive.iter().map(has).collect()
}

proptest! {
    /// Whoever lives and whoever had what: after a few rounds everything is driven, evenly, and nothing moves any more.
    #[test]
    fn plans_end_in_rest_with_everything_driven_evenly(
        living in 1usize..6,
        mirrors in 0u8..60,
        had in prop::collection::vec(prop::option::of(0usize..8), 60),
    ) {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let alive: Vec<Member> = names.iter().take(living).map(|name| member(name)).collect();
        let mirrors: BTreeSet<Incarnation> = (0..mirrors).map(id).collect();
        let mut owners: Owners = mirrors.iter().zip(&had)
            .filter_map(|(mirror, had)| had.map(|had| (*mirror, owner(Some(names[had]))))).collect();
        for _ in 0..20 {
            round(&alive, &mut owners, &mirrors);
        }
        let counts = counts(&alive, &owners);
        prop_assert_eq!(counts.iter().sum::<usize>(), mirrors.len());
        prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        prop_assert_eq!(round(&alive, &mut owners, &mirrors), (0, 0));
    }
}

#[test]
fn a_returning_process_gets_its_share_once() {
    let mirrors: BTreeSet<Incarnation> = (0..10).map(id).collect();
    let both = [member("a"), member("b")];
    let mut owners: Owners = mirrors.iter().map(|mirror| (*mirror, owner(Some("a")))).collect();
    let mut given = 0;
    for _ in 0..10 {
        given += round(&both, &mut owners, &mirrors).1;
    }
    assert_eq!((given, counts(&both, &owners)), (5, vec![5, 5]));
}

#[test]
fn nothing_moves_to_who_only_just_came() {
    let mirrors: BTreeSet<Incarnation> = (0..10).map(id).collect();
    let both = [member("a"), Member { settled: false, ..member("b") }];
    let mut owners: Owners = mirrors.iter().map(|mirror| (*mirror, owner(Some("a")))).collect();
    assert_eq!(round(&both, &mut owners, &mirrors), (0, 0));
    owners.remove(&id(3));
    assert_eq!(round(&both, &mut owners, &mirrors), (1, 0), "what nobody has goes to it at once");
    assert_eq!(owners[&id(3)].holder.as_deref(), Some("b"));
}

#[test]
fn mirrors_go_back_where_their_history_is() {
    let mirrors: BTreeSet<Incarnation> = (0..40).map(id).collect();
    let three = [member("a"), member("b"), member("c")];
    let mut owners = Owners::new();
    round(&three, &mut owners, &mirrors);
    let before = owners.clone();
    round(&three[..2], &mut owners, &mirrors);
    for _ in 0..10 {
        round(&three, &mut owners, &mirrors);
    }
    let same = mirrors.iter().filter(|mirror| owners[*mirror].holder == before[*mirror].holder).count();
    assert!(same >= 24, "{same} of 40 are where they were before c went and came back");
}

#[test]
fn who_was_named_takes_it_while_it_lives() {
    let mirrors = BTreeSet::from([id(1)]);
    let alive = [member("a"), member("b")];
    let named = |to: &str| Owners::from([(id(1), Owner { meant_for: Some(to.into()), ..owner(None) })]);
    for to in ["a", "b"] {
        let mut owners = named(to);
        round(&alive, &mut owners, &mirrors);
        assert_eq!(owners[&id(1)].holder.as_deref(), Some(to));
    }
    let mut owners = named("dead");
    assert_eq!(round(&alive, &mut owners, &mirrors).0, 1);
}
