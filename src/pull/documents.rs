//! Documents on their way in: the lines that a record gives, written to their tables with the header.

use std::collections::{BTreeSet, HashMap};

use deadpool_postgres::Transaction;
use serde_json::{Map, Value};

use crate::bound::Bound;
use crate::mapping::lines::MappedLines;
use crate::mapping::reference::References;
use crate::mapping::{DecodeError, Row};
use crate::model::document::{Line, MergedLines, lines_of, lines_value};
use crate::model::key::decode_key;
use crate::model::merge::Stamps;
use crate::model::record::{Record, RemoteRecord};
use crate::store::StoreError;
use crate::store::lines::{Child, lines_of_row};
use crate::store::link::LinkUpdate;
use crate::store::mirror::{delete_rows, insert_rows, update_rows};

/// What one document's lines become.
pub(super) struct LineWork {
    /// The header's key.
    pub key: String,
    pub lines: Vec<MergedLines>,
}

/// The lines of a document that is to be made from a record.
pub(super) fn new_lines(bound: &Bound, record: &RemoteRecord) -> Vec<MergedLines> {
    bound.mapping.merge_lines(&Record::new(), &record.fields, None, None, Stamps::default())
}

/// The shadow of a record that is to become a row, and its lines.
pub(super) fn new_document(bound: &Bound, record: &RemoteRecord) -> (Record, Vec<MergedLines>) {
    let mut shadow = bound.mapping.shadow_of(&record.fields);
    let lines = new_lines(bound, record);
    bound.mapping.set_lines(&mut shadow, &lines);
    (shadow, lines)
}

/// Whether every line can become a row, before anything is written.
///
/// # Errors
/// A field that cannot be converted.
pub(super) fn check_lines(
    bound: &Bound,
    merged: &[MergedLines],
    references: &References,
) -> Result<(), DecodeError> {
    for (lines, merged) in bound.mapping.lines.iter().zip(merged) {
        for (place, fields) in &merged.inserts {
            lines.new_row(
                fields,
                merged.shadow.get(*place).and_then(|line| line.id.as_deref()),
                references,
            )?;
        }
        for (key, fields, take) in &merged.updates {
            lines.taken(key, fields, take, references)?;
        }
    }
    Ok(())
}

/// What the journal tells of merged lines: added, changed, removed.
pub(super) fn told(bound: &Bound, merged: &[MergedLines]) -> Record {
    let mut told = Record::new();
    for (lines, merged) in bound.mapping.lines.iter().zip(merged) {
        if merged.inserts.is_empty() && merged.updates.is_empty() && merged.deletes.is_empty() {
            continue;
        }
        let added: Vec<Line> =
            merged.inserts.iter().filter_map(|(place, _)| merged.shadow.get(*place).cloned()).collect();
        let changed: Vec<Line> = merged
            .updates
            .iter()
            .map(|(key, fields, take)| Line {
                id: None,
                key: Some(key.clone()),
                fields: crate::model::diff::project(fields, take.iter().map(String::as_str)),
            })
            .collect();
        let mut of_lines = Map::new();
        of_lines.insert("added".to_owned(), lines_value(&added));
        of_lines.insert("changed".to_owned(), lines_value(&changed));
        of_lines.insert("removed".to_owned(), Value::from(merged.deletes.clone()));
        told.insert(lines.collection.clone(), Value::Object(of_lines));
    }
    told
}

