//! Decide: what one key needs, from its row, its link and its shadow. Pure.

use serde_json::Value;
use std::time::Duration;

use crate::bound::Bound;
use crate::deliver::approval::or_hold;
use crate::deliver::look::Looked;
use crate::deliver::steps::{Step, after_save, before_save};
use crate::mapping::reference::Missing;
use crate::model::binding::{DeletePolicy, Leaving};
use crate::model::record::Record;
use crate::store::link::{Link, LinkState};
use crate::store::outbox::Settlement;

/// What a key needs.
#[derive(Debug)]
pub enum Decision {
    /// No call: settle it so.
    Settle(AtOnce),
    /// The row has no twin: find one or make one. Holds the fields to send.
    Create(Record),
    /// It refers to a row that has no record yet.
    Wait(Missing),
    /// A create was under way and its answer is not known.
    Doubt,
    /// The twin lacks these fields' values.
    Update(Record),
    Delete {
        deactivate: bool,
    },
    /// The record must be read and merged before anything is sent; why.
    Reread(&'static str),
    /// The record must be taken back before a save, or on after one.
    Step(Step),
    /// Where the record stands must be read; if it still stands there, the change is refused for this reason.
    Stage {
        refusal: Option<String>,
    },
    /// Lines were sent that long ago and their answer was lost: the record is read until they must have turned up.
    UnseenLines(Duration),
    /// Nothing to send, but the row does not carry its remote id yet.
    WriteBack(String),
}

/// A decision that needs no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtOnce {
    Nothing,
    /// Capture has not come to what happened to the row.
    Later,
    /// The row is outside of the binding's filter: its link and record stay as they are.
    Outside,
    /// The row is gone and so is what was left of the link.
    Forget,
    /// The row is gone and the record stays, by policy.
    Keep,
    Reject {
        field: Option<String>,
        reason: String,
    },
    /// It waits for a person's approval; what would be sent.
    Hold {
        reason: String,
        field: Option<String>,
        would: Value,
    },
}

impl Decision {
    /// For logs and `plan`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Settle(AtOnce::Nothing) => "nothing",
            Self::Settle(AtOnce::Later) => "later",
            Self::Settle(AtOnce::Outside) => "outside",
            Self::Settle(AtOnce::Forget) => "forget",
            Self::Settle(AtOnce::Keep) => "keep",
            Self::Settle(AtOnce::Reject { .. }) => "reject",
            Self::Settle(AtOnce::Hold { .. }) => "hold",
            Self::Create(_) => "create",
            Self::Wait(_) => "wait",
            Self::Doubt => "doubt",
            Self::Update(_) => "update",
            Self::Delete { deactivate: false } => "delete",
            Self::Delete { deactivate: true } => "deactivate",
            Self::Reread(_) | Self::UnseenLines(_) => "read first",
            Self::Step(_) => "step",
            Self::Stage { .. } => "read stage",
            Self::WriteBack(_) => "write back",
        }
    }
}

impl AtOnce {
    /// The settlement of a looked-at key.
    pub fn by(self, looked: &Looked) -> Settlement {
        let base = Settlement {
            key: looked.key.clone(),
            verdict: "done",
            remote_id: looked.remote_id().map(str::to_owned),
            actor: looked.actor.clone(),
            ..Settlement::default()
        };
        match self {
            Self::Nothing => base,
            Self::Outside => Settlement { link: Some("outside"), ..base },
            Self::Later => Settlement { verdict: "again", wait_ms: Some(200), ..base },
            Self::Forget => Settlement { link: looked.link.is_some().then_some("unlinked"), ..base },
            Self::Keep => Settlement {
                link: Some("kept"),
                effect: Some("unlink"),
                side: Some("link"),
                reason: Some("the row was deleted and the policy keeps the record".to_owned()),
                ..base
            },
            Self::Reject { field, reason } => Settlement {
                verdict: "rejected",
                effect: Some("reject"),
                side: Some("link"),
                field,
                reason: Some(reason),
                ..base
            },
            Self::Hold { reason, field, would } => Settlement {
                verdict: "held",
                hold: Some("approval"),
                field,
                reason: Some(reason),
                would: Some(would),
                ..base
            },
        }
    }
}

