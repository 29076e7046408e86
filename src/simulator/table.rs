//! The records of one object, kept so that keyset pages and incremental polls touch only what they return.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
};

use crate::model::record::Record;

/// A record's place in the order of ids: numeric ids by value, text ids by their bytes.
pub(super) type Key = (u64, String);

/// One record, with the moment of its last change in epoch milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) stamp: i64,
    pub(super) fields: Record,
    /// What the record refers to, in the words of its system; see [`Table::referring`].
    pub(super) refers: Vec<String>,
}

/// The records of one object, by id, by last change, by name (a name need not be unique) and by what they refer to.
#[derive(Debug, Clone)]
pub(super) struct Table {
    numeric_ids: bool,
    name_fields: &'static [&'static str],
    rows: BTreeMap<Key, Row>,
    by_stamp: BTreeSet<(i64, Key)>,
    by_name: HashMap<String, BTreeSet<Key>>,
    by_reference: HashMap<String, BTreeSet<Key>>,
}

/// In which order a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By id.
    Id,
    /// By last change, then by id.
    Stamp,
}

/// Which part of a table a walk visits, and how. Rows outside the bounds are never touched.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    pub(super) order: Order,
    pub(super) descending: bool,
    pub(super) ids: (Bound<Key>, Bound<Key>),
    pub(super) stamps: (Bound<i64>, Bound<i64>),
    /// Only these ids; the other bounds are then left to the filter.
    pub(super) only: Option<Vec<String>>,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            order: Order::Id,
            descending: false,
            ids: (Bound::Unbounded, Bound::Unbounded),
            stamps: (Bound::Unbounded, Bound::Unbounded),
            only: None,
        }
    }
}

impl Table {
    /// An empty table; the first of `name_fields` that a record has is its name.
    pub(super) fn new(numeric_ids: bool, name_fields: &'static [&'static str]) -> Table {
        Table {
            numeric_ids,
            name_fields,
            rows: BTreeMap::new(),
            by_stamp: BTreeSet::new(),
            by_name: HashMap::new(),
            by_reference: HashMap::new(),
        }
    }

    /// The place of an id in the order; an id that is no number sorts before all numbers.
    pub(super) fn key(&self, id: &str) -> Key {
        // a global id ends in its number
        let number = id.rsplit('/').next().unwrap_or(id);
        match self.numeric_ids.then(|| number.parse().ok()).flatten() {
            Some(number) => (number, String::new()),
            None => (0, id.to_owned()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Row> {
        self.rows.get(&self.key(id))
    }

    /// The first record of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Row> {
        self.by_name.get(name).and_then(|keys| keys.first()).and_then(|key| self.rows.get(key))
    }

    /// The records that refer to this, in the order of their ids.
    pub(super) fn referring<'a>(&'a self, reference: &str) -> impl Iterator<Item = &'a Row> + use<'a> {
        let keys = self.by_reference.get(reference).into_iter().flatten();
        keys.filter_map(|key| self.rows.get(key))
    }

    /// Puts a record in, in place of the one with the same id.
    pub(super) fn put(&mut self, row: Row) {
        let key = self.key(&row.id);
        self.forget(&key);
        self.by_stamp.insert((row.stamp, key.clone()));
        if let Some(name) = self.name_of(&row.fields) {
            self.by_name.entry(name).or_default().insert(key.clone());
        }
        for reference in &row.refers {
            self.by_reference.entry(reference.clone()).or_default().insert(key.clone());
        }
        self.rows.insert(key, row);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Row> {
        let key = self.key(id);
        self.forget(&key)
    }

    fn forget(&mut self, key: &Key) -> Option<Row> {
        let old = self.rows.remove(key)?;
        self.by_stamp.remove(&(old.stamp, key.clone()));
        if let Some(name) = self.name_of(&old.fields) {
            forget_in(&mut self.by_name, &name, key);
        }
        for reference in &old.refers {
            forget_in(&mut self.by_reference, reference, key);
        }
        Some(old)
    }

    fn name_of(&self, fields: &Record) -> Option<String> {
        self.name_fields.iter().find_map(|field| fields.get(*field)).and_then(|value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// The records in the order of their ids.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The records of a part of the table, in the walk's order.
    pub(super) fn walk<'a>(&'a self, walk: &Walk) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
        if let Some(only) = &walk.only {
            let mut found: Vec<&Row> = {
                let keys: BTreeSet<Key> = only.iter().map(|id| self.key(id)).collect();
                keys.iter().filter_map(|key| self.rows.get(key)).collect()
            };
            if walk.order == Order::Stamp {
                found.sort_by_key(|row| row.stamp);
            }
            if walk.descending {
                found.reverse();
            }
            return Box::new(found.into_iter());
        }
        match walk.order {
            Order::Id => {
                let bounds = walk.ids.clone();
                if empty(&bounds) {
                    return Box::new(std::iter::empty());
                }
                directed(self.rows.range(bounds).map(|(_, row)| row), walk.descending)
            }
            Order::Stamp => {
                let first = |stamp: i64| (stamp, (0, String::new()));
                let low = match walk.stamps.0 {
                    Bound::Included(stamp) => Bound::Included(first(stamp)),
                    Bound::Excluded(stamp) => Bound::Included(first(stamp.saturating_add(1))),
                    Bound::Unbounded => Bound::Unbounded,
                };
                let high = match walk.stamps.1 {
                    Bound::Included(stamp) => Bound::Excluded(first(stamp.saturating_add(1))),
                    Bound::Excluded(stamp) => Bound::Excluded(first(stamp)),
                    Bound::Unbounded => Bound::Unbounded,
                };
                let bounds = (low, high);
                if empty(&bounds) {
                    return Box::new(std::iter::empty());
                }
                let rows = self.by_stamp.range(bounds).filter_map(|(_, key)| self.rows.get(key));
                directed(rows, walk.descending)
            }
        }
    }
}

/// Takes a key out of an index, and leaves no empty set behind.
fn forget_in(index: &mut HashMap<String, BTreeSet<Key>>, name: &str, key: &Key) {
    if let Some(keys) = index.get_mut(name) {
        keys.remove(key);
        if keys.is_empty() {
            index.remove(name);
        }
    }
}

/// Whether no value lies between the bounds; the standard library panics where they cross.
fn empty<T: Ord>(bounds: &(Bound<T>, Bound<T>)) -> bool {
    match bounds {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high))
        | (Bound::Excluded(low), Bound::Included(high)) => low >= high,
        _ => false,
    }
}

