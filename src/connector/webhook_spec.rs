//! What a manifest says of the webhooks that its system sends: how they are sealed, and which records they name.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::connector::manifest::Jq;

/// Webhooks: calls from the system that say which records may have changed. Nothing but ids is taken from them: the
/// records are read.
///
/// Inputs of all expressions: `.settings .method .url .rest .query .headers .text`: names of headers are lower case,
/// `.rest` is what the path holds behind the system's name, `.text` is the body as it came. Once the signature is
/// verified there is `.body` too: JSON or a form, taken apart; null for anything else.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhooksSpec {
    /// How it is known that the system sent it.
    pub signature: WebhookSignatureSpec,
    /// An array of `{object, id}`, or null for a webhook that names no record.
    pub records: Jq,
    /// The text of the answer to a webhook that was taken; nothing when left out.
    #[serde(default)]
    pub answer: Option<Jq>,
    /// What the system asks when the address is entered there.
    #[serde(default)]
    pub challenge: Option<ChallengeSpec>,
}

/// The signature of a webhook.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookSignatureSpec {
    pub kind: WebhookSignatureKind,
    /// The settings, all secret, of which one must have sealed it. Several let a secret be replaced without a gap.
    pub secrets: Vec<String>,
    /// How the secret is written: as it is, or in base64 (a prefix such as `whsec_` is left out).
    #[serde(default)]
    pub secret_form: SecretForm,
    /// The text that is signed; for plain hashes `.secret` is seen too. Not for `token`.
    #[serde(default)]
    pub signed: Option<Jq>,
    /// The signature that came along: a text, or an array of texts of which one must be right.
    pub given: Jq,
    /// How a signature is written; hex when left out. Not for `token`.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// When it was signed: milliseconds since 1970.
    #[serde(default)]
    pub signed_at: Option<Jq>,
    /// Seconds that `signed_at` may differ from now; 300 when left out.
    #[serde(default)]
    pub window: Option<u64>,
}

/// The ways of sealing that are built in. Comparing takes the same time wherever two texts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookSignatureKind {
    /// The secret itself comes along: in a header, in the body, or in the address.
    Token,
    /// A plain hash of a text with the secret in it.
    Sha1,
    Sha256,
    Md5,
    HmacSha1,
    HmacSha256,
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretForm {
    #[default]
    Text,
    Base64,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureEncoding {
    #[default]
    Hex,
    Base64,
}

/// A question that the system asks to learn whether the address is ours.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChallengeSpec {
    /// Whether this is the question.
    pub when: Jq,
    /// The question is not signed; it sees no `.body` then.
    #[serde(default)]
    pub unsigned: bool,
    /// The text of the answer.
    pub answer: Jq,
}
