//! The shape of `rowtwin.yaml`. These types are its JSON Schema too.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::http::HttpFile;
use crate::config::lines::LinesFile;
use crate::config::serve::ServeFile;
use crate::model::binding::{
    AgainstEdit, Approval, DeletePolicy, Direction, Leaving, OverwriteCheck, Prefer, ReferredBy,
};
use crate::model::merge::Policy;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowtwinFile {
    /// The mirror database; without it `ROWTWIN_DATABASE_URL` names it.
    #[serde(default)]
    pub database: DatabaseFile,
    /// The remote systems, by a name of your choice.
    pub systems: BTreeMap<String, SystemFile>,
    /// The tables of the mirror and what each is bound to, by their name with schema: `sales.customer`.
    #[serde(default)]
    pub tables: BTreeMap<String, TableFile>,
    /// What the process itself offers.
    #[serde(default)]
    pub serve: ServeFile,
}

/// The mirror database.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatabaseFile {
    /// `postgres://user@host:port/database?sslmode=require`, or `{env: NAME}`.
    #[serde(default)]
    pub url: Option<Setting>,
    /// The replication slot (default `rowtwin`).
    #[serde(default)]
    pub slot: Option<String>,
    /// The publication (default `rowtwin`).
    #[serde(default)]
    pub publication: Option<String>,
    /// How many days the journal is kept (default 30).
    #[serde(default)]
    pub journal_days: Option<u32>,
    /// How much WAL the slot may retain, and what happens beyond.
    #[serde(default)]
    pub slot_guard: SlotGuardFile,
    /// What happens when the slot is lost: `recover` makes a new one and compares every row, `hold` waits for a person
    /// (default `recover`).
    #[serde(default)]
    pub on_lost_slot: OnLostSlot,
    /// Keeps the slot on standbys too, so that it is there after a failover; needs Postgres 17 (default false).
    #[serde(default)]
    pub failover: bool,
}

/// How much WAL the slot may retain: sizes such as `500MB` or `10GB`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlotGuardFile {
    /// Beyond this it is logged and shown by health and metrics (default `1GB`).
    #[serde(default)]
    pub warn: Option<String>,
    /// Beyond this `on_budget` says what happens (default `10GB`).
    #[serde(default)]
    pub budget: Option<String>,
    /// What happens beyond the budget (default `warn`).
    #[serde(default)]
    pub on_budget: OnBudget,
}

/// What happens when the slot retains more than its budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBudget {
    /// People are warned.
    #[default]
    Warn,
    /// The slot is given up and made anew, and every row is compared with its shadow.
    Recreate,
}

/// What happens when the slot is lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLostSlot {
    /// A new slot is made, and every row is compared with its shadow.
    #[default]
    Recover,
    /// Capture waits for `rowtwin slot recreate`.
    Hold,
}

/// A remote account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemFile {
    /// The connector: a built-in name (`rowtwin connector list`) or the path of a manifest.
    pub connector: String,
    /// What the connector asks for; `rowtwin connector show NAME` lists it.
    #[serde(default)]
    pub settings: BTreeMap<String, Setting>,
    /// How it is reached: certificates of one's own.
    #[serde(default)]
    pub http: HttpFile,
    /// Limits that overrule the connector's own.
    #[serde(default)]
    pub limits: LimitsFile,
}

/// A value, or where to find it: `{env: NAME}` or `{file: PATH}`. Secrets must be found, not written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Setting {
    Env { env: String },
    File { file: String },
    Plain(Value),
}

impl<'de> Deserialize<'de> for Setting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let named = |name: &str| {
            value
                .as_object()
                .filter(|map| map.len() == 1)
                .and_then(|map| map.get(name))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        if let Some(env) = named("env") {
            return Ok(Self::Env { env });
        }
        if let Some(file) = named("file") {
            return Ok(Self::File { file });
        }
        Ok(Self::Plain(value))
    }
}

impl JsonSchema for Setting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Setting".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A value, or where to find it: {env: NAME} or {file: PATH}. Secrets must be found, not written.",
            "anyOf": [
                {"type": ["string", "number", "boolean"]},
                {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": false},
                {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false}
            ]
        })
    }
}

/// Limits of a system.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsFile {
    /// Calls per second, over all processes.
    #[serde(default)]
    pub per_second: Option<f64>,
    /// Calls at the same time, over all processes.
    #[serde(default)]
    pub in_flight: Option<u32>,
    /// Calls per day.
    #[serde(default)]
    pub per_day: Option<u64>,
    /// Share of the day's calls that backfills, polls and sweeps leave for people's edits (default `20%`).
    #[serde(default)]
    pub reserve: Option<String>,
    /// What one call costs, in a currency of your choice; `rowtwin.costs` and `rowtwin plan` add it up.
    #[serde(default)]
    pub price: Option<f64>,
}

