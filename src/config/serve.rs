//! What the process itself offers: numbers and health on loopback, and the address that webhooks go to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the process offers to others.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeFile {
    /// Port for `/metrics` and `/health`; 0 takes any free one; without it nothing is served.
    #[serde(default)]
    pub port: Option<u16>,
    /// Where the systems' webhooks are taken; without it they are not.
    #[serde(default)]
    pub webhooks: Option<WebhooksFile>,
}

/// Where webhooks are taken: `POST /hooks/SYSTEM`. It speaks plain HTTP: TLS is the work of the proxy before it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhooksFile {
    /// Address and port: `127.0.0.1:8088`, or `0.0.0.0:8088` where the proxy is on another machine.
    pub listen: String,
    /// The address that the systems are given, up to `/hooks`: `https://hooks.example.com`. Only some signatures need it.
    #[serde(default)]
    pub public_url: Option<String>,
    /// The largest body that is read (default `1MB`).
    #[serde(default)]
    pub body_limit: Option<String>,
    /// Beyond this time the answer is 503, and the system sends it again (default `50ms`).
    #[serde(default)]
    pub answer_within: Option<String>,
}
