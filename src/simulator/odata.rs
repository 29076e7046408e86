//! The queries of OData, versions 2 and 4, over records: `$filter`, `$orderby`, `$select`, `$top`, `$skip`, `$count`,
//! the keys in paths, and the requests of a `$batch`. What a name means is the system's own matter.

mod batch;
mod condition;
mod literal;

use std::cmp::Ordering;

use serde_json::Value;

use super::value::compare;
use crate::model::record::Record;
pub(super) use batch::{Part, parts};
use condition::Condition;
pub(super) use literal::{Literal, is_guid, moment_of};

/// Which version's words are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// `datetime'…'`, `guid'…'`, `substringof`, `$inlinecount=allpages`.
    V2,
    /// Bare moments and GUIDs, `contains`, `in`, `$count=true`.
    V4,
}

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It cannot be read; what was found.
    Syntax(String),
    /// An option that the version does not have.
    Option(String),
}

/// The system options of a query.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    filter: Option<Condition>,
    /// Field, descending.
    orders: Vec<(String, bool)>,
    /// The fields to show; all where it is empty.
    pub(super) select: Vec<String>,
    /// `$expand` as it is written.
    pub(super) expand: Option<String>,
    pub(super) top: Option<usize>,
    pub(super) skip: usize,
    /// Whether the number of all records is asked for.
    pub(super) count: bool,
    /// `$skiptoken` as it is written.
    pub(super) skip_token: Option<String>,
    /// Texts are the same in any case; the system's own matter, not the query's.
    pub(super) folded: bool,
}

impl Query {
    /// Reads the options of a query; what does not begin with `$` is passed over.
    pub(super) fn read(version: Version, pairs: &[(String, String)]) -> Result<Query, Wrong> {
        let mut query = Query::default();
        let number = |name: &str, text: &str| {
            text.trim().parse::<usize>().map_err(|_| Wrong::Syntax(format!("{name} is no number: {text}")))
        };
        for (name, value) in pairs.iter().filter(|(name, _)| name.starts_with('$')) {
            let parts = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
            match (name.as_str(), version) {
                ("$filter", _) => query.filter = Some(condition::parse(version, value)?),
                ("$orderby", _) => {
                    query.orders = parts().map(order_of).collect::<Result<_, _>>()?;
                }
                ("$select", _) => query.select = parts().map(str::to_owned).collect(),
                ("$expand", _) => query.expand = Some(value.clone()),
                ("$top", _) => query.top = Some(number(name, value)?),
                ("$skip", _) => query.skip = number(name, value)?,
                ("$skiptoken", _) => query.skip_token = Some(value.clone()),
                ("$count", Version::V4) => query.count = value == "true",
                ("$inlinecount", Version::V2) => query.count = value == "allpages",
                ("$format", _) => {}
                _ => return Err(Wrong::Option(name.clone())),
            }
        }
        Ok(query)
    }

    /// Every name that the filter, the order and the selection speak of, so that the system can refuse what it does not know.
    pub(super) fn names(&self) -> Vec<&str> {
        let filtered = self.filter.as_ref().map(Condition::names).unwrap_or_default();
        let ordered = self.orders.iter().map(|(name, _)| name.as_str());
        filtered.into_iter().chain(ordered).chain(self.select.iter().map(String::as_str)).collect()
    }

    /// Whether there is a filter.
    pub(super) fn filters(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether there is an order.
    pub(super) fn orders(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Whether a record is meant.
    pub(super) fn takes(&self, record: &Record) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(record, self.folded))
    }

    /// Which of two records comes first. What has no value comes first.
    pub(super) fn order(&self, left: &Record, right: &Record) -> Ordering {
        for (name, descending) in &self.orders {
            let value = |record: &Record| record.get(name).cloned().filter(|value| !value.is_null());
            let order = match (value(left), value(right)) {
                (Some(left), Some(right)) => ordered(&left, &right),
                (left, right) => left.is_some().cmp(&right.is_some()),
            };
            let order = if *descending { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }

    /// The records that are meant, in the order that is asked for (else as they come), before `$skip` and `$top`.
    pub(super) fn all(&self, records: impl IntoIterator<Item = Record>) -> Vec<Record> {
        let mut found: Vec<Record> = records.into_iter().filter(|record| self.takes(record)).collect();
        found.sort_by(|left, right| self.order(left, right));
        found
    }

    /// A record with the fields that are asked for, in that order, and those that always come.
    pub(super) fn shown(&self, record: &Record, always: &[&str]) -> Record {
        if self.select.is_empty() {
            return record.clone();
        }
        let mut shown = Record::new();
        for name in always.iter().copied().chain(self.select.iter().map(String::as_str)) {
            if let Some(value) = record.get(name) {
                shown.insert(name.to_owned(), value.clone());
            }
        }
        shown
    }
}

fn order_of(text: &str) -> Result<(String, bool), Wrong> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(name), None | Some("asc"), None) => Ok((name.to_owned(), false)),
        (Some(name), Some("desc"), None) => Ok((name.to_owned(), true)),
        _ => Err(Wrong::Syntax(format!("{text} is no order"))),
    }
}

/// Two values of one field: moments by time, numbers by value, texts by their characters.
fn ordered(left: &Value, right: &Value) -> Ordering {
    let moment = |value: &Value| value.as_str().filter(|text| text.len() >= 10).and_then(moment_of);
    match (moment(left), moment(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => compare(left, right, false).unwrap_or(Ordering::Equal),
    }
}

/// The key of one record: its parts, which have names where there are several.
pub(super) type Key = Vec<(Option<String>, Literal)>;

/// A segment of a path: its name and its key, whose parts have names where there are several (`X(A='1',B=2)`). `None`
/// where it is none.
pub(super) fn segment(version: Version, text: &str) -> Option<(String, Key)> {
    let Some((name, rest)) = text.split_once('(') else { return Some((text.to_owned(), Vec::new())) };
    let inner = rest.strip_suffix(')')?;
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for char in inner.chars() {
        quoted ^= char == '\'';
        if char == ',' && !quoted {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(char);
        }
    }
    parts.push(part);
    let mut key = Vec::new();
    for part in parts {
        // An equals sign within quotes belongs to the value.
        let named = part.split_once('=').filter(|(name, _)| !name.contains('\''));
        let (name, value) = named.map_or((None, part.as_str()), |(name, value)| (Some(name), value));
        let literal = match value.split_once('\'') {
            Some((prefix, rest)) => {
                let text = rest.strip_suffix('\'')?.replace("''", "'");
                Literal::of_quoted(version, prefix, text).ok()?
            }
            None => Literal::of_word(version, value)?,
        };
        key.push((name.map(|name| name.trim().to_owned()), literal));
    }
    Some((name.to_owned(), key))
}

#[cfg(test)]
mod tests;
