//! `View`: one record in the names of its properties, which are not the keys that `Save` takes.

use serde_json::{Map, Value, json};

use super::{
    NO_DATA, Refusal,
    forms::{Form, form, property},
    lines::{is_reference, shown},
};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, Asked},
        state::State,
        table::Row,
        value::text_of,
    },
};

/// Answers one record, by its number or its id.
pub(super) fn view(state: &mut State, asked: &Asked, data: &Value) -> Result<Answer, Refusal> {
    let form = form(&asked.object);
    let given = |name: &str| data.get(name).and_then(text_of).filter(|text| !text.is_empty() && text != "0");
    let table = state.table(&asked.object);
    let row = match (given("Id"), given("Number")) {
        (Some(id), _) => table.get(&id).cloned(),
        (None, Some(number)) => table.named(&number).cloned(),
        (None, None) => None,
    };
    let row: Row = row.ok_or_else(|| Refusal::new(NO_DATA, "", "传递的编码值不存在"))?;
    let mut seen = properties(state, &form, &row.fields);
    // Names are in every language.
    if let Some(name) = seen.get("Name").cloned() {
        seen.insert("MultiLanguageText".to_owned(), json!([{"PkId": 1, "LocaleId": 2052, "Name": name}]));
        seen.insert("Name".to_owned(), json!([{"Key": 2052, "Value": name}]));
    }
    let answer = json!({"Result": {"ResponseStatus": null, "Result": seen}});
    Ok(Answer::ok(&answer).with_ids(vec![row.id]))
}

fn properties(state: &State, form: &Form, record: &Record) -> Map<String, Value> {
    let mut seen = Map::new();
    for (key, value) in record {
        let name = property(key).to_owned();
        match value {
            _ if key == form.pk => {
                seen.insert("Id".to_owned(), value.clone());
            }
            Value::Object(part) if is_reference(part) => {
                if let Some((id, reference)) = shown(&state.objects, form, key, value) {
                    seen.insert(format!("{name}_Id"), id);
                    seen.insert(name, reference);
                }
            }
            Value::Object(part) => {
                seen.insert(name, json!([properties(state, form, part)]));
            }
            Value::Array(lines) => {
                let lines = lines.iter().filter_map(Value::as_object).enumerate();
                let lines: Vec<Value> = lines
                    .map(|(at, line)| {
                        let mut seen = Map::new();
                        seen.insert("Id".to_owned(), line.get("FEntryID").cloned().unwrap_or(Value::Null));
                        seen.insert("Seq".to_owned(), json!(at + 1));
                        seen.extend(
                            properties(state, form, line).into_iter().filter(|(n, _)| n != "EntryID"),
                        );
                        Value::Object(seen)
                    })
                    .collect();
                seen.insert(name, Value::Array(lines));
            }
            other => {
                seen.insert(name, other.clone());
            }
        }
    }
    seen
}
