//! Draft: a mirror table and the binding that fits it, from a remote's description of an object. A beginning for people to
//! shorten and to name as they like.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::connector::manifest::ColumnSpec;
use crate::connector::{Abilities, FieldInfo};
use crate::store::mirror::quote;

/// Words that Postgres keeps for itself: as a column's name they are quoted.
const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization binary both case cast check \
    collate collation column concurrently constraint create cross current_catalog current_date current_role \
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except \
    false fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull \
    join lateral leading left like limit localtime localtimestamp natural not notnull null offset on only or order \
    outer overlaps placing primary references returning right select session_user similar some symmetric \
    system_user table tablesample then to trailing true union unique user using variadic verbose when where window with ";

/// One field as a column.
#[derive(Debug, Clone, PartialEq)]
struct Column {
    name: String,
    spec: ColumnSpec,
    field: String,
    label: String,
    kind: String,
    required: bool,
    pull_only: bool,
}

/// A table and a binding that fit an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    schema: String,
    table: String,
    system: String,
    object: String,
    id_column: String,
    columns: Vec<Column>,
}

impl Draft {
    /// From a description. `columns` says which column a kind of field gets; others become `text`. `table` is the name
    /// with its schema, else one is made of the system's and the object's.
    pub fn new(
        system: &str,
        object: &str,
        table: Option<&str>,
        fields: &[FieldInfo],
        columns: &BTreeMap<String, ColumnSpec>,
        abilities: &Abilities,
    ) -> Self {
        let own = (snake(system), snake(object));
        let (schema, table) = match table.map(|table| table.split_once('.').unwrap_or(("public", table))) {
            Some((schema, table)) => (schema.to_owned(), table.to_owned()),
            None => own,
        };
        let id_column = format!("{}_id", snake(system));
        let mut taken = BTreeSet::from(["id".to_owned(), id_column.clone()]);
        let left_out = |field: &&FieldInfo| {
            // the id has a column of its own, and what is planted in a create is nobody's to edit
            abilities.id_field.as_deref() != Some(field.name.as_str())
                && abilities.attempt_field.as_deref() != Some(field.name.as_str())
        };
        let columns = fields
            .iter()
            .filter(left_out)
            .map(|field| {
                let spec = spec_of(&field.kind, columns);
                Column {
                    name: untaken(&snake(&field.name), &mut taken),
                    pull_only: spec.pull_only || !field.writable || abilities.read_only.contains(&field.name),
                    spec,
                    field: field.name.clone(),
                    label: field.label.clone(),
                    kind: field.kind.clone(),
                    required: field.required,
                }
            })
            .collect();
        Self { schema, table, system: system.to_owned(), object: object.to_owned(), id_column, columns }
    }

    fn name(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }

    /// The table's name with its schema, as the configuration has it.
    pub fn table_name(&self) -> String {
        format!("{}.{}", self.schema, self.table)
    }

    /// The statements that make the table, with a comment for each column.
    pub fn sql(&self) -> String {
        let table = self.name();
        let mut lines = vec![
            "  id bigint generated always as identity primary key".to_owned(),
            format!("  {} text unique", identifier(&self.id_column)),
        ];
        let column = |column: &Column| format!("  {} {}", identifier(&column.name), column.spec.type_name);
        lines.extend(self.columns.iter().map(column));
        let mut text = format!(
            "create schema if not exists {};\n\ncreate table {table} (\n{}\n);\n\n",
            identifier(&self.schema),
            lines.join(",\n")
        );
        let about = format!("{} of {}; bound by rowtwin", self.object, self.system);
        text += &format!("comment on table {table} is {};\n", literal(&about));
        let about = format!("The id of the record in {}; rowtwin writes it.", self.system);
        text +=
            &format!("comment on column {table}.{} is {};\n", identifier(&self.id_column), literal(&about));
        for column in &self.columns {
            let mut facts = vec![column.field.as_str(), column.kind.as_str()];
            facts.extend(column.required.then_some("required"));
            facts.extend(column.pull_only.then_some("read only"));
            facts.retain(|fact| !fact.is_empty());
            let about = format!("{} ({})", column.label, facts.join(", "));
            text +=
                &format!("comment on column {table}.{} is {};\n", identifier(&column.name), literal(&about));
        }
        text
    }

