//! Why the engine does not start or go on, each with its cure.

use crate::capture::worker::CaptureError;
use crate::connector::{ConnectorError, ManifestErrors};
use crate::postgres::AddressError;
use crate::remote::transport::TransportError;
use crate::store::StoreError;

/// What stops the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The configuration or the tables it names; all findings at once.
    #[error("{}", .0.join("\n"))]
    Configuration(Vec<String>),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The database is not fit for logical replication, or was not prepared.
    #[error("{0}")]
    Database(String),
}

impl EngineError {
    /// Whether a person must change what they wrote (exit code 2) rather than something in operation (1).
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Configuration(_) | Self::Address(_))
    }
}

impl From<ManifestErrors> for EngineError {
    fn from(errors: ManifestErrors) -> Self {
        Self::Configuration(vec![errors.to_string()])
    }
}

impl From<ConnectorError> for EngineError {
    fn from(error: ConnectorError) -> Self {
        Self::Configuration(vec![error.to_string()])
    }
}

impl From<TransportError> for EngineError {
    fn from(error: TransportError) -> Self {
        Self::Database(format!("the HTTP client cannot be set up: {error}"))
    }
}
