//! Merge: three-way, per field or group of fields, of a row, a record and the shadow between them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::binding::Prefer;
use crate::model::record::{Record, same_value};

/// Who wins where both sides changed the same field to different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// The later change wins, by the remote's last-modified stamp and the commit time of the row's change.
    #[default]
    Latest,
    /// The row wins.
    Local,
    /// The record wins.
    Remote,
    /// Nobody wins until a person decides; only this field group of this record is held.
    Manual,
}

impl Policy {
    /// The word used in configuration and SQL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Manual => "manual",
        }
    }
}

/// Fields that are merged as one unit, under one policy. A field on its own is a group of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub fields: Vec<String>,
    pub policy: Policy,
}

/// Where a merged group's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Neither side changed it, or both to the same.
    Agreed,
    Row,
    Record,
    /// Held for a person: each side keeps its own value.
    Held,
}

/// One field that both sides changed to different values.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldConflict {
    pub field: String,
    pub shadow: Value,
    pub row: Value,
    pub record: Value,
    /// The side that won, or `Held`.
    pub winner: Side,
    pub policy: Policy,
    /// The group that is decided as one; the field itself where it is in none.
    pub unit: String,
    /// Frozen by the brake: the field went back and forth too often.
    pub frozen: bool,
}

impl FieldConflict {
    /// The word for who decides, as used in SQL.
    pub fn policy_word(&self) -> &'static str {
        if self.frozen { "oscillation" } else { self.policy.word() }
    }
}

/// What a merge decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// Fields whose value is taken from the record into the row.
    pub take: BTreeSet<String>,
    /// Fields whose value in the row goes to the record.
    pub give: BTreeSet<String>,
    pub conflicts: Vec<FieldConflict>,
}

/// When each side was last changed, milliseconds since 1970; `None` where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamps {
    pub row_ms: Option<i64>,
    pub record_ms: Option<i64>,
}

/// Merges a row (encoded to the record's form) and a record against the shadow.
///
/// A group that only one side changed is taken from that side as a whole. Where both changed it the group's policy
/// decides, and every field that differs is reported with all three values. `Latest` falls back to the record when
/// either stamp is unknown: the row's value stays in `conflicts`, and a later edit of the row is newer for sure.
pub fn merge(
    row: &Record,
    record: &Record,
    shadow: &Record,
    groups: &[Group],
    stamps: Stamps,
    blank_is_null: bool,
) -> Merged {
    let mut merged = Merged::default();
    for group in groups {
        let differs = |left: &Record, right: &Record, field: &String| {
            !same_value(left.get(field), right.get(field), blank_is_null)
        };
        let row_changed = group.fields.iter().any(|field| differs(row, shadow, field));
        let record_changed = group.fields.iter().any(|field| differs(record, shadow, field));
        let apart: Vec<&String> = group.fields.iter().filter(|field| differs(row, record, field)).collect();
        if apart.is_empty() {
            continue;
        }
        match (row_changed, record_changed) {
            (false, false) => {}
            (true, false) => merged.give.extend(apart.into_iter().cloned()),
            (false, true) => merged.take.extend(apart.into_iter().cloned()),
            (true, true) => {
                let winner = decide(group.policy, stamps);
                let value = |side: &Record, field: &String| side.get(field).cloned().unwrap_or(Value::Null);
                for field in &apart {
                    merged.conflicts.push(FieldConflict {
                        field: (*field).clone(),
                        shadow: value(shadow, field),
                        row: value(row, field),
                        record: value(record, field),
                        winner,
                        policy: group.policy,
                        unit: group.name.clone(),
                        frozen: false,
                    });
                }
                match winner {
                    Side::Row => merged.give.extend(apart.into_iter().cloned()),
                    Side::Record => merged.take.extend(apart.into_iter().cloned()),
                    Side::Agreed | Side::Held => {}
                }
            }
        }
    }
    merged
}

/// The first meeting of a row and a record, with no shadow between them: a match decision, not a conflict.
///
/// Group by group the preferred side is right, and where it holds nothing at all the other side fills it.
pub fn first_meeting(
    row: &Record,
    record: &Record,
    groups: &[Group],
    prefer: Prefer,
    stamps: Stamps,
    blank_is_null: bool,
) -> Merged {
    let mut merged = Merged::default();
    let record_preferred = match prefer {
        Prefer::Record => true,
        Prefer::Row => false,
        Prefer::Newest => decide(Policy::Latest, stamps) == Side::Record,
    };
    for group in groups {
        let holds = |side: &Record| {
            group.fields.iter().any(|field| !same_value(side.get(field), None, blank_is_null))
        };
        let from_record = if record_preferred { holds(record) } else { !holds(row) };
        let apart = group
            .fields
            .iter()
            .filter(|field| !same_value(row.get(*field), record.get(*field), blank_is_null))
            .cloned();
        if from_record { merged.take.extend(apart) } else { merged.give.extend(apart) }
    }
    merged
}