/// A table of the mirror.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    /// The objects that this table is bound to.
    pub bindings: Vec<BindingFile>,
}

/// One table tied to one object of one system.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingFile {
    /// The system's name, from `systems`.
    pub system: String,
    /// The object's name in the system: `AccountObj`, `BD_Customer`, `party.party`.
    pub object: String,
    /// Column → field; they are sent in this order, which matters to some systems.
    pub fields: IndexMap<String, Field>,
    /// Which way the binding flows (default `both`).
    #[serde(default)]
    pub direction: Direction,
    /// Fields by which a row and a record that are not linked yet are recognised as twins.
    #[serde(default, rename = "match")]
    pub match_fields: Vec<String>,
    /// A text column that receives the remote id.
    #[serde(default)]
    pub id_column: Option<String>,
    /// Who wins where both sides changed a field (default `latest`).
    #[serde(default)]
    pub policy: Policy,
    /// Which side is right when a row and a record meet for the first time (default `record`).
    #[serde(default)]
    pub prefer: Prefer,
    /// What deletes do (default `delete` both ways).
    #[serde(default)]
    pub deletes: DeletesFile,
    /// Fields that are merged as one unit, by the group's name.
    #[serde(default)]
    pub groups: BTreeMap<String, Vec<String>>,
    /// How often remote changes are looked for (default `30s`).
    #[serde(default)]
    pub poll: Option<String>,
    /// How often all remote ids are compared to find deletes (default `1h`; `never` switches it off).
    #[serde(default)]
    pub sweep: Option<String>,
    /// How often rows, shadows and records are all compared (default `never`).
    #[serde(default)]
    pub verify: Option<String>,
    /// How long a row must be left alone before it is sent (default `0s`).
    #[serde(default)]
    pub settle_after: Option<String>,
    /// How long a create whose answer was lost may still turn up in the remote before it is sent again (default `60s`).
    #[serde(default)]
    pub doubt_window: Option<String>,
    /// What protects remote edits that were not pulled yet (default `read`).
    #[serde(default)]
    pub overwrite_check: OverwriteCheck,
    /// The lines of a document, by the name of the remote's collection: `FSaleOrderEntry`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<String, LinesFile>,
    /// How much may be deleted or changed within an hour before a person is asked.
    #[serde(default)]
    pub guard: GuardFile,
    /// When a field that two sides keep rewriting is frozen.
    #[serde(default)]
    pub brake: BrakeFile,
    /// An SQL predicate over the table's columns: only rows for which it is true are bound. `region = 'east'`
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// What becomes of the record when its row leaves the filter: `keep` or `delete` (default `keep`).
    #[serde(default)]
    pub leaving: Leaving,
    /// Where a saved record is to end up, and whether one is taken back for an edit.
    #[serde(default)]
    pub lifecycle: LifecycleFile,
}

/// How much may be deleted or changed within an hour, on either side, before a person is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardFile {
    /// A share of the linked rows (default `20%`), a number of rows, or `off`.
    #[serde(default)]
    #[schemars(schema_with = "allowance_schema")]
    pub deletes: Option<Value>,
    /// A share of the linked rows, a number of rows, or `off` (the default).
    #[serde(default)]
    #[schemars(schema_with = "allowance_schema")]
    pub changes: Option<Value>,
    /// So many are always allowed where the guard is a share (default 100).
    #[serde(default)]
    pub at_least: Option<u64>,
}

fn allowance_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": ["string", "integer", "boolean"]})
}

/// When a field is frozen that goes to the record and comes back again and again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BrakeFile {
    /// How often its direction may turn (default 6).
    #[serde(default)]
    pub turns: Option<u32>,
    /// Within which time (default `10m`).
    #[serde(default)]
    pub within: Option<String>,
}

/// What is asked of an object's lifecycle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LifecycleFile {
    /// One of the targets of the object's connector, as `submitted` or `audited` (default: it ends with the save).
    #[serde(default)]
    pub until: Option<String>,
    /// A record that cannot be changed where it stands is taken back first (default `false`: the edit is rejected).
    #[serde(default)]
    pub reopen: bool,
}

/// What deletes do.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeletesFile {
    /// A deleted row does this to its record (default `delete`).
    #[serde(default)]
    pub to_remote: DeletePolicy,
    /// A deleted record does this to its row: `delete` or `keep` (default `delete`).
    #[serde(default)]
    pub to_row: DeletePolicy,
    /// Whether a delete waits for a person's approval before it goes to the remote (default false).
    #[serde(default)]
    pub approve: bool,
    /// Who wins where one side was deleted and the other edited (default `edit`).
    #[serde(default)]
    pub against_edit: AgainstEdit,
}

