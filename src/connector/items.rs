//! What a client is handed, and what it hands out: records to write, pages, fields.

use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use crate::model::record::{Record, RemoteRecord};

/// A record to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// The attempt's id, committed before the call; planted in the object's `attempt_field` where there is one.
    pub attempt: Uuid,
    pub fields: Record,
}

/// A record to be changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub id: String,
    /// The version that the change is based on, where it is known.
    pub version: Option<String>,
    /// The changed fields; null clears one.
    pub changes: Record,
    /// The record as both sides last knew it, for APIs that want more than what changed.
    pub shadow: Record,
}

/// A record to be deleted or deactivated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    pub id: String,
    pub version: Option<String>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub records: Vec<RemoteRecord>,
    /// What to pass as `page` for the next page; `None` after the last.
    pub next: Option<Value>,
    /// How long the remote still works on the next page: asking earlier is in vain.
    pub after: Option<Duration>,
    /// The remote's clock when it answered (the `Date` header), milliseconds since 1970.
    pub remote_clock_ms: Option<i64>,
    /// Records that the manifest could not understand, and why.
    pub unreadable: Vec<(String, Value)>,
}

/// A field of an object, as the remote describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    pub name: String,
    pub label: String,
    /// The remote's own word for the type.
    pub kind: String,
    pub required: bool,
    pub writable: bool,
    /// The collection whose lines hold it; none for a field of the record itself.
    pub collection: Option<String>,
    /// For a field that is a collection: the object that its lines are records of.
    pub lines_of: Option<String>,
}

impl FieldInfo {
    /// Whether a mapped field is this one or a part of it: a reference is described as `FSALEORGID.FNumber`.
    pub fn is_of(&self, field: &str) -> bool {
        same_field(&self.name, field)
    }
}

/// Whether two names are of one field, or of parts of it.
pub fn same_field(one: &str, other: &str) -> bool {
    let whole = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    whole(one) == whole(other)
}
