//! Diff: which fields of one record differ from another.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::record::{Record, same_value};

/// The fields among `fields` whose value in `new` differs from `old`, with their new value.
///
/// A field that `new` lacks and `old` has comes back as null: the remote must be told to clear it.
pub fn diff<'a>(
    new: &Record,
    old: &Record,
    fields: impl IntoIterator<Item = &'a str>,
    blank_is_null: bool,
) -> Record {
    let mut changes = Record::new();
    for field in fields {
        if !same_value(new.get(field), old.get(field), blank_is_null) {
            changes.insert(field.to_owned(), new.get(field).cloned().unwrap_or(Value::Null));
        }
    }
    changes
}

/// The names of the fields that differ; see [`diff`].
pub fn changed_fields<'a>(
    new: &Record,
    old: &Record,
    fields: impl IntoIterator<Item = &'a str>,
    blank_is_null: bool,
) -> BTreeSet<String> {
    diff(new, old, fields, blank_is_null).into_iter().map(|(field, _)| field).collect()
}

/// Only the named fields of a record; what the record lacks is null, so that a shadow always names every mapped field.
pub fn project<'a>(record: &Record, fields: impl IntoIterator<Item = &'a str>) -> Record {
    fields
        .into_iter()
        .map(|field| (field.to_owned(), record.get(field).cloned().unwrap_or(Value::Null)))
        .collect()
}

/// `base` with the fields of `changes` laid over it.
pub fn overlay(base: &Record, changes: &Record) -> Record {
    let mut merged = base.clone();
    for (field, value) in changes {
        merged.insert(field.clone(), value.clone());
    }
    merged
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

    #[test]
    fn only_what_differs_is_named() {
        let old = record(json!({"name": "Acme", "tel": "1", "level": null}));
        let new = record(json!({"name": "Acme", "tel": "2"}));
        let fields = ["name", "tel", "level"];
        assert_eq!(diff(&new, &old, fields, true), record(json!({"tel": "2"})));
        assert_eq!(diff(&old, &old, fields, true), Record::new());
    }

    #[test]
    fn a_cleared_field_travels_as_null() {
        let old = record(json!({"tel": "1"}));
        assert_eq!(diff(&Record::new(), &old, ["tel"], true), record(json!({"tel": null})));
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        prop::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    const FIELDS: [&str; 4] = ["a", "b", "c", "d"];

    proptest! {
        #[test]
        fn laying_a_diff_over_the_old_gives_the_new(new in any_record(), old in any_record()) {
            let changes = diff(&new, &old, FIELDS, true);
            let merged = overlay(&old, &changes);
            prop_assert!(diff(&merged, &new, FIELDS, true).is_empty());
        }

        #[test]
        fn a_record_does_not_differ_from_itself(record in any_record()) {
            prop_assert!(diff(&record, &record, FIELDS, false).is_empty());
        }
    }
}
