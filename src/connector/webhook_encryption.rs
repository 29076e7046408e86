//! Webhooks that are encrypted: finding the encrypted part, opening it, and answering in the same way.

use serde_json::Value;
use uuid::Uuid;

use crate::connector::expr::Expr;
use crate::connector::request::as_text;
use crate::connector::webhook::{WebhookRefusal, first};
use crate::connector::webhook_spec::KeyForm;
use crate::remote::encryption::BodyKey;
use crate::remote::signature::same_secret;

/// The encryption of a manifest's webhooks, compiled.
#[derive(Debug, Clone)]
pub(super) struct Encryption {
    pub(super) keys: Vec<String>,
    pub(super) key_form: KeyForm,
    pub(super) given: Expr,
    pub(super) receiver: Option<Expr>,
    pub(super) answer: Option<SealedAnswer>,
}

/// An answer that is encrypted, too.
#[derive(Debug, Clone)]
pub(super) struct SealedAnswer {
    pub(super) signed: Expr,
    pub(super) text: Expr,
}

/// What it takes to open one webhook and to answer it.
pub(super) struct Opener {
    encryption: Encryption,
    keys: Vec<BodyKey>,
    /// The bytes of chance of the answer, and its nonce.
    chances: [Uuid; 2],
    now_ms: i64,
    encrypted: Option<String>,
    /// The key that opened it, and whom it named as its receiver.
    opened: Option<(BodyKey, String)>,
}

fn put(input: &mut Value, name: &str, value: Value) {
    if let Value::Object(input) = input {
        input.insert(name.to_owned(), value);
    }
}

impl Encryption {
    /// Gets ready for one webhook. `secret` gives the value of a secret setting.
    ///
    /// # Errors
    /// Where no key is set, or one that is none.
    pub(super) fn opener(
        &self,
        secret: impl Fn(&str) -> Option<String>,
        chances: [Uuid; 2],
        now_ms: i64,
    ) -> Result<Opener, WebhookRefusal> {
        let mut keys = Vec::new();
        for name in &self.keys {
            let Some(text) = secret(name) else { continue };
            let key = match self.key_form {
                KeyForm::Letters => BodyKey::of_letters(&text),
                KeyForm::AppSecret => BodyKey::of_app_secret(&text),
            };
            keys.push(key.ok_or_else(|| WebhookRefusal::NoKey(name.clone()))?);
        }
        if keys.is_empty() {
            return Err(WebhookRefusal::NoSecret(self.keys.join(", ")));
        }
        Ok(Opener { encryption: self.clone(), keys, chances, now_ms, encrypted: None, opened: None })
    }
}

impl Opener {
    /// Finds the encrypted part, which the signature is about.
    pub(super) fn find(&mut self, input: &mut Value) {
        let text = input.get("text").and_then(Value::as_str).unwrap_or_default();
        let envelope = serde_json::from_str(text).unwrap_or(Value::Null);
        put(input, "envelope", envelope);
        // an expression that fails here misses the part that an encrypted webhook has
        if let Ok(Value::String(encrypted)) = first(&self.encryption.given, input) {
            put(input, "encrypted", Value::from(encrypted.as_str()));
            self.encrypted = Some(encrypted);
        }
    }

    /// Opens the encrypted part, if there is one, and puts the message in place of the text.
    ///
    /// # Errors
    /// Where no key opens it, or it was sent to somebody else. Which of them it was is not told.
    pub(super) fn open(&mut self, input: &mut Value) -> Result<(), WebhookRefusal> {
        let Some(encrypted) = &self.encrypted else { return Ok(()) };
        let wanted = match &self.encryption.receiver {
            Some(receiver) => Some(as_text(&first(receiver, input)?)),
            None => None,
        };
        for key in &self.keys {
            let Some(opened) = key.open(encrypted) else { continue };
            let meant = |wanted: &String| same_secret(wanted.as_bytes(), opened.receiver.as_bytes());
            if wanted.as_ref().is_none_or(meant) {
                put(input, "text", Value::from(opened.message));
                self.opened = Some((key.clone(), opened.receiver));
                return Ok(());
            }
        }
        Err(WebhookRefusal::Encryption)
    }

    /// Whether something was encrypted, and is open now.
    pub(super) fn has_opened(&self) -> bool {
        self.opened.is_some()
    }

    /// The answer as the system wants it: encrypted with the key that opened the webhook, to whom it came from. `None`
    /// where it is said in plain. `seal` signs.
    ///
    /// # Errors
    /// Where an expression fails.
    pub(super) fn close(
        &self,
        answer: &str,
        mut input: Value,
        seal: impl Fn(Option<&Expr>, &mut Value) -> Result<Option<Vec<u8>>, WebhookRefusal>,
    ) -> Result<Option<String>, WebhookRefusal> {
        let (Some(sealed), Some((key, receiver))) = (&self.encryption.answer, &self.opened) else {
            return Ok(None);
        };
        let wrong = |what: &str| WebhookRefusal::Malformed(what.to_owned());
        let [chance, nonce] = self.chances;
        let encrypted = key.close(chance.into_bytes(), answer, receiver);
        let encrypted = encrypted.ok_or_else(|| wrong("its answer is too long"))?;
        put(&mut input, "encrypted", Value::from(encrypted));
        put(&mut input, "nonce", Value::from(nonce.simple().to_string()));
        put(&mut input, "now_ms", Value::from(self.now_ms));
        let signature = seal(Some(&sealed.signed), &mut input)?;
        let signature = signature.ok_or_else(|| wrong("the text that signs its answer cannot be told"))?;
        put(&mut input, "signature", Value::from(String::from_utf8_lossy(&signature)));
        Ok(Some(as_text(&first(&sealed.text, &input)?)))
    }
}
