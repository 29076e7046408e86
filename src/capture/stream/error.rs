//! What can go wrong with the replication connection: whether it passes by itself, and what to do if not.

use std::fmt;
use std::io;

/// Whether a fault is worth another try without anybody's help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Passes by itself: connect again after a while.
    Transient,
    /// Stays until a person, or the care of the slot, changes something.
    Operator,
}

/// Faults that the engine treats differently from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The user or the password is not accepted, or the user may not replicate.
    SignIn,
    /// The server lacks `wal_level = logical`.
    WalLevel,
    SlotMissing,
    /// Another process reads from the slot: stand by.
    SlotInUse,
    /// The server has thrown away WAL that the slot needed: a new slot and a comparison of every row are due (R13).
    SlotInvalidated,
    PublicationMissing,
    /// Anything else.
    Other,
}

/// What was being done when the server refused; the same code means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    SignIn,
    Identify,
    Start,
    Stream,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignIn => "signing in",
            Self::Identify => "identifying the server",
            Self::Start => "starting the replication stream",
            Self::Stream => "streaming changes",
        })
    }
}

/// An error as the server told it. Its detail is left out: it may quote rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    pub(super) phase: Phase,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
    pub(super) fault: Fault,
}

impl ServerError {
    /// A warning that says no more than that changes are being left out, which is as bad as an error.
    pub(super) fn left_out(self) -> ServerError {
        ServerError { fault: Fault::PublicationMissing, ..self }
    }

    pub(super) fn new(
        phase: Phase,
        code: String,
        message: String,
        hint: Option<String>,
        slot: Option<&str>,
    ) -> ServerError {
        let fault = fault_of(phase, &code, &message, slot);
        ServerError { phase, code, message, hint, fault }
    }
}

/// The texts of messages may be translated; names of settings and slots in them are not.
fn fault_of(phase: Phase, code: &str, message: &str, slot: Option<&str>) -> Fault {
    let names_slot = slot.is_some_and(|slot| message.contains(slot));
    match (phase, code) {
        (_, "28000" | "28P01") => Fault::SignIn,
        (Phase::SignIn | Phase::Start, "42501") => Fault::SignIn,
        (_, "55006") => Fault::SlotInUse,
        (Phase::Start, "42704") => Fault::SlotMissing,
        (Phase::Stream, "42704") => Fault::PublicationMissing,
        (_, "55000") if message.contains("wal_level") => Fault::WalLevel,
        (Phase::Start | Phase::Stream, "55000") if names_slot => Fault::SlotInvalidated,
        // A segment of the log that is needed is not there any more.
        (Phase::Start | Phase::Stream, "58P01") => Fault::SlotInvalidated,
        _ => Fault::Other,
    }
}

/// Why there is no replication stream, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("could not reach the database at {address}: {source}")]
    Connect { address: String, source: io::Error },
    #[error("the database at {address} gave no answer within {seconds} s")]
    NoAnswer { address: String, seconds: u64 },
    #[error("the database at {address} offers no TLS, but sslmode asks for it")]
    NoTls { address: String },
    #[error("TLS with the database at {address} failed: {source}")]
    Tls { address: String, source: io::Error },
    #[error("the database address lacks {what}")]
    Incomplete { what: &'static str },
    #[error("the database asks for a sign-in by {method}, which is not supported")]
    UnsupportedSignIn { method: String },
    /// The server did not prove that it knows the password, or did not keep to SCRAM.
    #[error("the sign-in by SCRAM failed: {source}")]
    Scram { source: io::Error },
    #[error("the database refused while {}: {} (SQLSTATE {})", .0.phase, .0.message, .0.code)]
    Server(ServerError),
    #[error("the connection to the database broke: {source}")]
    Io { source: io::Error },
    #[error("the database closed the replication connection")]
    Closed,
    #[error("the database sent something that does not belong into a replication stream: {what}")]
    Protocol { what: String },
}