/// A column's field: its name alone, or with how it is converted and checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[schemars(transform = name_alone)]
pub struct Field {
    /// The remote field's name.
    pub field: String,
    /// How the column's value is written in the field where the two differ in form.
    pub codec: Option<Codec>,
    /// jq from the row to the field's value; input is the row as JSON. With `pull`, instead of a codec.
    pub push: Option<String>,
    /// jq from the record to the column's value; input is the record as JSON.
    pub pull: Option<String>,
    /// Which way this field flows (default: as the binding).
    pub direction: Direction,
    /// Who wins for this field (default: as the binding).
    pub policy: Option<Policy>,
    /// A JSON Schema that the field's value must satisfy before it is sent.
    pub check: Option<Value>,
    /// Whether a change of this field waits for a person's approval: `true`, or `creates` for new records too.
    #[serde(skip_serializing_if = "Approval::is_never")]
    #[schemars(schema_with = "approval_schema")]
    pub approve: Approval,
    /// The column holds the primary key of a row of this table, and the field names that row's record in the same
    /// system. The table must be bound to that system too.
    pub refers_to: Option<String>,
    /// By what the field names the other record (default: as the connector says, mostly the id).
    pub refers_by: Option<ReferredBy>,
}

/// The long form of [`Field`].
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FieldLong {
    field: String,
    #[serde(default)]
    codec: Option<Codec>,
    #[serde(default)]
    push: Option<String>,
    #[serde(default)]
    pull: Option<String>,
    #[serde(default)]
    direction: Direction,
    #[serde(default)]
    policy: Option<Policy>,
    #[serde(default)]
    check: Option<Value>,
    #[serde(default)]
    #[schemars(schema_with = "approval_schema")]
    approve: Approval,
    #[serde(default)]
    refers_to: Option<String>,
    #[serde(default)]
    refers_by: Option<ReferredBy>,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(field) => Ok(Self { field, ..Self::default() }),
            other => {
                let long: FieldLong = serde_json::from_value(other).map_err(serde::de::Error::custom)?;
                let FieldLong {
                    field,
                    codec,
                    push,
                    pull,
                    direction,
                    policy,
                    check,
                    approve,
                    refers_to,
                    refers_by,
                } = long;
                Ok(Self { field, codec, push, pull, direction, policy, check, approve, refers_to, refers_by })
            }
        }
    }
}

impl Serialize for Approval {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_bool(false),
            Self::Updates => serializer.serialize_bool(true),
            Self::Creates => serializer.serialize_str("creates"),
        }
    }
}

impl<'de> Deserialize<'de> for Approval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(false) => Ok(Self::Never),
            Value::Bool(true) => Ok(Self::Updates),
            Value::String(text) if text == "creates" => Ok(Self::Creates),
            _ => Err(serde::de::Error::custom("`approve` is true, false or creates")),
        }
    }
}

fn approval_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"enum": [true, false, "creates"]})
}

/// Adds the short form (the name alone) to the schema of [`Field`], and closes the long one.
fn name_alone(schema: &mut schemars::Schema) {
    let mut long = schema.clone();
    long.insert("additionalProperties".to_owned(), Value::Bool(false));
    long.insert("required".to_owned(), serde_json::json!(["field"]));
    if let Some(direction) = long.pointer_mut("/properties/direction").and_then(Value::as_object_mut) {
        direction.insert("default".to_owned(), Value::from("both"));
    }
    *schema = schemars::json_schema!({"anyOf": [{"type": "string", "minLength": 1}, long]});
}

/// A native conversion between a column's form and a field's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Codec {
    /// A date or time in the remote's own form and zone.
    Date {
        /// strftime form: `%Y-%m-%d %H:%M:%S`.
        format: String,
        /// An IANA zone; without it UTC.
        #[serde(default)]
        zone: Option<String>,
    },
    /// Column value → field value.
    Enum(BTreeMap<String, Value>),
    /// A conversion that needs no argument, written by its name alone.
    #[serde(untagged)]
    Name(CodecName),
}

/// Conversions that need no argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodecName {
    /// A number in the column, the same digits as a text in the field.
    DecimalString,
    /// A timestamp in the column, milliseconds since 1970 in the field.
    EpochMs,
    /// A date in the column, milliseconds of that day's beginning in Asia/Shanghai in the field.
    EpochMsShanghaiDay,
    /// A single value in the column, a list of one in the field.
    ListOfOne,
    /// A boolean in the column, `"1"` or `"0"` in the field.
    OneZero,
    /// A boolean in the column, `"A"` (usable) or `"B"` (forbidden) in the field.
    UsableForbidden,
    /// Any value in the column, its text in the field.
    Text,
}
