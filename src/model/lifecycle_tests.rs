//! Lifecycles: the usual one, and any.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn stages(names: &str) -> BTreeSet<String> {
    names.chars().map(String::from).collect()
}

fn step(from: &str, to: &str) -> Transition {
    Transition { from: stages(from), to: to.to_owned() }
}

/// Saved, submitted, audited; taken back.
fn usual() -> Lifecycle {
    Lifecycle {
        editable: stages("ZAD"),
        created: Some("A".to_owned()),
        steps: BTreeMap::from([
            ("submit".to_owned(), step("ZAD", "B")),
            ("audit".to_owned(), step("B", "C")),
            ("unaudit".to_owned(), step("C", "D")),
            ("withdraw".to_owned(), step("B", "D")),
        ]),
        targets: BTreeMap::from([
            ("saved".to_owned(), stages("ZAD")),
            ("submitted".to_owned(), stages("B")),
            ("audited".to_owned(), stages("C")),
        ]),
    }
}

fn plan(until: Option<&str>, reopen: bool) -> Plan {
    Plan { lifecycle: usual(), until: until.map(stages), reopen }
}

fn to(name: &str) -> Next {
    Next::Step(name.to_owned())
}

#[test]
fn a_save_goes_on_to_its_target_and_an_edit_back() {
    assert_eq!(usual().findings(), Vec::<String>::new());
    assert_eq!(usual().way("A", &stages("C")).unwrap(), ["submit", "audit"]);
    let audited = plan(Some("C"), true);
    for (stage, next) in [
        ("A", to("submit")),
        ("D", to("submit")),
        ("Z", to("submit")),
        ("B", to("audit")),
        ("C", Next::There),
    ] {
        assert_eq!(audited.after_save(Some(stage)), next, "{stage}");
    }
    for (stage, next) in [("A", Next::There), ("B", to("withdraw")), ("C", to("unaudit")), ("D", Next::There)]
    {
        assert_eq!(audited.before_save(Some(stage), false), next, "{stage}");
    }
    assert_eq!(audited.before_save(None, true), Next::Unknown);
    assert_eq!(audited.after_save(None), Next::Unknown);
    assert_eq!((audited.owed(None), audited.owed(Some("C"))), (Some("submit".to_owned()), None));
}

#[test]
fn without_leave_only_our_own_unfinished_work_is_taken_back() {
    let audited = plan(Some("C"), false);
    assert_eq!(audited.before_save(Some("B"), true), to("withdraw"));
    for (stage, ours) in [("B", false), ("C", false), ("C", true)] {
        let Next::Closed(reason) = audited.before_save(Some(stage), ours) else { panic!("{stage} {ours}") };
        assert!(reason.contains(stage) && reason.contains("reopen: true"), "{reason}");
    }
    let saved = plan(None, false);
    assert!(matches!(saved.before_save(Some("B"), true), Next::Closed(_)));
    assert_eq!((saved.after_save(Some("A")), saved.after_save(None)), (Next::There, Next::There));
}

#[test]
fn a_stage_that_nobody_knows_and_a_target_out_of_reach_say_so() {
    let Next::Closed(reason) = plan(Some("C"), true).after_save(Some("X")) else { panic!("X is known") };
    assert_eq!(reason, "no step leads from X to C; move the record in the system");
    let mut short = usual();
    short.steps.remove("audit");
    let findings = short.findings();
    assert_eq!(findings.len(), 4, "{findings:?}");
    assert!(
        findings[0].starts_with("target `audited` cannot be reached after a save: no step leads from A to C")
    );
    assert!(!Lifecycle::default().findings().is_empty());
    assert_eq!(listed(&stages("ZAD")), "A, D or Z");
}

fn any_stage() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d", "e", "f"]).prop_map(str::to_owned)
}

fn any_lifecycle() -> impl Strategy<Value = Lifecycle> {
    let some = || prop::collection::btree_set(any_stage(), 0..4);
    let steps = prop::collection::btree_map(
        "[p-u]",
        (some(), any_stage()).prop_map(|(from, to)| Transition { from, to }),
        0..7,
    );
    (some(), steps).prop_map(|(editable, steps)| Lifecycle { editable, steps, ..Lifecycle::default() })
}

/// What can be reached at all, found without looking for the shortest way.
fn reachable(lifecycle: &Lifecycle, stage: &str) -> BTreeSet<String> {
    let mut seen = BTreeSet::from([stage.to_owned()]);
    loop {
        let more: Vec<String> = lifecycle
            .steps
            .values()
            .filter(|step| !step.from.is_disjoint(&seen) && !seen.contains(&step.to))
            .map(|step| step.to.clone())
            .collect();
        if more.is_empty() {
            return seen;
        }
        seen.extend(more);
    }
}

proptest! {
    #[test]
    fn the_target_is_reached_or_it_is_said_why_and_nothing_turns_in_circles(
        lifecycle in any_lifecycle(),
        goals in prop::collection::btree_set(any_stage(), 0..3),
        start in any_stage(),
    ) {
        let plan = Plan { lifecycle: lifecycle.clone(), until: Some(goals.clone()), reopen: true };
        let can = !reachable(&lifecycle, &start).is_disjoint(&goals);
        let mut stage = start;
        let mut taken = 0;
        loop {
            match plan.after_save(Some(&stage)) {
                Next::There => {
                    prop_assert!(goals.contains(&stage));
                    break;
                }
                Next::Step(name) => {
                    let step = &lifecycle.steps[&name];
                    prop_assert!(step.from.contains(&stage), "{name} is not possible at {stage}");
                    stage = step.to.clone();
                    taken += 1;
                    prop_assert!(taken <= 6, "it turns in circles");
                }
                Next::Closed(_) => {
                    prop_assert!(!can, "there is a way");
                    prop_assert_eq!(taken, 0, "it began a way that leads nowhere");
                    break;
                }
                Next::Unknown => prop_assert!(false, "the stage is known"),
            }
        }
    }

    #[test]
    fn an_edit_is_only_sent_where_it_is_possible(
        lifecycle in any_lifecycle(), start in any_stage(), reopen: bool, ours: bool,
    ) {
        let plan = Plan { lifecycle: lifecycle.clone(), until: None, reopen };
        match plan.before_save(Some(&start), ours) {
            Next::There => prop_assert!(lifecycle.editable.contains(&start)),
            Next::Step(name) => {
                prop_assert!(reopen);
                prop_assert!(lifecycle.steps[&name].from.contains(&start));
            }
            Next::Closed(reason) => prop_assert!(!reason.is_empty()),
            Next::Unknown => prop_assert!(false, "the stage is known"),
        }
    }
}
