//! Settings: what is said about one account, checked against what its connector asks for.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::connector::compiled::Connector;
use crate::connector::error::ConnectorError;

/// The value of one setting.
#[derive(Debug, Clone)]
pub enum SettingValue {
    Plain(Value),
    Secret(SecretString),
}

/// The settings of one account by name.
#[derive(Debug, Clone, Default)]
pub struct Settings(pub BTreeMap<String, SettingValue>);

/// Settings that were checked: with defaults, and the secrets apart.
pub(super) struct Checked {
    /// An object, as `.settings`.
    pub(super) plain: Value,
    pub(super) secrets: BTreeMap<String, SecretString>,
}

/// Checks the settings of `system`; every error names the setting and the cure.
pub(super) fn check(
    system: &str,
    connector: &Connector,
    settings: &Settings,
) -> Result<Checked, ConnectorError> {
    let wrong = |setting: &str, cure: String| ConnectorError::Setting {
        system: system.to_owned(),
        connector: connector.name.clone(),
        setting: setting.to_owned(),
        cure,
    };
    for name in settings.0.keys() {
        if !connector.settings_spec.contains_key(name) {
            let known: Vec<&str> = connector.settings_spec.keys().map(String::as_str).collect();
            return Err(wrong(name, format!("there is no such setting; there are {}", known.join(", "))));
        }
    }
    let mut plain = serde_json::Map::new();
    let mut secrets = BTreeMap::new();
    for (name, spec) in &connector.settings_spec {
        let missing = || wrong(name, format!("it is needed and not set: {}", spec.help));
        match (settings.0.get(name), spec.secret) {
            (Some(SettingValue::Secret(secret)), true) => {
                if secret.expose_secret().is_empty() {
                    return Err(missing());
                }
                secrets.insert(name.clone(), secret.clone());
            }
            (Some(SettingValue::Plain(_)), true) => {
                let cure = "it is a secret: name an environment variable or a file instead of its value";
                return Err(wrong(name, cure.to_owned()));
            }
            (None, true) => {
                if spec.required {
                    return Err(missing());
                }
            }
            (Some(value), false) => {
                let value = match value {
                    SettingValue::Plain(value) => value.clone(),
                    SettingValue::Secret(secret) => Value::from(secret.expose_secret()),
                };
                let blank = value.is_null() || value == "";
                if spec.required && blank {
                    return Err(missing());
                }
                let allowed = spec.one_of.is_empty()
                    || value.as_str().is_some_and(|text| spec.one_of.iter().any(|one| one == text));
                if !allowed {
                    return Err(wrong(name, format!("it must be one of {}", spec.one_of.join(", "))));
                }
                plain.insert(name.clone(), value);
            }
            (None, false) => match &spec.default {
                Some(default) => {
                    plain.insert(name.clone(), default.clone());
                }
                None if spec.required => return Err(missing()),
                None => {
                    plain.insert(name.clone(), Value::Null);
                }
            },
        }
    }
    Ok(Checked { plain: Value::Object(plain), secrets })
}
