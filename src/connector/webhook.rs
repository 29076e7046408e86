//! Webhooks: from what a system sent to the ids of records that may have changed. Nothing else is taken from it.
//!
//! The order is fixed: the body must be text, the signature must be right, its time must be near, and only then is the
//! body opened, if it is encrypted, and taken apart.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use crate::connector::call::Caller;
use crate::connector::client::Client;
use crate::connector::expr::{Bounds, Expr, pool};
use crate::connector::request::{as_text, object as members};
use crate::connector::webhook_encryption::{Encryption, Opener};
use crate::connector::webhook_spec::{SecretForm, SignatureEncoding};
use crate::remote::signature::{Seal, same_secret};

/// The most records that one webhook may name.
pub const MOST_RECORDS: usize = 1000;
/// The longest name of an object, or id of a record, in bytes.
const LONGEST_NAME: usize = 200;
/// Seconds between the moment of a signature and now, where the manifest says nothing.
pub(super) const WINDOW: u64 = 300;

/// The webhooks of a manifest, compiled.
#[derive(Debug, Clone)]
pub(super) struct Webhooks {
    pub(super) seal: Seal,
    pub(super) secrets: Vec<String>,
    pub(super) secret_form: SecretForm,
    pub(super) signed: Option<Expr>,
    pub(super) given: Expr,
    pub(super) encoding: SignatureEncoding,
    pub(super) signed_at: Option<Expr>,
    pub(super) window_ms: i64,
    pub(super) encryption: Option<Encryption>,
    pub(super) records: Expr,
    pub(super) answer: Option<Expr>,
    pub(super) challenge: Option<Challenge>,
}

#[derive(Debug, Clone)]
pub(super) struct Challenge {
    pub(super) when: Expr,
    pub(super) unsigned: bool,
    pub(super) answer: Expr,
}

/// A request as it came. Debug is left out on purpose: it holds secrets and values.
#[derive(Clone, Default)]
pub struct Webhook {
    pub method: String,
    /// The whole address as the sender wrote it.
    pub url: String,
    /// What the path holds behind the system's name, without its first slash.
    pub rest: String,
    /// What follows the `?`, still encoded.
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What a webhook that was taken says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Objects and ids of records that may have changed.
    pub records: Vec<(String, String)>,
    /// The text of the answer.
    pub answer: String,
}

/// Why a webhook is not taken. Neither values nor secrets are in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    #[error("the connector {0} knows no webhooks; records are found by polling")]
    NotKnown(String),
    #[error("no secret is set: set one of the settings {0} of the system to the secret of its webhooks")]
    NoSecret(String),
    #[error("the body is not text in UTF-8")]
    NotText,
    #[error("the signature is missing or wrong; the secret here must be the one that the system signs with")]
    Signature,
    #[error("it was signed too long ago, or by a clock that is far from ours")]
    Stale,
    #[error("the setting {0} is no key: it has 43 letters and digits; copy it whole from the system's page")]
    NoKey(String),
    #[error(
        "it is not encrypted with a key that is set here, or meant for another app; the key here must be the one \
         that the system's page shows"
    )]
    Encryption,
    #[error("it cannot be understood: {0}")]
    Malformed(String),
    #[error("it names more than {MOST_RECORDS} records")]
    TooMany,
}

impl WebhookRefusal {
    /// One word, for metrics.
    pub fn word(&self) -> &'static str {
        match self {
            Self::NotKnown(_) | Self::NoSecret(_) | Self::NoKey(_) => "not_configured",
            Self::Signature => "signature",
            Self::Encryption => "encryption",
            Self::Stale => "stale",
            Self::NotText | Self::Malformed(_) => "malformed",
            Self::TooMany => "too_large",
        }
    }

    /// The HTTP status that says it.
    pub fn status(&self) -> u16 {
        match self {
            Self::NotKnown(_) | Self::NoSecret(_) | Self::NoKey(_) => 404,
            Self::Signature | Self::Stale | Self::Encryption => 401,
            Self::NotText | Self::Malformed(_) => 400,
            Self::TooMany => 413,
        }
    }
}

