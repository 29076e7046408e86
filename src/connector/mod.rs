//! The only room that knows a remote's language: manifests, expressions, requests and the meaning of answers.
//!
//! A [`Connector`] is a compiled manifest, shared by all systems of its kind; a [`Client`] is one system spoken
//! to through it. Everything that leaves this room is a record, an [`Outcome`](crate::model::outcome::Outcome)
//! or an error that names the place and the cure.

mod answer;
mod attach;
mod built_in;
mod call;
pub mod cases;
mod charset;
pub mod client;
pub mod compiled;
pub mod error;
pub mod expr;
pub mod items;
mod kept;
pub mod lines;
mod load;
pub mod manifest;
mod object_spec;
pub mod openapi;
mod records;
mod request;
pub mod settings;
mod sign_in;
mod steps;
pub mod webhook;
mod webhook_encryption;
mod webhook_load;
mod webhook_spec;

pub use cases::{CaseResult, run_cases};
pub use client::{Change, Client, FieldInfo, NewRecord, Page, Removal, same_field};
pub use compiled::{Abilities, Connector, Limits};
pub use error::{ConnectorError, ManifestError, ManifestErrors};
pub use settings::{SettingValue, Settings};
pub use webhook::{Told, Webhook, WebhookRefusal};