    /// The binding's part of `rowtwin.yaml`.
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "tables:\n  {}:\n    bindings:\n      - system: {}\n        object: {}\n        id_column: {}\n",
            scalar(&self.table_name()),
            scalar(&self.system),
            scalar(&self.object),
            scalar(&self.id_column)
        );
        text += "        # by which fields are rows and records that exist already recognised as twins?\n";
        text += "        # match: [a field that is unique in the remote, and that you may write]\n        fields:\n";
        for column in &self.columns {
            let mut parts = vec![format!("field: {}", scalar(&column.field))];
            // JSON is YAML too
            parts.extend(
                column
                    .spec
                    .codec
                    .as_ref()
                    .map(|codec| format!("codec: {}", serde_json::to_value(codec).unwrap_or(Value::Null))),
            );
            parts.extend(column.pull_only.then(|| "direction: pull".to_owned()));
            let value = match parts.as_slice() {
                [_] => scalar(&column.field),
                _ => format!("{{{}}}", parts.join(", ")),
            };
            text += &format!("          {}: {value}\n", scalar(&column.name));
        }
        text
    }
}

/// The column of a kind: by its whole word, else by the first one of it (`reference to BD_Currency`).
fn spec_of(kind: &str, columns: &BTreeMap<String, ColumnSpec>) -> ColumnSpec {
    let first = kind.split(' ').next().unwrap_or(kind);
    columns.get(kind).or_else(|| columns.get(first)).cloned().unwrap_or_default()
}

/// A remote's name in the manner of Postgres: `FTaxPrice` is `tax_price`, `field_credit__c` is `credit`.
fn snake(name: &str) -> String {
    let name = name.split('.').next().unwrap_or(name);
    let custom = name.strip_suffix("__c").map(|name| name.strip_prefix("field_").unwrap_or(name));
    let name = custom.unwrap_or(name);
    // Kingdee's fields begin with F
    let bare = name
        .strip_prefix('F')
        .filter(|rest| rest.starts_with(|char: char| char.is_uppercase() || char == '_'));
    let mut snake = String::new();
    let mut lower = false;
    for char in bare.unwrap_or(name).chars() {
        if char.is_alphanumeric() {
            if char.is_uppercase() && lower {
                snake.push('_');
            }
            lower = char.is_lowercase() || char.is_numeric();
            snake.extend(char.to_lowercase());
        } else {
            lower = false;
            if !snake.is_empty() && !snake.ends_with('_') {
                snake.push('_');
            }
        }
    }
    let snake = snake.trim_end_matches('_');
    match snake.chars().next() {
        None => "field".to_owned(),
        Some(first) if first.is_numeric() => format!("n{snake}"),
        // a name in Postgres has at most 63 bytes
        Some(_) => snake
            .chars()
            .scan(0, |bytes, char| {
                *bytes += char.len_utf8();
                (*bytes <= 60).then_some(char)
            })
            .collect(),
    }
}

fn untaken(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}_{number}");
        number += 1;
    }
    free
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_lowercase() || char == '_')
        && name.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
}

fn identifier(name: &str) -> String {
    if is_plain(name) && !RESERVED.contains(&format!(" {name} ")) { name.to_owned() } else { quote(name) }
}

fn literal(text: &str) -> String {
    let text: String = text.chars().filter(|char| !char.is_control()).collect();
    let quoted = text.replace('\'', "''");
    // a backslash would mean something if the server was set so
    if quoted.contains('\\') { format!("e'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A YAML scalar that is a text in any case.
fn scalar(text: &str) -> String {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|char: char| char.is_ascii_alphabetic())
        && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.'))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_those_of_postgres() {
        for (remote, name) in [
            ("FTaxPrice", "tax_price"),
            ("FTRADINGCURRID.FNumber", "tradingcurrid"),
            ("F_RT_Credit", "rt_credit"),
            ("field_credit__c", "credit"),
            ("AccountObj", "account_obj"),
            ("party.party", "party"),
            ("2nd", "n2nd"),
            ("客户", "客户"),
            ("__", "field"),
            ("From", "from"),
        ] {
            assert_eq!(snake(remote), name, "{remote}");
        }
        let mut taken = BTreeSet::new();
        assert_eq!([(); 3].map(|()| untaken("a", &mut taken)), ["a", "a_2", "a_3"]);
    }

    #[test]
    fn what_is_special_is_quoted() {
        assert_eq!(identifier("order"), "\"order\"");
        assert_eq!(identifier("order_no"), "order_no");
        assert_eq!(identifier("客户"), "\"客户\"");
        assert_eq!(literal("it's \\ \n"), "e'it''s \\\\ '");
        assert_eq!(scalar("no"), "\"no\"");
        assert_eq!(scalar("BD_Customer"), "BD_Customer");
        assert_eq!(scalar("a: b"), "\"a: b\"");
    }
}