impl Client {
    /// Judges a webhook by the connector's words. `now_ms` is the time against which its signature is held.
    ///
    /// # Errors
    /// [`WebhookRefusal`] for what is not taken.
    pub async fn hear(&self, webhook: Webhook, now_ms: i64) -> Result<Told, WebhookRefusal> {
        let connector = &self.caller.connector;
        let Some(webhooks) = connector.webhooks.clone() else {
            return Err(WebhookRefusal::NotKnown(connector.name.clone()));
        };
        let secrets: Vec<String> =
            webhooks.secrets.iter().filter_map(|name| self.caller.secret(name)).collect();
        if secrets.is_empty() {
            return Err(WebhookRefusal::NoSecret(webhooks.secrets.join(", ")));
        }
        let opener = match &webhooks.encryption {
            None => None,
            Some(encryption) => {
                let chances = [self.caller.chance(), self.caller.chance()];
                Some(encryption.opener(|name| self.caller.secret(name), chances, now_ms)?)
            }
        };
        let settings = self.caller.plain.clone();
        let work = move || webhooks.judge(webhook, settings, &secrets, opener, now_ms);
        pool::run_hurried(work)
            .await
            .unwrap_or_else(|| Err(WebhookRefusal::Malformed("it could not be worked on".to_owned())))
    }

    /// Whether webhooks of this system can be taken: its connector knows them, and a secret is set, and a key where they
    /// are encrypted.
    pub fn can_hear(&self) -> bool {
        let any = |names: &[String]| names.iter().any(|name| self.caller.secret(name).is_some());
        let webhooks = self.caller.connector.webhooks.as_ref();
        webhooks.is_some_and(|webhooks| {
            any(&webhooks.secrets)
                && webhooks.encryption.as_ref().is_none_or(|encryption| any(&encryption.keys))
        })
    }
}

impl Caller {
    fn secret(&self, name: &str) -> Option<String> {
        self.secrets.get(name).map(|secret| secret.expose_secret().to_owned())
    }
}

/// A webhook is small and its expressions are plain: they may use less than those of answers.
fn bounds() -> Bounds {
    Bounds { steps: 2_000_000, time: Duration::from_secs(1), ..Bounds::default() }
}

pub(super) fn first(expr: &Expr, input: &Value) -> Result<Value, WebhookRefusal> {
    let values = expr.evaluate(input, Some(1), bounds());
    let values = values.map_err(|error| WebhookRefusal::Malformed(error.to_string()))?;
    Ok(values.into_iter().next().unwrap_or(Value::Null))
}

