//! The manifest: what a connector's YAML file may say. These types are the vocabulary, published as JSON Schema.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::config::file::Codec;
pub use crate::connector::object_spec::{LifecycleSpec, LifecycleStepSpec, LinesSpec, ObjectSpec};
use crate::connector::webhook_spec::WebhooksSpec;
use crate::model::outcome::OutcomeKind;

/// A jq program and the line on which its text begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jq {
    pub text: String,
    /// Counted from 1 in the manifest's file.
    pub line: u64,
}

impl<'de> Deserialize<'de> for Jq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), text: spanned.value })
    }
}

impl JsonSchema for Jq {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Jq".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "A jq program. Its input depends on its place." })
    }
}

/// One connector: how a system is signed in to, asked and written to, and what its answers mean.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The connector's name, as configurations use it.
    pub connector: String,
    /// What people call the system.
    pub title: String,
    /// The version of this vocabulary: 1.
    pub version: u32,
    /// What has to be said about an account.
    #[serde(default)]
    pub settings: BTreeMap<String, SettingSpec>,
    #[serde(default)]
    pub http: HttpSpec,
    /// How requests are signed in; nothing when left out.
    #[serde(default)]
    pub sign_in: SignInSpec,
    /// What every request has in common.
    pub request: RequestSpec,
    #[serde(default)]
    pub limits: LimitsSpec,
    /// jq definitions that all expressions of this manifest may use.
    #[serde(default)]
    pub definitions: Option<Jq>,
    /// Which column suits a field, by the kind that a describe gives it (the whole of it, or its first word); others
    /// are `text`. For `rowtwin schema pull`.
    #[serde(default)]
    pub columns: BTreeMap<String, ColumnSpec>,
    /// What answers mean: the first rule whose `when` holds decides for the whole call.
    #[serde(default)]
    pub answers: Vec<RuleSpec>,
    /// What the system sends by itself, and how it is known to be from there.
    #[serde(default)]
    pub webhooks: Option<WebhooksSpec>,
    /// The requests, for all objects that do not have their own.
    #[serde(default)]
    pub operations: BTreeMap<OperationName, OperationSpec>,
    /// The objects by name; `*` stands for all that are not named and lends to those that are.
    pub objects: BTreeMap<String, ObjectSpec>,
}

/// One setting of an account.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingSpec {
    /// The account cannot be used without it.
    #[serde(default)]
    pub required: bool,
    /// The value taken when nothing is said.
    #[serde(default)]
    pub default: Option<Value>,
    /// Comes from the environment or a file, and is seen by sign-in expressions only, as `.secrets.NAME`.
    #[serde(default)]
    pub secret: bool,
    /// The values that are allowed.
    #[serde(default)]
    pub one_of: Vec<String>,
    /// One sentence for people: what it is and where to find it.
    #[serde(default)]
    pub help: String,
}

/// The column that suits a kind of field.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// A type of Postgres.
    #[serde(rename = "type")]
    pub type_name: String,
    #[serde(default)]
    pub codec: Option<Codec>,
    /// The field is only read.
    #[serde(default)]
    pub pull_only: bool,
}

impl Default for ColumnSpec {
    fn default() -> Self {
        Self { type_name: "text".to_owned(), codec: None, pull_only: false }
    }
}

/// How the system is spoken to.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSpec {
    /// `1.1` where HTTP/2 is not to be tried.
    #[serde(default)]
    pub version: Option<String>,
    /// Seconds for a whole call; 30 when left out.
    #[serde(default)]
    pub timeout: Option<u64>,
    /// The largest answer read, in bytes; 8 MiB when left out.
    #[serde(default)]
    pub body_limit: Option<usize>,
    /// Answers are XML: `.body` is what `from_xml` makes of them. JSON is understood too.
    #[serde(default)]
    pub xml: bool,
}

/// How requests are signed in.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInSpec {
    /// Names the kind to use (input: `.settings`); not needed where there is one.
    #[serde(default)]
    pub select: Option<Jq>,
    #[serde(default)]
    pub kinds: BTreeMap<String, SignInKindSpec>,
}

