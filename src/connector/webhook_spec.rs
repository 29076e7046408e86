//! What a manifest says of the webhooks that its system sends: how they are sealed, and which records they name.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::connector::manifest::Jq;

/// Webhooks: calls from the system that say which records may have changed. Nothing but ids is taken from them: the
/// records are read.
///
/// Inputs of all expressions: `.settings .method .url .rest .query .headers .text`: names of headers are lower case,
/// `.rest` is what the path holds behind the system's name, `.text` is the body as it came. Once the signature is
/// verified there is `.body` too: JSON or a form, taken apart; null for anything else. Where bodies are encrypted, there
/// are `.envelope` (the body as it came, if it is JSON) and `.encrypted` from the start, and once it is opened `.text` and
/// `.body` are those of the message inside.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhooksSpec {
    /// How it is known that the system sent it.
    pub signature: WebhookSignatureSpec,
    /// How bodies are encrypted; they are not when left out.
    #[serde(default)]
    pub encryption: Option<EncryptionSpec>,
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

/// How bodies are encrypted. What is not encrypted names no record then; only a question is answered.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncryptionSpec {
    pub kind: EncryptionKind,
    /// The settings, all secret, of which one must open it. Several let a key be replaced without a gap.
    pub keys: Vec<String>,
    /// How a key is written.
    #[serde(default)]
    pub key_form: KeyForm,
    /// The encrypted text within what came; null where nothing is encrypted.
    pub given: Jq,
    /// To whom the message must be sent; not looked at when left out.
    #[serde(default)]
    pub receiver: Option<Jq>,
    /// What the system wants to be answered, where it wants that encrypted, too.
    #[serde(default)]
    pub answer: Option<EncryptedAnswerSpec>,
}

/// The ways of encrypting that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncryptionKind {
    /// That of 微信 and 企业微信, which 用友 and 纷享销客 use too: AES-256 in CBC, base64; inside 16 bytes of chance, the
    /// message's length, the message, and the receiver.
    WechatAes,
}

/// How a key is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyForm {
    /// 43 letters and digits: `EncodingAESKey`.
    #[default]
    Letters,
    /// An app's secret: without its dashes, cut or filled with zeros to 43 letters.
    AppSecret,
}

/// An answer that is encrypted with the key that opened the webhook, and signed as the webhook was. Inputs: those of
/// the webhook, with `.encrypted` (the answer's), `.nonce` (a new text) and `.now_ms`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncryptedAnswerSpec {
    /// The text that is signed; for plain hashes `.secret` is seen too.
    pub signed: Jq,
    /// The text of the answer; there is `.signature` as well.
    pub text: Jq,
}
