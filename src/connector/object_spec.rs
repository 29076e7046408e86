//! What a manifest says of one object: its identity and stamps, its lifecycle, its lines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::connector::manifest::{Jq, OperationName, OperationSpec, RuleSpec};

/// An object. Its expressions see `.record`, `.object` and `.settings`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectSpec {
    /// The record's identity.
    #[serde(default)]
    pub id: Option<Jq>,
    #[serde(default)]
    pub version: Option<Jq>,
    /// When the record was last modified: milliseconds since 1970.
    #[serde(default)]
    pub modified: Option<Jq>,
    /// The name by which other records refer to this one, where that is not the id.
    #[serde(default)]
    pub reference: Option<Jq>,
    /// The field that holds the reference, by which a record can be found (input: `.settings .object`).
    #[serde(default)]
    pub reference_field: Option<Jq>,
    /// Fields that name another record by its id hold a number.
    #[serde(default)]
    pub numeric_ids: Option<bool>,
    /// Whether the record counts as deleted.
    #[serde(default)]
    pub deleted: Option<Jq>,
    /// An empty text is stored as nothing.
    #[serde(default)]
    pub blank_is_null: Option<bool>,
    /// The remote refuses a write that is based on an older version.
    #[serde(default)]
    pub checks_version: Option<bool>,
    /// A create that is sent twice makes one record.
    #[serde(default)]
    pub idempotent_create: Option<bool>,
    /// With `idempotent_create`: seconds for which the remote remembers a create; for ever when left out.
    #[serde(default)]
    pub idempotent_for: Option<u64>,
    /// The field in which a create's attempt id is planted (input: `.settings .object`); null where there is none.
    #[serde(default)]
    pub attempt_field: Option<Jq>,
    /// Seconds by which a list reaches back before its cursor.
    #[serde(default)]
    pub overlap: Option<u64>,
    /// Fields that are never sent.
    #[serde(default)]
    pub read_only: Option<Vec<String>>,
    /// Seen by expressions as `.object.NAME`.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// Operations that this object does not have.
    #[serde(default)]
    pub without: Vec<OperationName>,
    /// Requests of its own.
    #[serde(default)]
    pub operations: BTreeMap<OperationName, OperationSpec>,
    /// Where its records stand, and the steps from there.
    #[serde(default)]
    pub lifecycle: Option<LifecycleSpec>,
    /// The collections of lines that its records hold, by name; `*` stands for all that are not named.
    #[serde(default)]
    pub lines: BTreeMap<String, LinesSpec>,
}

/// A lifecycle: the stages of a record, and the steps between them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleSpec {
    /// Where the record stands: begins with the field that tells, which is always read (`.record.FIELD …`).
    pub state: Jq,
    /// The stages in which a record can be changed or deleted.
    pub editable: Vec<String>,
    /// Where a record stands that was just created; read when left out.
    #[serde(default)]
    pub created: Option<String>,
    /// The steps by name.
    pub steps: BTreeMap<String, LifecycleStepSpec>,
    /// Names for the configuration, each with the stages that it stands for.
    #[serde(default)]
    pub targets: BTreeMap<String, Vec<String>>,
}

/// A step of a lifecycle: a request for a batch of records. Inputs are those of a write, and `.step`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleStepSpec {
    /// The stages in which it is possible.
    pub from: Vec<String>,
    /// The stage to which it leads.
    pub to: String,
    /// Records in one call; 1 when left out.
    #[serde(default)]
    pub batch: Option<usize>,
    #[serde(default)]
    pub method: Option<String>,
    #[serde(default)]
    pub path: Option<Jq>,
    #[serde(default)]
    pub query: Option<Jq>,
    #[serde(default)]
    pub headers: Option<Jq>,
    #[serde(default)]
    pub body: Option<Jq>,
    #[serde(default)]
    pub form: Option<Jq>,
    #[serde(default)]
    pub text: Option<Jq>,
    /// One result per item, as of a write.
    #[serde(default)]
    pub results: Option<Jq>,
    #[serde(default)]
    pub answers: Vec<RuleSpec>,
}

/// How the lines of a collection are read and written: one of `object`, `nested` and `read`.
///
/// `.items[].lines` names the collections of an item. A create sees them as `.items[].fields[COLLECTION]`, an array of the lines' fields. An update sees
/// `.items[].changes[COLLECTION]`: `{added: [fields], changed: [{id, fields}], removed: [id], all: [{id, fields}]}`, unless
/// the lines are an object of their own.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesSpec {
    /// Lines are records of this object: found, changed and deleted by its own requests; a create sends them along.
    #[serde(default)]
    pub object: Option<String>,
    /// With `object`: the field of a line that holds its document's id.
    #[serde(default)]
    pub parent: Option<String>,
    /// With `object`: a change of a line does not move the document's own stamp, so polls list the lines too.
    #[serde(default)]
    pub watch: bool,
    /// Lines are in the record: an array of `{id, fields}` (input: `.record .lines`, where `.lines` is `{name, fields}`).
    #[serde(default)]
    pub nested: Option<Jq>,
    /// Lines are read by a request of their own, for several documents at once. Inputs as of a read, and `.lines`; the
    /// records are `{parent, id, fields}`.
    #[serde(default)]
    pub read: Option<OperationSpec>,
    /// With `read`: lines in one page, seen as `.limit`; 1000 when left out. (`batch` counts documents.)
    #[serde(default)]
    pub page: Option<usize>,
}