/// The ways of signing in that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignInKind {
    /// Nothing is needed.
    #[default]
    None,
    /// `token` is computed from the settings and secrets; no request is made.
    Key,
    /// A request gives a token that lives for `expires_in` seconds.
    TokenExchange,
    /// A request opens a session that lives until the system says that it is lost.
    Session,
    /// Each request is signed with the headers of the K3Cloud gateway; `signature` gives their inputs.
    Signed,
}

/// One way of signing in. Inputs: `.settings .secrets .now_ms .uuid`, and of the answer `.status .headers .body`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInKindSpec {
    pub kind: SignInKind,
    /// The kind that is done before this one; its token is seen as `.before`.
    #[serde(default)]
    pub begins_with: Option<String>,
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
    /// The body as a text of any kind, for example `… | to_xml`; its content type is said in `headers`.
    #[serde(default)]
    pub text: Option<Jq>,
    /// What requests see as `.token`; null means that the sign-in failed.
    #[serde(default)]
    pub token: Option<Jq>,
    /// Seconds that the token lives from now on.
    #[serde(default)]
    pub expires_in: Option<Jq>,
    /// Seconds before its end at which a token is renewed; 60 when left out.
    #[serde(default)]
    pub margin: Option<u64>,
    /// What tells this account from another behind the same address.
    #[serde(default)]
    pub identity: Option<Jq>,
    /// Secret settings that the answer replaces (a refresh token that rotates), each with where the new one is; null
    /// leaves the old one in force. What is given is kept in the mirror database, sealed, for the next sign-in.
    #[serde(default)]
    pub keep: BTreeMap<String, Jq>,
    /// For `signed`: an object of `app_id app_secret account user language organisation`.
    #[serde(default)]
    pub signature: Option<Jq>,
    /// Rules that come before the manifest's own.
    #[serde(default)]
    pub answers: Vec<RuleSpec>,
}

/// What every request has in common. Inputs as for operations.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The address before the paths.
    pub base: Jq,
    /// An object of headers for every operation.
    #[serde(default)]
    pub headers: Option<Jq>,
    /// An object of query parameters for every operation.
    #[serde(default)]
    pub query: Option<Jq>,
    /// The body that is sent, made of the operation's own, which is `.body`.
    #[serde(default)]
    pub body: Option<Jq>,
    /// Instead of `body`: the text that is sent, made of the operation's own `body` (an envelope, for example). An
    /// operation's own `text` or `form` goes as it is.
    #[serde(default)]
    pub text: Option<Jq>,
}

/// What the system allows, as its documentation says.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsSpec {
    /// Calls per second, on average.
    #[serde(default)]
    pub per_second: Option<f64>,
    /// Calls at the same time.
    #[serde(default)]
    pub in_flight: Option<u32>,
    /// Calls per day (input: `.settings`); null means that there is no such limit.
    #[serde(default)]
    pub per_day: Option<Jq>,
    /// The time zone in which the day ends.
    #[serde(default)]
    pub daily_reset: Option<String>,
    /// `{used, limit}` where an answer tells (inputs: `.status .headers .body`).
    #[serde(default)]
    pub usage: Option<Jq>,
}

/// What an answer means.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Whether the rule holds (inputs: those of the operation, `.operation .status .headers .body .text`).
    pub when: Jq,
    pub outcome: OutcomeKind,
    /// Why, for people.
    #[serde(default)]
    pub reason: Option<Jq>,
    /// Seconds to wait, for `retry` and `throttled`; a `Retry-After` header is used when left out.
    #[serde(default)]
    pub after: Option<Jq>,
    /// The field at fault, for `reject`.
    #[serde(default)]
    pub field: Option<Jq>,
    /// The id of the record that is there, for `exists`.
    #[serde(default)]
    pub id: Option<Jq>,
    /// The operations that the rule is for; all when left out.
    #[serde(default)]
    pub on: Vec<OperationName>,
}

