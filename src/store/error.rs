//! What can go wrong with the database, by what to do about it.

use tokio_postgres::error::SqlState;

/// A failed statement or connection.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or refuses us.
    #[error("cannot connect to the mirror database: {0}")]
    Connect(String),
    /// A statement failed.
    #[error("{}", describe(.0))]
    Statement(#[from] tokio_postgres::Error),
    /// The migrations could not be applied.
    #[error("the migrations could not be applied: {0}")]
    Migration(String),
    /// A table cannot be used as it is.
    #[error("{0}")]
    Table(String),
    /// Another process captures; what this one still had in hand comes to that one, too.
    #[error("another process has taken over capture from the slot {slot}; this one stands by")]
    Superseded {
        /// The slot.
        slot: String,
    },
    /// The database answered something that this version does not understand.
    #[error("the database answered something unexpected: {0}")]
    Unexpected(String),
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It goes away by itself: tried again.
    Transient,
    /// This row or record will fail the same way again.
    Definite,
    /// A person has to change something.
    Operator,
}

impl From<deadpool_postgres::PoolError> for StoreError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) if error.as_db_error().is_none() => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                Self::Connect(cause.unwrap_or_else(|| error.to_string()))
            }
            deadpool_postgres::PoolError::Backend(error) => Self::Statement(error),
            other => Self::Connect(other.to_string()),
        }
    }
}

impl StoreError {
    /// Who has to act.
    pub fn class(&self) -> Class {
        match self {
            Self::Connect(_) => Class::Transient,
            Self::Statement(error) => match error.code() {
                None => Class::Transient,
                Some(code) => class_of(code),
            },
            Self::Migration(_) | Self::Table(_) => Class::Operator,
            Self::Unexpected(_) | Self::Superseded { .. } => Class::Transient,
        }
    }

    /// The reason without row values: what Postgres says of a failed row, for `rowtwin.inbox`.
    pub fn reason(&self) -> String {
        match self {
            Self::Statement(error) => match error.as_db_error() {
                Some(db) => db.message().to_owned(),
                None => self.to_string(),
            },
            other => other.to_string(),
        }
    }
}

fn class_of(code: &SqlState) -> Class {
    match code.code().get(..2) {
        // data exceptions, constraint violations, errors raised by the table's own triggers
        Some("22" | "23" | "44" | "P0") => Class::Definite,
        Some("28" | "3D" | "42" | "0A") => Class::Operator,
        _ => Class::Transient,
    }
}

fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => {
            let hint = db.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("{} [{}]{hint}", db.message(), db.code().code())
        }
        None => {
            let cause =
                std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("{error}{cause}")
        }
    }
}