impl StreamError {
    /// Whether the same is worth trying again.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. } | Self::NoAnswer { .. } | Self::Io { .. } | Self::Closed => {
                ErrorClass::Transient
            }
            // What rustls itself finds wrong comes as invalid data; all else is the network.
            Self::Tls { source, .. } if source.kind() == io::ErrorKind::InvalidData => ErrorClass::Operator,
            Self::Tls { .. } => ErrorClass::Transient,
            Self::Server(error) => match error.fault {
                Fault::SlotInUse => ErrorClass::Transient,
                Fault::Other => class_of_code(&error.code),
                _ => ErrorClass::Operator,
            },
            Self::NoTls { .. }
            | Self::Incomplete { .. }
            | Self::UnsupportedSignIn { .. }
            | Self::Scram { .. }
            | Self::Protocol { .. } => ErrorClass::Operator,
        }
    }

    /// Which of the faults that are treated differently it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Server(error) => error.fault,
            Self::Scram { .. } | Self::UnsupportedSignIn { .. } => Fault::SignIn,
            _ => Fault::Other,
        }
    }

    /// The five letters of SQL, where the server gave them.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server(error) => Some(&error.code),
            _ => None,
        }
    }

    /// What a person can do about it, in a sentence.
    pub fn hint(&self) -> String {
        let cure = match self {
            Self::Connect { .. } | Self::NoAnswer { .. } => {
                "check host and port, and that the server runs and may be reached from here"
            }
            Self::NoTls { .. } => "switch ssl on in the server, or set sslmode=prefer in the address",
            Self::Tls { .. } => {
                "name the authority that signed the server's certificate in sslrootcert, and use the host name that \
                 the certificate is made out to"
            }
            Self::Incomplete { .. } => "complete the address: postgres://user:password@host:port/database",
            Self::UnsupportedSignIn { .. } => "let pg_hba.conf ask this user for scram-sha-256",
            Self::Scram { .. } => "check that the address leads to the right server",
            Self::Io { .. } | Self::Closed => "nothing: it is tried again",
            Self::Protocol { .. } => "check that the address leads to Postgres itself and not to a pooler",
            Self::Server(error) => match (error.fault, &error.hint) {
                (Fault::SignIn, _) => {
                    "check user and password, pg_hba.conf, and that the user may replicate: alter role … replication"
                }
                (Fault::WalLevel, _) => "set wal_level = logical and restart the server",
                (Fault::SlotMissing, _) => {
                    "let the slot be made again; every row is then compared with its shadow"
                }
                (Fault::SlotInUse, _) => {
                    "nothing if another process of ours runs; else see pg_replication_slots.active_pid"
                }
                (Fault::SlotInvalidated, _) => {
                    "raise max_slot_wal_keep_size and let the slot be made again; every row is then compared with its \
                     shadow"
                }
                (Fault::PublicationMissing, _) => "let the publication be made again",
                (Fault::Other, Some(hint)) => return hint.clone(),
                (Fault::Other, None) => "see the server's log",
            },
        };
        cure.to_owned()
    }
}

/// Classes of SQLSTATE that pass: connections, resources, shutdowns, conflicts of transactions.
fn class_of_code(code: &str) -> ErrorClass {
    match code.get(..2) {
        Some("08" | "40" | "53" | "57") => ErrorClass::Transient,
        _ => ErrorClass::Operator,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(phase: Phase, code: &str, message: &str) -> StreamError {
        StreamError::Server(ServerError::new(phase, code.into(), message.into(), None, Some("rowtwin")))
    }

    #[test]
    fn refusals_are_told_apart_whatever_the_language() {
        use ErrorClass::{Operator, Transient};
        for (phase, code, message, fault, class) in [
            (Phase::SignIn, "28P01", "password authentication failed", Fault::SignIn, Operator),
            (
                Phase::Start,
                "55006",
                "replication slot \"rowtwin\" is active for PID 7",
                Fault::SlotInUse,
                Transient,
            ),
            (
                Phase::Start,
                "42704",
                "Replikationsslot »rowtwin« existiert nicht",
                Fault::SlotMissing,
                Operator,
            ),
            (
                Phase::Start,
                "55000",
                "can no longer get changes from replication slot \"rowtwin\"",
                Fault::SlotInvalidated,
                Operator,
            ),
            (
                Phase::Start,
                "55000",
                "logical decoding requires wal_level >= logical",
                Fault::WalLevel,
                Operator,
            ),
            (Phase::Stream, "42704", "publication \"p\" does not exist", Fault::PublicationMissing, Operator),
            (Phase::Stream, "57P01", "terminating connection", Fault::Other, Transient),
            (Phase::SignIn, "3D000", "database \"x\" does not exist", Fault::Other, Operator),
        ] {
            let error = refused(phase, code, message);
            assert_eq!((error.fault(), error.class()), (fault, class), "{error}");
            assert!(!error.hint().is_empty());
        }
    }
}
