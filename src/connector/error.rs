//! Errors of the connector room. Outcomes of calls are not errors: see `model::outcome`.

/// Why a client or an ability cannot be had: the operator has to change something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectorError {
    #[error("connector {connector} knows no lines {collection} of {object}; there are {known}")]
    Lines { connector: String, object: String, collection: String, known: String },
    #[error("system {system} (connector {connector}): setting {setting}: {cure}")]
    Setting { system: String, connector: String, setting: String, cure: String },
    #[error("connector {connector} has no object {object}; there are {known}")]
    Object { connector: String, object: String, known: String },
    #[error("system {system} (connector {connector}): {reason}")]
    Expression { system: String, connector: String, reason: String },
    #[error("there is no connector {name}: {reason}")]
    Unknown { name: String, reason: String },
}

/// One mistake in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", place(file, *line))]
pub struct ManifestError {
    pub file: String,
    /// Counted from 1; 0 where it is not known.
    pub line: u64,
    pub message: String,
}

fn place(file: &str, line: u64) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

/// All mistakes found in a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestErrors(pub Vec<ManifestError>);

impl std::fmt::Display for ManifestErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ManifestErrors {}
