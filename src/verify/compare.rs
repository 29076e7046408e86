//! Compare: one row, shadow and record, and which of them differ. Pure.

use std::collections::BTreeSet;

use crate::mapping::Mapping;
use crate::model::diff::{diff, project};
use crate::model::record::{Record, same_value};

/// What differs between a row, its shadow and its record.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `row differs`, `record differs` or `both differ`: from the shadow.
    pub kind: &'static str,
    pub fields: Vec<String>,
    pub shadow: Record,
    pub row: Record,
    pub record: Record,
}

/// Compares twins; all in the record's form. `None` for a record that cannot be read: only row and shadow are compared
/// then. Fields in which both sides agree do not differ, whatever the shadow says.
pub fn compare(
    mapping: &Mapping,
    row: &Record,
    shadow: Option<&Record>,
    record: Option<&Record>,
) -> Option<Difference> {
    let empty = Record::new();
    let base = shadow.unwrap_or(&empty);
    let known = record.unwrap_or(base);
    // a field that only the remote gives is not in the row's form at all
    let both: Vec<&str> =
        mapping.fields.iter().filter(|field| field.pushes).map(|field| field.field.as_str()).collect();
    let of_row: BTreeSet<String> =
        mapping.push_diff(row, base, &BTreeSet::new()).into_iter().map(|(field, _)| field).collect();
    let of_record: BTreeSet<String> = diff(known, base, mapping.field_names(), mapping.blank_is_null)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    let moved = record.is_some() && shadow.is_some() && !mapping.same_lines(known, base, &BTreeSet::new());
    let lines = mapping.lines.iter().map(|lines| &lines.collection);
    let mut of_record = of_record;
    if moved {
        of_record.extend(lines.clone().cloned());
    }
    let fields: Vec<String> = mapping
        .field_names()
        .filter(|field| of_row.contains(*field) || of_record.contains(*field))
        .filter(|field| {
            !both.contains(field) || !same_value(row.get(*field), known.get(*field), mapping.blank_is_null)
        })
        .map(str::to_owned)
        .chain(lines.filter(|name| of_row.contains(*name) || of_record.contains(*name)).cloned())
        .collect();
    if fields.is_empty() {
        return None;
    }
    let named = |set: &BTreeSet<String>| fields.iter().any(|field| set.contains(field));
    let kind = match (named(&of_row), named(&of_record)) {
        (true, true) => "both differ",
        (true, false) => "row differs",
        _ => "record differs",
    };
    let part = |whole: &Record| project(whole, fields.iter().map(String::as_str));
    Some(Difference { kind, shadow: part(base), row: part(row), record: part(known), fields: fields.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn mapping() -> Mapping {
        let text = "{system: crm, object: O, fields: {name: name, phone: tel, at: {field: changed, direction: pull}}}";
        let binding = serde_saphyr::from_str(text).unwrap();
        Mapping::new(&binding, |_| Some("text".to_owned()), true, |_| None).unwrap()
    }

    fn record(value: Value) -> Record {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn who_moved_is_told_by_the_shadow() {
        let shadow = record(json!({"name": "A", "tel": "1", "changed": "x"}));
        for (row, found, kind, fields) in [
            (
                json!({"name": "A", "tel": "1", "changed": null}),
                json!({"name": "A", "tel": "1", "changed": "x"}),
                None,
                &[][..],
            ),
            (
                json!({"name": "B", "tel": "1"}),
                json!({"name": "A", "tel": "1", "changed": "x"}),
                Some("row differs"),
                &["name"][..],
            ),
            (
                json!({"name": "A", "tel": "1"}),
                json!({"name": "B", "tel": "1", "changed": "x"}),
                Some("record differs"),
                &["name"],
            ),
            (
                json!({"name": "B", "tel": "1"}),
                json!({"name": "C", "tel": "1", "changed": "x"}),
                Some("both differ"),
                &["name"],
            ),
            (
                json!({"name": "B", "tel": "1"}),
                json!({"name": "A", "tel": "2", "changed": "x"}),
                Some("both differ"),
                &["name", "tel"],
            ),
            // both made the same edit: they agree
            (json!({"name": "B", "tel": "1"}), json!({"name": "B", "tel": "1", "changed": "x"}), None, &[]),
            (
                json!({"name": "A", "tel": "1"}),
                json!({"name": "A", "tel": "1", "changed": "y"}),
                Some("record differs"),
                &["changed"],
            ),
        ] {
            let found = compare(&mapping(), &record(row.clone()), Some(&shadow), Some(&record(found)));
            assert_eq!(found.as_ref().map(|one| one.kind), kind, "{row}");
            let named: BTreeSet<String> =
                found.map(|one| one.fields).unwrap_or_default().into_iter().collect();
            assert_eq!(named, fields.iter().map(|field| (*field).to_owned()).collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn without_a_record_the_row_is_compared_with_the_shadow() {
        let shadow = record(json!({"name": "A", "tel": "1", "changed": "x"}));
        let row = record(json!({"name": "B", "tel": "1"}));
        assert_eq!(compare(&mapping(), &row, Some(&shadow), None).unwrap().kind, "row differs");
        let row = record(json!({"name": "A", "tel": "1"}));
        assert_eq!(compare(&mapping(), &row, Some(&shadow), None), None);
    }
}
