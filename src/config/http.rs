//! How a system is reached: certificates, by the paths of their files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a system is reached. The files are PEM and are read at the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpFile {
    /// The path of our own certificate, where the system asks for one (mutual TLS); those between it and its authority follow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The path of its private key (default: it is in the certificate's file).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The path of the certificates of the authorities that the system's certificate may come from (default: those that the machine trusts).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}
