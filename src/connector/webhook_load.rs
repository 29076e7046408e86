//! Compiling what a manifest says of webhooks, and refusing what would prove nothing.

use std::collections::BTreeMap;

use crate::connector::load::Compiler;
use crate::connector::manifest::SettingSpec;
use crate::connector::webhook::{Challenge, WINDOW, Webhooks};
use crate::connector::webhook_encryption::{Encryption, SealedAnswer};
use crate::connector::webhook_spec::{EncryptionKind, EncryptionSpec, WebhookSignatureKind, WebhooksSpec};
use crate::remote::signature::Seal;

impl Compiler<'_> {
    pub(super) fn webhooks(
        &mut self,
        spec: &WebhooksSpec,
        settings: &BTreeMap<String, SettingSpec>,
    ) -> Option<Webhooks> {
        let signature = &spec.signature;
        let line = signature.given.line;
        if signature.secrets.is_empty() {
            self.wrong(line, "webhooks.signature needs `secrets`: the settings that hold them");
        }
        self.secret_settings(line, "signature.secrets", &signature.secrets, settings);
        let seal = match signature.kind {
            WebhookSignatureKind::Token => Seal::Token,
            WebhookSignatureKind::Sha1 => Seal::Sha1,
            WebhookSignatureKind::Sha256 => Seal::Sha256,
            WebhookSignatureKind::Md5 => Seal::Md5,
            WebhookSignatureKind::HmacSha1 => Seal::HmacSha1,
            WebhookSignatureKind::HmacSha256 => Seal::HmacSha256,
        };
        match &signature.signed {
            None if seal != Seal::Token => {
                self.wrong(line, "webhooks.signature needs `signed`: the text that is signed");
            }
            Some(signed) if seal == Seal::Token => {
                self.wrong(signed.line, "a token signs nothing; leave out `signed`");
            }
            // a hash of what everybody sees is no signature
            Some(signed)
                if matches!(seal, Seal::Sha1 | Seal::Sha256 | Seal::Md5)
                    && !signed.text.contains(".secret") =>
            {
                self.wrong(signed.line, "a plain hash proves nothing unless `.secret` is in what is signed");
            }
            _ => {}
        }
        let challenge =
            spec.challenge.as_ref().map(|spec| (self.expr(&spec.when), self.expr(&spec.answer), spec));
        let challenge = challenge.and_then(|(when, answer, spec)| {
            Some(Challenge { when: when?, answer: answer?, unsigned: spec.unsigned })
        });
        let encryption = spec.encryption.as_ref().map(|spec| self.encryption(spec, seal, settings));
        let signed = self.maybe(signature.signed.as_ref());
        let signed_at = self.maybe(signature.signed_at.as_ref());
        let answer = self.maybe(spec.answer.as_ref());
        let (given, records) = (self.expr(&signature.given), self.expr(&spec.records));
        Some(Webhooks {
            seal,
            secrets: signature.secrets.clone(),
            secret_form: signature.secret_form,
            signed,
            given: given?,
            encoding: signature.encoding,
            signed_at,
            window_ms: i64::try_from(signature.window.unwrap_or(WINDOW).saturating_mul(1000))
                .unwrap_or(i64::MAX),
            // one that cannot be compiled must not be taken for one that is not there
            encryption: match encryption {
                None => None,
                Some(encryption) => Some(encryption?),
            },
            records: records?,
            answer,
            challenge,
        })
    }

    fn secret_settings(
        &mut self,
        line: u64,
        word: &str,
        names: &[String],
        settings: &BTreeMap<String, SettingSpec>,
    ) {
        for name in names {
            if !settings.get(name).is_some_and(|setting| setting.secret) {
                self.wrong(line, format!("webhooks.{word}: there is no secret setting {name}"));
            }
        }
    }

    fn encryption(
        &mut self,
        spec: &EncryptionSpec,
        seal: Seal,
        settings: &BTreeMap<String, SettingSpec>,
    ) -> Option<Encryption> {
        let EncryptionKind::WechatAes = spec.kind;
        let line = spec.given.line;
        if spec.keys.is_empty() {
            self.wrong(line, "webhooks.encryption needs `keys`: the settings that hold them");
        }
        self.secret_settings(line, "encryption.keys", &spec.keys, settings);
        if seal == Seal::Token && spec.answer.is_some() {
            self.wrong(line, "webhooks.encryption.answer is signed as the webhook is; a token signs nothing");
        }
        let answer = spec.answer.as_ref().map(|answer| (self.expr(&answer.signed), self.expr(&answer.text)));
        let answer = match answer {
            None => None,
            Some((signed, text)) => Some(SealedAnswer { signed: signed?, text: text? }),
        };
        let receiver = self.maybe(spec.receiver.as_ref());
        Some(Encryption {
            keys: spec.keys.clone(),
            key_form: spec.key_form,
            given: self.expr(&spec.given)?,
            receiver,
            answer,
        })
    }
}