fn decide(policy: Policy, stamps: Stamps) -> Side {
    match policy {
        Policy::Local => Side::Row,
        Policy::Remote => Side::Record,
        Policy::Manual => Side::Held,
        Policy::Latest => match (stamps.row_ms, stamps.record_ms) {
            (Some(row), Some(record)) if row > record => Side::Row,
            _ => Side::Record,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn record(value: Value) -> Record {
        match value {
            Value::Object(map) => map,
            other => panic!("not an object: {other}"),
        }
    }

    fn single(name: &str, policy: Policy) -> Group {
        Group { name: name.to_owned(), fields: vec![name.to_owned()], policy }
    }

    fn names(fields: &BTreeSet<String>) -> Vec<&str> {
        fields.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_change_on_one_side_is_taken_and_different_fields_both_survive() {
        let shadow = record(json!({"name": "A", "tel": "1"}));
        let row = record(json!({"name": "B", "tel": "1"}));
        let remote = record(json!({"name": "A", "tel": "2"}));
        let groups = [single("name", Policy::Latest), single("tel", Policy::Latest)];
        let merged = merge(&row, &remote, &shadow, &groups, Stamps::default(), true);
        assert_eq!((names(&merged.give), names(&merged.take)), (vec!["name"], vec!["tel"]));
        assert!(merged.conflicts.is_empty());
    }

    #[test]
    fn the_policy_decides_and_the_loser_is_kept() {
        let shadow = record(json!({"tel": "1"}));
        let row = record(json!({"tel": "2"}));
        let remote = record(json!({"tel": "3"}));
        let stamps = |row_ms, record_ms| Stamps { row_ms: Some(row_ms), record_ms: Some(record_ms) };
        let cases = [
            (Policy::Local, stamps(1, 9), Side::Row),
            (Policy::Remote, stamps(9, 1), Side::Record),
            (Policy::Latest, stamps(9, 1), Side::Row),
            (Policy::Latest, stamps(1, 9), Side::Record),
            (Policy::Latest, stamps(5, 5), Side::Record),
            (Policy::Latest, Stamps::default(), Side::Record),
            (Policy::Manual, stamps(9, 1), Side::Held),
        ];
        for (policy, stamps, winner) in cases {
            let merged = merge(&row, &remote, &shadow, &[single("tel", policy)], stamps, true);
            let conflict = &merged.conflicts[0];
            assert_eq!(
                (conflict.winner, &conflict.row, &conflict.record),
                (winner, &json!("2"), &json!("3"))
            );
            assert_eq!(merged.give.contains("tel"), winner == Side::Row, "{policy:?}");
            assert_eq!(merged.take.contains("tel"), winner == Side::Record, "{policy:?}");
        }
    }

    #[test]
    fn a_group_is_merged_as_one() {
        let shadow = record(json!({"street": "Old 1", "city": "Old"}));
        let row = record(json!({"street": "Row 2", "city": "Old"}));
        let remote = record(json!({"street": "Old 1", "city": "Remote"}));
        let address = Group {
            name: "address".to_owned(),
            fields: vec!["street".to_owned(), "city".to_owned()],
            policy: Policy::Local,
        };
        let merged = merge(&row, &remote, &shadow, &[address], Stamps::default(), true);
        assert_eq!(names(&merged.give), ["city", "street"]);
        assert_eq!(merged.conflicts.len(), 2);
    }

    #[test]
    fn the_same_change_on_both_sides_is_no_conflict() {
        let shadow = record(json!({"tel": "1"}));
        let both = record(json!({"tel": "2"}));
        let merged = merge(&both, &both, &shadow, &[single("tel", Policy::Manual)], Stamps::default(), true);
        assert_eq!(merged, Merged::default());
    }

    #[test]
    fn at_the_first_meeting_the_preferred_side_is_right_and_the_other_fills_its_gaps() {
        let row = record(json!({"name": "Row", "tel": "1"}));
        let remote = record(json!({"name": "Record", "level": "gold"}));
        let groups =
            [single("name", Policy::Manual), single("tel", Policy::Manual), single("level", Policy::Manual)];
        let meet = |prefer| first_meeting(&row, &remote, &groups, prefer, Stamps::default(), true);
        let merged = meet(Prefer::Record);
        assert_eq!((names(&merged.take), names(&merged.give)), (vec!["level", "name"], vec!["tel"]));
        let merged = meet(Prefer::Row);
        assert_eq!((names(&merged.take), names(&merged.give)), (vec!["level"], vec!["name", "tel"]));
    }

    fn any_record() -> impl Strategy<Value = Record> {
        prop::collection::btree_map("[a-c]", (0..3i32).prop_map(Value::from), 0..4)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        /// After a merge every field that differs is either on its way to one side or held; never both, never lost.
        #[test]
        fn every_difference_is_taken_given_or_held(
            row in any_record(), remote in any_record(), shadow in any_record(),
            policy in prop_oneof![
                Just(Policy::Latest), Just(Policy::Local), Just(Policy::Remote), Just(Policy::Manual)
            ],
        ) {
            let groups: Vec<Group> = ["a", "b", "c"].map(|name| single(name, policy)).into();
            let merged = merge(&row, &remote, &shadow, &groups, Stamps::default(), true);
            for field in ["a", "b", "c"] {
                let differs = !same_value(row.get(field), remote.get(field), true);
                let held = merged.conflicts.iter().any(|c| c.field == field && c.winner == Side::Held);
                let ways = [merged.take.contains(field), merged.give.contains(field), held];
                prop_assert_eq!(ways.iter().filter(|way| **way).count(), usize::from(differs));
            }
        }
    }
}
