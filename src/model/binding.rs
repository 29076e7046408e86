//! Bindings: one table tied to one object of one system.

use serde::{Deserialize, Serialize};

/// Which way a field or a whole binding flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Both,
    /// Only from the table to the remote.
    Push,
    /// Only from the remote to the table.
    Pull,
}

impl Direction {
    pub fn pushes(self) -> bool {
        matches!(self, Self::Both | Self::Push)
    }

    pub fn pulls(self) -> bool {
        matches!(self, Self::Both | Self::Pull)
    }
}

/// By what a record names another one that it refers to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ReferredBy {
    /// The other record's id.
    Id,
    /// Its number or code: what the connector calls its reference.
    Reference,
}

impl ReferredBy {
    /// The word used in configuration and SQL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Reference => "reference",
        }
    }
}

/// What a delete on one side does on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeletePolicy {
    /// The other side's record or row is deleted.
    #[default]
    Delete,
    /// The other side's record is deactivated, by the connector's own way of doing so.
    Deactivate,
    /// The other side keeps its record; the two are no longer twins.
    Keep,
}

/// Who wins where one side was deleted and the other edited. What loses is kept as a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgainstEdit {
    /// The edited side stays, and gets a new twin.
    #[default]
    Edit,
    /// The delete goes through on both sides.
    Delete,
}

/// Which side a row and a record take their values from when they meet for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// The remote record is right; where it holds nothing the row fills it.
    #[default]
    Record,
    /// The row is right; where it holds nothing the record fills it.
    Row,
    /// The side changed last is right.
    Newest,
}

/// Whether a field waits for a person before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Approval {
    #[default]
    Never,
    /// A changed value waits.
    Updates,
    /// So does a new record that has a value for it.
    Creates,
}

impl Approval {
    /// Whether nobody is asked.
    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// How many deletes or changes a binding allows within an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowance {
    Unlimited,
    /// This share of the linked rows, 0 to 1.
    Share(f64),
    Rows(u64),
}

/// What a binding allows within an hour; more is held until somebody approves it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guard {
    pub deletes: Allowance,
    pub changes: Allowance,
    /// So many are always allowed where the allowance is a share: small tables have nothing to lose.
    pub at_least: u64,
}

impl Default for Guard {
    fn default() -> Self {
        Self { deletes: Allowance::Share(0.2), changes: Allowance::Unlimited, at_least: 100 }
    }
}

/// When a field that goes back and forth is frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brake {
    /// How often the direction may turn.
    pub turns: u32,
    pub within: std::time::Duration,
}

impl Default for Brake {
    fn default() -> Self {
        Self { turns: 6, within: std::time::Duration::from_secs(600) }
    }
}

/// What becomes of the record when its row leaves the binding's filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaving {
    /// It stays, and nothing flows until the row comes back.
    #[default]
    Keep,
    /// It is deleted (or deactivated) like that of a deleted row.
    Delete,
}

/// What protects a remote edit that was not pulled yet from being overwritten by a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverwriteCheck {
    /// Versions where the remote checks them, else the batch's records are read first (one call a batch).
    #[default]
    Read,
    /// Nothing: saves the read, and an edit made in the remote since the last poll may be overwritten.
    None,
}
