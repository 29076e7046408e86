//! Outcomes: what an answer of a remote means for one record, whatever words the remote used.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::record::Record;

/// What happened to one record in a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done. `record` holds what the remote says the record is now, `reference` the name by which other records refer to
    /// it, and `lines` the ids of the lines that were added, in the order sent, by collection: where its answer tells.
    Ok {
        id: Option<String>,
        version: Option<String>,
        record: Option<Box<Record>>,
        reference: Option<String>,
        lines: Box<Record>,
    },
    /// A create met a record that is there already; `id` where the answer names it.
    Exists { id: Option<String>, reason: String },
    /// Not done, may be tried again by itself after a while.
    Retry { after: Option<Duration>, reason: String },
    /// Not done: a limit of the remote is used up until then.
    Throttled { after: Option<Duration>, reason: String },
    /// Not done: the sign-in is no longer good. The client signs in again once and repeats the call.
    SignInAgain { reason: String },
    /// The record is not there (any more).
    Gone { reason: String },
    /// Not done: the record changed meanwhile; read it, merge, decide again.
    Conflict { reason: String },
    /// Not done, and this record will fail the same way until a person mends it.
    Reject { field: Option<String>, reason: String },
    /// Not done: settings, rights or the manifest are wrong; every record of the system would fail.
    Misconfigured { reason: String },
    /// The answer was lost (time-out, cut connection, unreadable body after a write): it may have been done.
    Unknown { reason: String },
}

/// The outcome's word, as manifests, the journal and metrics spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    Ok,
    Exists,
    Retry,
    Throttled,
    SignInAgain,
    Gone,
    Conflict,
    Reject,
    Misconfigured,
    Unknown,
}

impl OutcomeKind {
    /// The word used in SQL, metrics and manifests.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Exists => "exists",
            Self::Retry => "retry",
            Self::Throttled => "throttled",
            Self::SignInAgain => "sign_in_again",
            Self::Gone => "gone",
            Self::Conflict => "conflict",
            Self::Reject => "reject",
            Self::Misconfigured => "misconfigured",
            Self::Unknown => "unknown",
        }
    }
}

impl Outcome {
    /// Done, and nothing more was said.
    pub fn ok() -> Self {
        Self::Ok { id: None, version: None, record: None, reference: None, lines: Box::default() }
    }

    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Ok { .. } => OutcomeKind::Ok,
            Self::Exists { .. } => OutcomeKind::Exists,
            Self::Retry { .. } => OutcomeKind::Retry,
            Self::Throttled { .. } => OutcomeKind::Throttled,
            Self::SignInAgain { .. } => OutcomeKind::SignInAgain,
            Self::Gone { .. } => OutcomeKind::Gone,
            Self::Conflict { .. } => OutcomeKind::Conflict,
            Self::Reject { .. } => OutcomeKind::Reject,
            Self::Misconfigured { .. } => OutcomeKind::Misconfigured,
            Self::Unknown { .. } => OutcomeKind::Unknown,
        }
    }

    /// Why, in the remote's words where it gave any; empty for `Ok`.
    pub fn reason(&self) -> &str {
        match self {
            Self::Ok { .. } => "",
            Self::Exists { reason, .. }
            | Self::Retry { reason, .. }
            | Self::Throttled { reason, .. }
            | Self::SignInAgain { reason }
            | Self::Gone { reason }
            | Self::Conflict { reason }
            | Self::Reject { reason, .. }
            | Self::Misconfigured { reason }
            | Self::Unknown { reason } => reason,
        }
    }

    /// Whether the system as a whole is in trouble, rather than this one record.
    pub fn is_systemic(&self) -> bool {
        matches!(
            self,
            Self::Retry { .. }
                | Self::Throttled { .. }
                | Self::SignInAgain { .. }
                | Self::Misconfigured { .. }
                | Self::Unknown { .. }
        )
    }
}

/// The answer to a call that wrote a batch of records.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchAnswer {
    /// One outcome per item sent, in the order sent.
    pub outcomes: Vec<Outcome>,
    /// True when the remote gave one answer for the whole batch: a bad record among good ones cannot be told
    /// apart, so the batch is halved until the bad one is alone.
    pub whole: bool,
}