/// Decides what a key needs.
pub fn decide(looked: &Looked, bound: &Bound) -> Decision {
    match (&looked.row, &looked.link) {
        (None, None) => Decision::Settle(AtOnce::Nothing),
        (None, Some(link)) => match link.state {
            LinkState::Kept => Decision::Settle(AtOnce::Forget),
            // truncated, or another key now: capture comes to it, and then it is held or moved
            LinkState::Linked if !looked.row_gone => Decision::Settle(AtOnce::Later),
            // the create may have gone through: it must be found before it can be deleted
            LinkState::Creating => Decision::Doubt,
            LinkState::Linked => match bound.to_remote {
                // a save of ours is finished first: afterwards nobody would know that it is not
                DeletePolicy::Keep => after_save(looked, bound).unwrap_or(Decision::Settle(AtOnce::Keep)),
                policy => delete(looked, bound, policy == DeletePolicy::Deactivate),
            },
        },
        (Some(_), link) if looked.outside => outside(looked, link.as_ref(), bound),
        (Some(_), link) => {
            let encoded = match &looked.encoded {
                Some(Ok(encoded)) => encoded,
                None => return Decision::Settle(AtOnce::Later),
                Some(Err(error)) => {
                    let (field, reason) = (Some(error.field.clone()), error.reason.clone());
                    return Decision::Settle(AtOnce::Reject { field, reason });
                }
            };
            match link {
                None => {
                    let mut record = bound.mapping.new_record(encoded);
                    if let Some(missing) = bound.mapping.missing(&record) {
                        if !looked.loose {
                            return Decision::Wait(missing);
                        }
                        record = bound.mapping.without_missing(record);
                    }
                    checked(bound, record, |record| or_hold(Decision::Create(record), looked, bound))
                }
                Some(link) => match (link.state, &link.shadow) {
                    (LinkState::Kept, _) => Decision::Settle(AtOnce::Nothing),
                    (LinkState::Creating, _) => Decision::Doubt,
                    (LinkState::Linked, None) => Decision::Reread("first comparison"),
                    (LinkState::Linked, _) if link.outside && bound.abilities.can_read => {
                        Decision::Reread("back inside of the filter")
                    }
                    (LinkState::Linked, Some(shadow))
                        if bound.mapping.outgrown(shadow) && bound.abilities.can_read =>
                    {
                        Decision::Reread("first comparison of a new field")
                    }
                    (LinkState::Linked, Some(shadow)) => {
                        let changes = bound.mapping.push_diff(encoded, shadow, &looked.held);
                        if let Some(missing) = bound.mapping.missing(&changes) {
                            return Decision::Wait(missing);
                        }
                        if bound.mapping.touches_lines(&changes) {
                            match looked.lines_unseen {
                                Some(age) if age < bound.doubt_window => return Decision::UnseenLines(age),
                                _ if bound.mapping.has_unseen_lines(shadow) => {
                                    return Decision::Reread("the ids of its lines are not known yet");
                                }
                                _ => {}
                            }
                        }
                        if !changes.is_empty() {
                            // what cannot be sent anyway, or not yet, is no reason to take the record back
                            let go = |changes| or_hold(Decision::Update(changes), looked, bound);
                            return match checked(bound, changes, go) {
                                Decision::Update(changes) => {
                                    before_save(looked, bound).unwrap_or(Decision::Update(changes))
                                }
                                refused => refused,
                            };
                        }
                        if let Some(decision) = after_save(looked, bound) {
                            return decision;
                        }
                        match write_back(looked, bound) {
                            Some(id) => Decision::WriteBack(id),
                            None => Decision::Settle(AtOnce::Nothing),
                        }
                    }
                },
            }
        }
    }
}

/// The row does not belong to the binding: nothing flows.
fn outside(looked: &Looked, link: Option<&Link>, bound: &Bound) -> Decision {
    let Some(link) = link else { return Decision::Settle(AtOnce::Nothing) };
    match (link.state, bound.leaving, bound.to_remote) {
        (LinkState::Kept, ..) => Decision::Settle(AtOnce::Nothing),
        (LinkState::Creating, ..) => Decision::Doubt,
        (LinkState::Linked, Leaving::Keep, _) | (LinkState::Linked, _, DeletePolicy::Keep) => {
            after_save(looked, bound).unwrap_or(Decision::Settle(AtOnce::Outside))
        }
        (LinkState::Linked, Leaving::Delete, policy) => {
            delete(looked, bound, policy == DeletePolicy::Deactivate)
        }
    }
}

/// A delete, once a person has approved it where that is asked for, and from where the record can be deleted.
fn delete(looked: &Looked, bound: &Bound, deactivate: bool) -> Decision {
    match or_hold(Decision::Delete { deactivate }, looked, bound) {
        Decision::Delete { deactivate: false } => {
            before_save(looked, bound).unwrap_or(Decision::Delete { deactivate: false })
        }
        other => other,
    }
}

/// The remote id that the row is to carry and does not yet.
pub(super) fn write_back(looked: &Looked, bound: &Bound) -> Option<String> {
    let (column, row, id) = (bound.id_column.as_ref()?, looked.row.as_ref()?, looked.remote_id()?);
    (row.get(column).and_then(|value| value.as_str()) != Some(id)).then(|| id.to_owned())
}

fn checked(bound: &Bound, values: Record, go: impl FnOnce(Record) -> Decision) -> Decision {
    match bound.mapping.check(&values) {
        Some(error) => Decision::Settle(AtOnce::Reject { field: Some(error.field), reason: error.reason }),
        None => go(values),
    }
}