/// Writes the lines of documents and fills the keys of new lines in to the shadows; returns the documents touched.
///
/// # Errors
/// When a statement fails, or a value cannot be converted.
pub(super) async fn write_lines(
    transaction: &Transaction<'_>,
    bound: &Bound,
    work: &[LineWork],
    rows: &HashMap<String, Row>,
    links: &mut [LinkUpdate],
    references: &References,
) -> Result<BTreeSet<String>, StoreError> {
    let mut written = BTreeSet::new();
    for (number, (lines, child)) in bound.mapping.lines.iter().zip(&bound.table.children).enumerate() {
        let (mut deletes, mut updates) = (Vec::new(), Vec::new());
        let (mut inserts, mut places) = (Vec::new(), Vec::new());
        for one in work {
            let Some(merged) = one.lines.get(number) else { continue };
            let of_row =
                rows.get(&one.key).map(|row| lines_of_row(row, &lines.collection)).unwrap_or_default();
            deletes.extend(merged.deletes.iter().cloned());
            let changed = changes(lines, merged, &of_row, references)?;
            if !merged.deletes.is_empty() || !changed.is_empty() || !merged.inserts.is_empty() {
                written.insert(one.key.clone());
            }
            updates.extend(changed);
            let mut next = next_number(child, &of_row, &merged.shadow);
            for (place, fields) in &merged.inserts {
                let id = merged.shadow.get(*place).and_then(|line| line.id.as_deref());
                let mut row = lines.new_row(fields, id, references).map_err(unfit)?;
                let parent = decode_key(&one.key, child.parent.len()).unwrap_or_default();
                for (column, text) in child.parent.iter().zip(parent) {
                    row.insert(column.clone(), Value::from(text));
                }
                if let Some(column) = &child.number {
                    row.insert(column.clone(), Value::from(next));
                    next += 1;
                }
                inserts.push(row);
                places.push((one.key.clone(), *place));
            }
        }
        if !deletes.is_empty() {
            delete_rows(transaction, &child.table, &deletes).await?;
        }
        update_rows(transaction, &child.table, &child.columns, &updates).await?;
        let inserted = insert_rows(transaction, &child.table, &child.columns, &inserts).await?;
        let mut made: HashMap<String, Vec<(usize, String)>> = HashMap::new();
        for ((document, place), (key, _)) in places.into_iter().zip(inserted) {
            made.entry(document).or_default().push((place, key));
        }
        for link in links.iter_mut() {
            let Some(made) = made.get(&link.key) else { continue };
            let mut shadow = lines_of(&link.shadow, &lines.collection).unwrap_or_default();
            for (place, key) in made {
                if let Some(line) = shadow.get_mut(*place) {
                    line.key = Some(key.clone());
                }
            }
            link.shadow.insert(lines.collection.clone(), lines_value(&shadow));
        }
    }
    Ok(written)
}

/// The columns that lines which are there already get: the fields taken, and the ids.
fn changes(
    lines: &MappedLines,
    merged: &MergedLines,
    of_row: &[(String, Row)],
    references: &References,
) -> Result<Vec<(String, Row)>, StoreError> {
    let mut columns: HashMap<&str, Row> = HashMap::new();
    for (key, fields, take) in &merged.updates {
        let taken = lines.taken(key, fields, take, references).map_err(unfit)?;
        columns.entry(key).or_default().extend(taken);
    }
    if let Some(column) = &lines.id_column {
        let standing: HashMap<&str, &Row> = of_row.iter().map(|(key, row)| (key.as_str(), row)).collect();
        for (key, id) in &merged.ids {
            let Some(row) = standing.get(key.as_str()) else { continue };
            if row.get(column).and_then(Value::as_str) != Some(id) {
                columns.entry(key).or_default().insert(column.clone(), Value::from(id.as_str()));
            }
        }
    }
    Ok(columns
        .into_iter()
        .filter(|(_, row)| !row.is_empty())
        .map(|(key, row)| (key.to_owned(), row))
        .collect())
}

/// The number that the next new line gets, where lines are numbered. Where it is a part of the primary key, the number of
/// a line that was removed from the row, and not yet from the record, is not free: the new line would be taken for it.
fn next_number(child: &Child, of_row: &[(String, Row)], shadow: &[Line]) -> i64 {
    let Some(column) = &child.number else { return 1 };
    let standing = of_row.iter().filter_map(|(_, row)| row.get(column)?.as_i64());
    let place = child.table.key.iter().position(|part| part.name == *column);
    let known = shadow.iter().filter_map(|line| {
        let key = decode_key(line.key.as_deref()?, child.table.key.len())?;
        key.get(place?)?.parse().ok()
    });
    standing.chain(known).max().unwrap_or(0) + 1
}

/// Every line was checked before: only a reference that was lost since can still fail.
fn unfit(error: DecodeError) -> StoreError {
    StoreError::Table(match error {
        DecodeError::Field(error) => error.to_string(),
        DecodeError::Missing(missing) => format!("{} names a record without a row", missing.field),
    })
}
