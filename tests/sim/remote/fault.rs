//! What may go wrong between us and a remote. A fault is armed, and strikes the next call that it fits.

use serde::{Deserialize, Serialize};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Op {
    SignIn,
    List,
    Read,
    Find,
    Create,
    Update,
    Delete,
}

impl Op {
    pub const ALL: [Self; 6] = [Self::List, Self::Read, Self::Find, Self::Create, Self::Update, Self::Delete];

    pub fn word(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::List => "list",
            Self::Read => "read",
            Self::Find => "find",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    pub fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }
}

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// It is done, and the connection breaks before the answer.
    LostAnswer,
    /// The connection breaks at once, and it is done some time later.
    LateCommit,
    /// It is not done, and says so with this status.
    Refused(u16),
    /// It is done, and a gateway answers with this status.
    GatewayAfter(u16),
    /// Too many calls: not before some seconds.
    Throttled,
    /// Only the first record of a batch is done; the others are to be sent again.
    Partial,
    /// The records of the answer come in another order, some of them twice.
    Shuffled,
    /// Every other record is not in the answer.
    Hidden,
    /// The token is no longer taken.
    Expired,
    /// It is done, and the answer is a page for people.
    Html,
    /// It is done, and the answer breaks off.
    Truncated,
    /// It is done, and the answer is JSON of another shape.
    WrongShape,
    /// The call waits, before it is done, until the story lets it go on.
    HeldBefore,
    /// The call is done, and its answer waits until the story lets it go on.
    HeldAfter,
    /// Our process dies when the call has arrived and nothing is done.
    DeathBefore,
    /// Our process dies when the call is done and before the answer.
    DeathAfter,
}

impl Fault {
    /// In a story's words.
    pub fn words(self) -> String {
        match self {
            Self::LostAnswer => "is done and its answer is lost".to_owned(),
            Self::LateCommit => "breaks off and is done later".to_owned(),
            Self::Refused(status) => format!("is not done: status {status}"),
            Self::GatewayAfter(status) => format!("is done, and a gateway says status {status}"),
            Self::Throttled => "is throttled".to_owned(),
            Self::Partial => "is done for the first record only".to_owned(),
            Self::Shuffled => "answers in another order, and twice".to_owned(),
            Self::Hidden => "hides every other record".to_owned(),
            Self::Expired => "finds its token expired".to_owned(),
            Self::Html => "is done and answers with HTML".to_owned(),
            Self::Truncated => "is done and its answer breaks off".to_owned(),
            Self::WrongShape => "is done and answers in another shape".to_owned(),
            Self::HeldBefore => "hangs before it is done".to_owned(),
            Self::HeldAfter => "is done and its answer hangs".to_owned(),
            Self::DeathBefore => "kills our process before it is done".to_owned(),
            Self::DeathAfter => "kills our process after it is done".to_owned(),
        }
    }

    /// The calls that it can strike.
    pub fn fits(self, op: Op) -> bool {
        match self {
            Self::LateCommit | Self::Partial => op.writes(),
            Self::Shuffled => matches!(op, Op::List | Op::Read | Op::Find),
            Self::Hidden => op == Op::List,
            _ => true,
        }
    }

    /// Whether the caller has the whole answer to what was done.
    pub fn answers(self) -> bool {
        matches!(
            self,
            Self::Partial
                | Self::Shuffled
                | Self::Hidden
                | Self::Throttled
                | Self::Expired
                | Self::Refused(_)
        )
    }
}
