//! References: a column that holds the primary key of another row, and the field that names that row's record.
//!
//! Which record stands for which row is looked up beforehand and handed in as [`References`], so that a mapping stays
//! a function of values.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::mapping::codec::plain_text;
use crate::model::binding::ReferredBy;

/// The member that marks a value as a row without a record.
const ROW: &str = "rowtwin:row";

/// Where a reference leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The table that the column refers to, as the configuration names it.
    pub table: String,
    pub by: ReferredBy,
    /// The field holds ids as numbers.
    pub numeric: bool,
    /// The binding of that table to the same system; 0 until the bindings are registered.
    pub parent: i32,
}

/// What is known of the rows and records that some rows and records refer to.
#[derive(Debug, Default)]
pub struct References {
    names: HashMap<(i32, ReferredBy, String), String>,
    rows: HashMap<(i32, ReferredBy, String), String>,
}

/// What has to be known: rows' keys and records' names, by where they lead.
#[derive(Debug, Default)]
pub struct Wanted {
    pub keys: HashMap<(i32, ReferredBy), BTreeSet<String>>,
    pub names: HashMap<(i32, ReferredBy), BTreeSet<String>>,
}

/// A row that has no record yet, or a record that has no row yet, named by what refers to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The field that refers.
    pub field: String,
    pub table: String,
    pub parent: i32,
    pub by: ReferredBy,
    /// The row's key, or the record's name.
    pub name: String,
}

impl References {
    /// Notes that the record of row `key` is named `name`.
    pub fn add(&mut self, parent: i32, by: ReferredBy, key: String, name: String) {
        self.rows.insert((parent, by, name.clone()), key.clone());
        self.names.insert((parent, by, key), name);
    }

    /// The rows whose records are known, with their bindings.
    pub fn known_rows(&self) -> Vec<(i32, String)> {
        self.names.keys().map(|(parent, _, key)| (*parent, key.clone())).collect()
    }

    /// The same knowledge without these rows: what refers to them is as if they had no record.
    pub fn without(&self, rows: &BTreeSet<(i32, String)>) -> Self {
        let names = self.names.iter().filter(|((parent, _, key), _)| !rows.contains(&(*parent, key.clone())));
        Self {
            names: names.map(|(place, name)| (place.clone(), name.clone())).collect(),
            rows: self.rows.clone(),
        }
    }
}

impl Reference {
    /// What the field holds for a column that holds `key`: the record's name, or a stand-in that equals no value and
    /// is never sent, when the row has no record yet.
    pub(super) fn encode(&self, key: &Value, references: &References) -> Value {
        if key.is_null() {
            return Value::Null;
        }
        let key = plain_text(key);
        match references.names.get(&(self.parent, self.by, key.clone())) {
            Some(name) if self.numeric && self.by == ReferredBy::Id => number(name),
            Some(name) => Value::from(name.as_str()),
            None => {
                let mut stand_in = Map::new();
                stand_in.insert(ROW.to_owned(), Value::from(key));
                Value::Object(stand_in)
            }
        }
    }

    /// The key of the row whose record the field names; null where it names none.
    ///
    /// # Errors
    /// The record's name, when it has no row yet.
    pub(super) fn decode(&self, name: &Value, references: &References) -> Result<Value, String> {
        if names_nothing(name) {
            return Ok(Value::Null);
        }
        let name = plain_text(name);
        match references.rows.get(&(self.parent, self.by, name.clone())) {
            Some(key) => Ok(Value::from(key.as_str())),
            None => Err(name),
        }
    }

    pub(super) fn wants_key(&self, key: &Value, wanted: &mut Wanted) {
        if !key.is_null() {
            wanted.keys.entry((self.parent, self.by)).or_default().insert(plain_text(key));
        }
    }

    pub(super) fn wants_name(&self, name: &Value, wanted: &mut Wanted) {
        if !names_nothing(name) {
            wanted.names.entry((self.parent, self.by)).or_default().insert(plain_text(name));
        }
    }
}

/// The key of the row that a stand-in stands for.
pub fn stands_in_for(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get(ROW)?.as_str()
}

/// Systems write "refers to nothing" in many ways.
fn names_nothing(name: &Value) -> bool {
    match name {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Number(number) => number.to_string() == "0",
        _ => false,
    }
}

fn number(text: &str) -> Value {
    match serde_json::from_str::<Value>(text) {
        Ok(number @ Value::Number(_)) => number,
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(by: ReferredBy, numeric: bool) -> Reference {
        Reference { table: "sales.customer".to_owned(), by, numeric, parent: 3 }
    }

    #[test]
    fn a_reference_goes_there_and_back() {
        let mut known = References::default();
        known.add(3, ReferredBy::Id, "7".to_owned(), "501".to_owned());
        let by_id = reference(ReferredBy::Id, true);
        assert_eq!(by_id.encode(&json!(7), &known), json!(501));
        assert_eq!(by_id.decode(&json!(501), &known), Ok(json!("7")));
        assert_eq!(by_id.decode(&json!(false), &known), Ok(Value::Null));
        assert_eq!(by_id.decode(&json!(502), &known), Err("502".to_owned()));
        assert_eq!(reference(ReferredBy::Id, false).encode(&json!("7"), &known), json!("501"));
    }

    #[test]
    fn a_row_without_a_record_gets_a_stand_in_that_is_known_as_one() {
        let stand_in = reference(ReferredBy::Reference, false).encode(&json!(7), &References::default());
        assert_eq!(stands_in_for(&stand_in), Some("7"));
        assert_eq!(stands_in_for(&json!({"FNumber": "x"})), None);
    }
}
