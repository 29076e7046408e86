//! Kept sign-ins: what the next sign-in needs of this one, sealed so that the database alone cannot use it.
//!
//! The key is made of the secret that the configuration names, the one that the chain of sign-ins began with. Another
//! configured secret opens nothing, and a new chain begins: that is how a person mends a chain that broke.

use std::collections::BTreeMap;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::connector::request::as_text;

/// What a sign-in gave.
#[derive(Clone)]
pub(super) struct Kept {
    /// The secrets that the next sign-in needs, by the names of their settings.
    pub(super) secrets: BTreeMap<String, SecretString>,
    /// What calls carry.
    pub(super) token: Value,
    pub(super) identity: Option<String>,
    /// When the token is to be renewed, in milliseconds since 1970; none where nothing tells.
    pub(super) until_ms: Option<i64>,
}

/// Opens and closes what is kept for one system.
pub(super) struct Seal {
    key: LessSafeKey,
    system: String,
}

impl Seal {
    /// `None` if there is no configured secret to make a key of.
    pub(super) fn new(system: &str, configured: &[(&str, &SecretString)]) -> Option<Self> {
        if configured.is_empty() {
            return None;
        }
        // Names and lengths keep two settings from being mistaken for one.
        let mut secret = Vec::new();
        for (name, value) in configured {
            for part in [name.as_bytes(), value.expose_secret().as_bytes()] {
                secret.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                secret.extend_from_slice(part);
            }
        }
        let parent = Salt::new(HKDF_SHA256, b"rowtwin kept sign-in 1").extract(&secret);
        let info = [system.as_bytes()];
        let key = UnboundKey::from(parent.expand(&info, &AES_256_GCM).ok()?);
        Some(Self { key: LessSafeKey::new(key), system: system.to_owned() })
    }

    /// `None` if chance fails, which stops the sign-in: nothing may be kept in the open.
    pub(super) fn close(&self, kept: &Kept) -> Option<Vec<u8>> {
        let secrets = kept.secrets.iter();
        let secrets: Map<String, Value> =
            secrets.map(|(name, secret)| (name.clone(), Value::from(secret.expose_secret()))).collect();
        let mut members = Map::new();
        members.insert("secrets".to_owned(), Value::Object(secrets));
        members.insert("token".to_owned(), kept.token.clone());
        members.insert("identity".to_owned(), kept.identity.as_deref().map_or(Value::Null, Value::from));
        members.insert("until_ms".to_owned(), kept.until_ms.map_or(Value::Null, Value::from));
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = Value::Object(members).to_string().into_bytes();
        let place = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(place, Aad::from(self.system.as_bytes()), &mut sealed).ok()?;
        Some([nonce.as_slice(), sealed.as_slice()].concat())
    }

    /// `None` if it was sealed with another key, or is not whole.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Kept> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = sealed.to_vec();
        let text = self.key.open_in_place(nonce, Aad::from(self.system.as_bytes()), &mut text).ok()?;
        let Value::Object(members) = serde_json::from_slice(text).ok()? else { return None };
        let secrets = members.get("secrets")?.as_object()?.iter();
        Some(Kept {
            secrets: secrets
                .map(|(name, value)| (name.clone(), SecretString::from(as_text(value))))
                .collect(),
            token: members.get("token").cloned().unwrap_or(Value::Null),
            identity: members.get("identity").and_then(Value::as_str).map(str::to_owned),
            until_ms: members.get("until_ms").and_then(Value::as_i64),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seal(system: &str, secret: &str) -> Seal {
        Seal::new(system, &[("refresh_token", &SecretString::from(secret))]).expect("a seal")
    }

    #[test]
    fn what_is_kept_opens_with_the_configured_secret_alone() {
        let secrets = BTreeMap::from([("refresh_token".to_owned(), SecretString::from("second-token"))]);
        let token = json!({"key": "access-token"});
        let kept =
            Kept { secrets, token: token.clone(), identity: Some("org".to_owned()), until_ms: Some(7) };
        let ours = seal("crm", "first-token");
        let sealed = ours.close(&kept).expect("sealed");
        let shown = String::from_utf8_lossy(&sealed).into_owned();
        assert!(!shown.contains("second-token") && !shown.contains("access-token"));
        assert_ne!(sealed, ours.close(&kept).expect("sealed"), "the same is never written twice");

        let opened = ours.open(&sealed).expect("opened");
        assert_eq!(opened.secrets["refresh_token"].expose_secret(), "second-token");
        assert_eq!(
            (opened.token, opened.identity, opened.until_ms),
            (token, Some("org".to_owned()), Some(7))
        );

        assert!(seal("crm", "another-token").open(&sealed).is_none());
        assert!(seal("erp", "first-token").open(&sealed).is_none(), "of another system");
        for at in [0, 12, sealed.len() - 1] {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(ours.open(&broken).is_none(), "byte {at}");
        }
        assert!(ours.open(&[]).is_none() && ours.open(&sealed[..12]).is_none());
        assert!(Seal::new("crm", &[]).is_none());
    }
}