impl Webhooks {
    fn judge(
        &self,
        webhook: Webhook,
        settings: Value,
        secrets: &[String],
        mut opener: Option<Opener>,
        now_ms: i64,
    ) -> Result<Told, WebhookRefusal> {
        let Ok(text) = String::from_utf8(webhook.body) else { return Err(WebhookRefusal::NotText) };
        let headers: Map<String, Value> = webhook
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value)))
            .collect();
        let kind = headers.get("content-type").map(as_text).unwrap_or_default();
        let mut input = Value::Object(members([
            ("settings", settings),
            ("method", Value::from(webhook.method)),
            ("url", Value::from(webhook.url)),
            ("rest", Value::from(webhook.rest)),
            ("query", Value::Object(pairs(&webhook.query))),
            ("headers", Value::Object(headers)),
            ("text", Value::from(text)),
        ]));
        if let Some(opener) = &mut opener {
            opener.find(&mut input);
        }
        if let Some(answer) = self.challenged(&input, true)? {
            return Ok(Told { records: Vec::new(), answer });
        }
        let Some(secret) = self.signer(&mut input, secrets)? else { return Err(WebhookRefusal::Signature) };
        if let Some(signed_at) = &self.signed_at {
            let told = whole(&first(signed_at, &input)?).ok_or(WebhookRefusal::Stale)?;
            if now_ms.abs_diff(told) > self.window_ms.unsigned_abs() {
                return Err(WebhookRefusal::Stale);
            }
        }
        if let Some(opener) = &mut opener {
            opener.open(&mut input)?;
        }
        let text = input.get("text").and_then(Value::as_str).unwrap_or_default();
        let body = if kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
            Value::Object(pairs(text))
        } else {
            serde_json::from_str(text).unwrap_or(Value::Null)
        };
        if let Value::Object(input) = &mut input {
            input.insert("body".to_owned(), body);
        }
        if let Some(answer) = self.challenged(&input, false)? {
            return Ok(Told { records: Vec::new(), answer });
        }
        // whoever has the signature of something small could otherwise put any body under it
        if opener.as_ref().is_some_and(|opener| !opener.has_opened()) {
            return Err(WebhookRefusal::Encryption);
        }
        let told = self.records.evaluate(&input, Some(1), bounds());
        let told = told.map_err(|error| WebhookRefusal::Malformed(error.to_string()))?;
        let records = match told.first() {
            Some(told) => named(told)?,
            None => return Err(WebhookRefusal::Malformed("`records` says nothing of it".to_owned())),
        };
        let Some(answer) = &self.answer else { return Ok(Told { records, answer: String::new() }) };
        let answer = as_text(&first(answer, &input)?);
        let sealed = match &opener {
            Some(opener) => {
                opener.close(&answer, input, |signed, input| self.seal_of(signed, input, &secret))?
            }
            None => None,
        };
        Ok(Told { records, answer: sealed.unwrap_or(answer) })
    }

    /// The answer to the system's question, if this is it.
    fn challenged(&self, input: &Value, unsigned: bool) -> Result<Option<String>, WebhookRefusal> {
        match &self.challenge {
            Some(challenge) if challenge.unsigned == unsigned => {
                if first(&challenge.when, input)? != Value::Bool(true) {
                    return Ok(None);
                }
                match first(&challenge.answer, input)? {
                    Value::Null => Err(WebhookRefusal::Malformed("the question is not there".to_owned())),
                    answer => Ok(Some(as_text(&answer))),
                }
            }
            _ => Ok(None),
        }
    }

    /// The secret that has sealed it, if one of them has.
    fn signer(&self, input: &mut Value, secrets: &[String]) -> Result<Option<String>, WebhookRefusal> {
        // an expression that fails here misses a part that a sealed webhook has
        let given: Vec<String> = match first(&self.given, input) {
            Ok(Value::Array(several)) => {
                several.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            Ok(Value::String(one)) => vec![one],
            _ => return Ok(None),
        };
        for secret in secrets {
            let Some(seal) = self.seal_of(self.signed.as_ref(), input, secret)? else { return Ok(None) };
            // all are compared, so that the time does not tell which was nearly right
            let right = given.iter().filter(|given| same_secret(given.as_bytes(), &seal)).count();
            if right > 0 {
                return Ok(Some(secret.clone()));
            }
        }
        Ok(None)
    }

    /// The seal of a text with a secret, as it is written. `None` where the text cannot be told: an absent part must not
    /// make a text that anybody can sign.
    fn seal_of(
        &self,
        signed: Option<&Expr>,
        input: &mut Value,
        secret: &str,
    ) -> Result<Option<Vec<u8>>, WebhookRefusal> {
        let hashes = matches!(self.seal, Seal::Sha1 | Seal::Sha256 | Seal::Md5);
        let text = match signed {
            Some(signed) if hashes => {
                if let Value::Object(input) = input {
                    input.insert("secret".to_owned(), Value::from(secret));
                }
                let text = first(signed, input);
                if let Value::Object(input) = input {
                    input.shift_remove("secret");
                }
                text.unwrap_or(Value::Null)
            }
            Some(signed) => first(signed, input).unwrap_or(Value::Null),
            None => Value::from(""),
        };
        let Some(text) = text.as_str() else { return Ok(None) };
        let key = match self.secret_form {
            SecretForm::Text => secret.as_bytes().to_vec(),
            SecretForm::Base64 => {
                let bare = secret.rsplit_once('_').map_or(secret, |(_, bare)| bare);
                let wrong = |_| WebhookRefusal::NoSecret(self.secrets.join(", "));
                STANDARD.decode(bare).map_err(wrong)?
            }
        };
        let seal = self.seal.of(&key, text.as_bytes());
        Ok(Some(match (self.seal, self.encoding) {
            (Seal::Token, _) => seal,
            (_, SignatureEncoding::Hex) => hex::encode(seal).into_bytes(),
            (_, SignatureEncoding::Base64) => STANDARD.encode(seal).into_bytes(),
        }))
    }
}

/// The records that an expression names.
fn named(told: &Value) -> Result<Vec<(String, String)>, WebhookRefusal> {
    let wrong = |what: &str| WebhookRefusal::Malformed(what.to_owned());
    let items = match told {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        _ => return Err(wrong("`records` is not an array")),
    };
    if items.len() > MOST_RECORDS {
        return Err(WebhookRefusal::TooMany);
    }
    let name = |item: &Value, part: &str| match item.get(part) {
        Some(value @ (Value::String(_) | Value::Number(_))) => {
            let text = as_text(value);
            let fits = !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
            fits.then_some(text)
        }
        _ => None,
    };
    let mut records = Vec::with_capacity(items.len());
    for item in items {
        match (name(item, "object"), name(item, "id")) {
            (Some(object), Some(id)) => records.push((object, id)),
            (None, _) => return Err(wrong("it does not say of which object its record is")),
            (_, None) => return Err(wrong("it does not say the id of its record")),
        }
    }
    Ok(records)
}

/// Milliseconds, as a number or as its text.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            #[expect(clippy::cast_possible_truncation, reason = "within what a whole number holds")]
            (float.abs() < 9e15).then_some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Names and values of a query or a form; the first of a name counts.
fn pairs(text: &str) -> Map<String, Value> {
    let mut pairs = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        pairs.entry(name).or_insert_with(|| Value::from(value.into_owned()));
    }
    pairs
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