/// What can be asked of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationName {
    List,
    Read,
    Find,
    Create,
    Update,
    Delete,
    Deactivate,
    Describe,
    SignIn,
    // a step of a lifecycle; which one, `.step` says
    Step,
}

impl OperationName {
    /// The word, as notes and `.operation` spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Read => "read",
            Self::Find => "find",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Deactivate => "deactivate",
            Self::Describe => "describe",
            Self::SignIn => "sign_in",
            Self::Step => "step",
        }
    }
}

/// An operation: one request, or several in turn (`steps`).
///
/// Inputs: `.settings .token .object .now_ms .uuid .limit`; of a list `.fields .since .page .ids_only`, of a read
/// `.fields .ids`, of a find `.fields .by`, of writes `.items .deactivate`, of a lifecycle's step `.items .step`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperationSpec {
    /// Records in one call: the page of a list, the most ids, keys or items of the others; 1 when left out.
    #[serde(default)]
    pub batch: Option<usize>,
    /// Of a find by several fields: the most keys in one call, where that differs from `batch`.
    #[serde(default)]
    pub combined_batch: Option<usize>,
    /// `POST` when left out; `{…}` holds jq, as in `path`.
    #[serde(default)]
    pub method: Option<String>,
    /// The address after the base; `{…}` holds jq.
    #[serde(default)]
    pub path: Option<Jq>,
    #[serde(default)]
    pub query: Option<Jq>,
    #[serde(default)]
    pub headers: Option<Jq>,
    /// The JSON body; null sends none.
    #[serde(default)]
    pub body: Option<Jq>,
    /// An object sent as a form instead of a body.
    #[serde(default)]
    pub form: Option<Jq>,
    /// The body as a text of any kind, for example `… | to_xml`; its content type is said in `headers`.
    #[serde(default)]
    pub text: Option<Jq>,
    /// The array of records (of a describe: of `{name, label, kind, required, writable}`) in an answer.
    #[serde(default)]
    pub records: Option<Jq>,
    /// What `.page` is to be for the next page; null after the last.
    #[serde(default)]
    pub next: Option<Jq>,
    /// Of a list: seconds before the next page may be asked for, where the remote is still at work on it.
    #[serde(default)]
    pub after: Option<Jq>,
    /// An array with one `{outcome, id, version, record, reference, lines, field, reason, after}` per item; all `ok` when
    /// left out. `lines` holds the ids of the lines that were added, in the order sent, by collection.
    #[serde(default)]
    pub results: Option<Jq>,
    /// Rules that come before the manifest's own.
    #[serde(default)]
    pub answers: Vec<RuleSpec>,
    /// Requests made one after the other, instead of the one above; each sees the body of the answer before as `.before`.
    #[serde(default)]
    pub steps: Vec<StepSpec>,
}

/// One request of several.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSpec {
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
    #[serde(default)]
    pub results: Option<Jq>,
    #[serde(default)]
    pub answers: Vec<RuleSpec>,
    /// A refusal of this step (`reject`, `gone`) does not keep the item from the next.
    #[serde(default)]
    pub lenient: bool,
}

/// The JSON Schema of manifests, as `connectors/schema.json` holds it.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Manifest);
    let mut text = serde_json::to_string_pretty(schema.as_value()).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schema_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/connectors/schema.json");
        if std::env::var("BLESS").is_ok() {
            std::fs::write(path, schema()).expect("connectors/schema.json can be written");
        }
        let published = std::fs::read_to_string(path).expect("connectors/schema.json");
        assert_eq!(published, schema(), "run the tests once with BLESS=1 to write it anew");
    }

    #[test]
    fn an_expression_knows_its_line() {
        let yaml = "base: .a\nheaders: |\n  {a,\n   b}\n";
        let spec: RequestSpec = serde_saphyr::from_str(yaml).expect("a request");
        assert_eq!(spec.base, Jq { text: ".a".to_owned(), line: 1 });
        assert_eq!(spec.headers.map(|jq| jq.line), Some(3));
    }
}