fn directed<'a>(
    rows: impl DoubleEndedIterator<Item = &'a Row> + 'a,
    descending: bool,
) -> Box<dyn Iterator<Item = &'a Row> + 'a> {
    if descending { Box::new(rows.rev()) } else { Box::new(rows) }
}

/// Narrows a pair of bounds from below.
pub(super) fn raise<T: Ord>(bounds: &mut (Bound<T>, Bound<T>), low: Bound<T>) {
    let higher = match (&bounds.0, &low) {
        (Bound::Unbounded, _) => true,
        (_, Bound::Unbounded) => false,
        (Bound::Included(old), Bound::Included(new)) | (Bound::Excluded(old), Bound::Excluded(new)) => {
            new > old
        }
        (Bound::Included(old), Bound::Excluded(new)) => new >= old,
        (Bound::Excluded(old), Bound::Included(new)) => new > old,
    };
    if higher {
        bounds.0 = low;
    }
}

/// Narrows a pair of bounds from above.
pub(super) fn lower<T: Ord>(bounds: &mut (Bound<T>, Bound<T>), high: Bound<T>) {
    let narrower = match (&bounds.1, &high) {
        (Bound::Unbounded, _) => true,
        (_, Bound::Unbounded) => false,
        (Bound::Included(old), Bound::Included(new)) | (Bound::Excluded(old), Bound::Excluded(new)) => {
            new < old
        }
        (Bound::Included(old), Bound::Excluded(new)) => new <= old,
        (Bound::Excluded(old), Bound::Included(new)) => new < old,
    };
    if narrower {
        bounds.1 = high;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn table() -> Table {
        let mut table = Table::new(true, &["name"]);
        for (id, stamp) in [(9, 30), (10, 10), (100, 20)] {
            let fields = json!({"name": format!("n{id}")}).as_object().unwrap().clone();
            table.put(Row { id: id.to_string(), stamp, fields, refers: vec![format!("of={}", id % 10)] });
        }
        table
    }

    fn ids(table: &Table, walk: Walk) -> Vec<String> {
        table.walk(&walk).map(|row| row.id.clone()).collect()
    }

    #[test]
    fn numeric_ids_are_walked_by_value_and_stamps_by_time() {
        let table = table();
        assert_eq!(ids(&table, Walk::default()), ["9", "10", "100"]);
        let mut later = Walk { order: Order::Stamp, ..Walk::default() };
        raise(&mut later.stamps, Bound::Excluded(10));
        assert_eq!(ids(&table, later), ["100", "9"]);
        let mut after = Walk { descending: true, ..Walk::default() };
        raise(&mut after.ids, Bound::Excluded(table.key("9")));
        assert_eq!(ids(&table, after), ["100", "10"]);
    }

    #[test]
    fn bounds_that_cross_are_an_empty_walk_and_no_panic() {
        let table = table();
        let mut walk = Walk::default();
        raise(&mut walk.ids, Bound::Excluded(table.key("10")));
        lower(&mut walk.ids, Bound::Excluded(table.key("10")));
        assert!(ids(&table, walk).is_empty());
    }

    #[test]
    fn a_replaced_record_is_found_by_its_new_name_only() {
        let mut table = table();
        let fields = json!({"name": "new"}).as_object().unwrap().clone();
        assert_eq!(table.referring("of=9").count(), 1);
        table.put(Row { id: "9".to_owned(), stamp: 40, fields, refers: vec!["of=0".to_owned()] });
        assert!(table.named("n9").is_none());
        assert_eq!(table.referring("of=9").count(), 0);
        assert_eq!(
            table.referring("of=0").map(|row| row.id.as_str()).collect::<Vec<_>>(),
            ["9", "10", "100"]
        );
        assert_eq!(table.named("new").unwrap().id, "9");
        assert_eq!(table.len(), 3);
        table.remove("9");
        assert!(table.named("new").is_none());
    }
}
