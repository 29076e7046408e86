//! What a person does in the pages. The door refuses nothing, so that every state can be made; numbers that nobody knows
//! are kept.
//!
//! A bill is written with its lines in it: `{"FCustId": …, "FSaleOrderEntry": [{…}, …]}`. A change of a line is a change of
//! the bill, and moves its stamp.

use serde_json::{Value, json};

use super::{
    entries::{entry_id, numbered},
    forms::form,
    save::{apply, finished, id_of, put},
    values::local_text,
};
use crate::{model::record::Record, simulator::state::State};

/// A record made in the pages; an id, number, status or stamp that is given is kept.
pub(in crate::simulator) fn insert(state: &mut State, object: &str, fields: Record) -> String {
    let form = form(object);
    let id = id_of(form.pk, &fields).unwrap_or_else(|| 100_000 + state.next_serial());
    let mut record = Record::new();
    // A person's values are kept even where the form would refuse them, so there is no refusal here.
    let _ = apply(state, &form, &mut record, &fields, None);
    let stamp = record.get("FModifyDate").cloned();
    let mut record = finished(state, &form, id, record, false, false);
    if let Some(stamp) = stamp {
        record.insert("FModifyDate".to_owned(), stamp);
    }
    put(state, object, id, record);
    id.to_string()
}

/// A record changed in the pages, whatever its status; a stamp that is given is kept.
pub(in crate::simulator) fn edit(state: &mut State, object: &str, id: &str, fields: Record) -> bool {
    let form = form(object);
    let Some(row) = state.table(object).get(id).cloned() else { return false };
    let Ok(number) = row.id.parse() else { return false };
    let mut record = row.fields;
    record.insert("FModifyDate".to_owned(), json!(local_text(state.now_ms())));
    let fields = fields.into_iter().filter(|(key, _)| !key.eq_ignore_ascii_case(form.pk)).collect();
    let _ = apply(state, &form, &mut record, &fields, None);
    put(state, object, number, record);
    true
}

/// The key of the detail table of a form: the known one, else that of the first list that the record has.
fn entry_key(object: &str, record: &Record) -> Option<String> {
    let known = form(object).entry.map(|entry| entry.key.to_owned());
    known.or_else(|| record.iter().find(|(_, value)| value.is_array()).map(|(key, _)| key.clone()))
}

/// Works on the lines of a bill; `None` where there is no such bill, or the work finds nothing to do.
fn on_lines<T>(
    state: &mut State,
    object: &str,
    id: &str,
    work: impl FnOnce(&mut State, &str, &mut Vec<Record>) -> Option<T>,
) -> Option<T> {
    let row = state.table(object).get(id).cloned()?;
    let number = row.id.parse().ok()?;
    let mut record = row.fields;
    let key = entry_key(object, &record)?;
    let old = record.get(&key).and_then(Value::as_array);
    let mut lines: Vec<Record> = old.into_iter().flatten().filter_map(Value::as_object).cloned().collect();
    let done = work(state, &key, &mut lines)?;
    record.insert(key, Value::Array(numbered(lines)));
    record.insert("FModifyDate".to_owned(), json!(local_text(state.now_ms())));
    put(state, object, number, record);
    Some(done)
}

/// A line more, at the end; gives its id.
pub(in crate::simulator) fn add_line(
    state: &mut State,
    object: &str,
    id: &str,
    fields: Record,
) -> Option<String> {
    on_lines(state, object, id, |state, key, lines| {
        let line_id = 100_000 + state.next_serial();
        let mut line = Record::new();
        line.insert("FEntryID".to_owned(), json!(line_id));
        line.insert("FSeq".to_owned(), Value::Null);
        let _ = apply(state, &form(object).inside(key), &mut line, &own(fields), None);
        lines.push(line);
        Some(line_id.to_string())
    })
}

/// Changes fields of one line; a null clears. False where the bill has no such line.
pub(in crate::simulator) fn edit_line(
    state: &mut State,
    object: &str,
    id: &str,
    line: &str,
    fields: Record,
) -> bool {
    let changed = on_lines(state, object, id, |state, key, lines| {
        let line = lines.iter_mut().find(|known| is_line(known, line))?;
        let _ = apply(state, &form(object).inside(key), line, &own(fields), None);
        Some(())
    });
    changed.is_some()
}

/// Takes one line out. False where the bill has no such line.
pub(in crate::simulator) fn remove_line(state: &mut State, object: &str, id: &str, line: &str) -> bool {
    let removed = on_lines(state, object, id, |_, _, lines| {
        let place = lines.iter().position(|known| is_line(known, line))?;
        Some(lines.remove(place))
    });
    removed.is_some()
}

fn is_line(line: &Record, id: &str) -> bool {
    entry_id(line).is_some_and(|known| known.to_string() == id)
}

/// What a person can write into a line.
fn own(mut fields: Record) -> Record {
    fields.retain(|key, _| !key.eq_ignore_ascii_case("FEntryID") && !key.eq_ignore_ascii_case("FSeq"));
    fields
}

/// A bill with its lines, as the system keeps it.
pub(in crate::simulator) fn document(state: &mut State, object: &str, id: &str) -> Option<Record> {
    state.table(object).get(id).map(|row| row.fields.clone())
}

/// Removes a record; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, object: &str, id: &str) -> bool {
    state.remove_record(object, id)
}
