//! Judge: whether the slot still holds every change that was not taken in, and whether the database is the one that it
//! was. Pure.

use crate::model::lsn::Lsn;
use crate::store::slot::{CaptureFacts, DatabaseIdentity, SlotFacts};

/// Why a recovery that nobody gave a target ended, as Postgres writes it into a timeline's history: a promotion.
const PROMOTED: &str = "no recovery target specified";

/// What is to be done before anything is captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the stream goes on where it stopped.
    Sound,
    /// Another server took over and brought the slot along: its last marks may be missing, so everything is compared.
    Promoted(String),
    /// Changes may have been skipped: a new slot and a comparison are due.
    Lost(String),
    /// The database says less than it did: a person must choose which side is right.
    Restored(String),
}

/// A change of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The timeline that was left.
    pub from: i32,
    /// Where.
    pub at: Lsn,
    /// Why, in the server's words.
    pub why: String,
}

/// What this process itself has seen, which no restore takes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// The furthest place up to which the log was flushed.
    pub flushed: Lsn,
    /// The furthest place that the slot was confirmed at.
    pub confirmed: Lsn,
}

/// Reads a timeline's history; lines that it does not understand are left out.
pub fn read_history(text: &str) -> Vec<Switch> {
    text.lines()
        .filter_map(|line| {
            let mut parts = line.trim().splitn(3, '\t');
            let from = parts.next()?.trim().parse().ok()?;
            let at = parts.next()?.trim().parse().ok()?;
            Some(Switch { from, at, why: parts.next().unwrap_or_default().trim().to_owned() })
        })
        .collect()
}

/// Judges what was found. `history` is that of the present timeline, and only asked for when it is another one than
/// before; `suspicion` is what the stream said when it refused to start.
pub fn judge(
    slot: Option<&SlotFacts>,
    capture: &CaptureFacts,
    identity: &DatabaseIdentity,
    history: &[Switch],
    memory: Memory,
    suspicion: Option<&str>,
) -> Verdict {
    if let Some(reason) = restored(capture, identity, history, memory) {
        return Verdict::Restored(reason);
    }
    if let Some(reason) = &capture.lost_reason {
        return Verdict::Lost(reason.clone());
    }
    let Some(slot) = slot else {
        return Verdict::Lost("the replication slot was missing".to_owned());
    };
    if slot.wal_status.as_deref() == Some("lost") || slot.invalidated.is_some() {
        let why = slot.invalidated.as_deref().unwrap_or("wal_removed");
        return Verdict::Lost(format!("the server had invalidated the replication slot ({why})"));
    }
    if let (Some(confirmed), Some(horizon)) = (slot.confirmed, capture.horizon)
        && confirmed > horizon.max(capture.confirmed)
    {
        return Verdict::Lost(format!(
            "the replication slot stood at {confirmed}, where nobody of ours has moved it (at most {horizon})"
        ));
    }
    if let Some(suspicion) = suspicion {
        return Verdict::Lost(suspicion.to_owned());
    }
    match capture.timeline {
        Some(before) if before != identity.timeline => Verdict::Promoted(format!(
            "another server took over (timeline {}, before {before})",
            identity.timeline
        )),
        _ => Verdict::Sound,
    }
}

/// Why the database counts as restored to an earlier point.
fn restored(
    capture: &CaptureFacts,
    identity: &DatabaseIdentity,
    history: &[Switch],
    memory: Memory,
) -> Option<String> {
    if let Some(reason) = &capture.restored_reason {
        return Some(reason.clone());
    }
    if let Some(before) = &capture.system_identifier
        && *before != identity.system_identifier
    {
        return Some(format!(
            "this is another database server (system identifier {}) than before ({before}): a restored dump, an upgrade or a copy",
            identity.system_identifier
        ));
    }
    let known = capture.timeline.unwrap_or(identity.timeline);
    if known == identity.timeline {
        let seen = memory.flushed.max(capture.confirmed);
        return (identity.insert < seen).then(|| {
            format!(
                "the database was put back to an earlier point: its log ends at {}, and was at {seen} before",
                identity.insert
            )
        });
    }
    let Some(left) = history.iter().position(|switch| switch.from == known) else {
        return Some(format!(
            "the database is on timeline {}, which does not come from the one before ({known})",
            identity.timeline
        ));
    };
    let passed = history.get(left..).unwrap_or_default();
    if let Some(target) = passed.iter().find(|switch| !switch.why.starts_with(PROMOTED)) {
        return Some(format!(
            "the database was restored to an earlier point (timeline {} was left {}, at {})",
            target.from, target.why, target.at
        ));
    }
    passed.first().filter(|switch| switch.at < memory.confirmed.max(capture.confirmed)).map(|switch| {
        format!(
            "the server that took over lacks changes that were taken in already: its log parts at {}, and was read up to {}",
            switch.at,
            memory.confirmed.max(capture.confirmed)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> SlotFacts {
        SlotFacts {
            name: "rowtwin".into(),
            plugin: Some("pgoutput".into()),
            database: Some("mirror".into()),
            here: true,
            active: false,
            active_pid: None,
            wal_status: Some("reserved".into()),
            retained_bytes: Some(0),
            confirmed: Some(Lsn(100)),
            invalidated: None,
        }
    }

    fn capture() -> CaptureFacts {
        CaptureFacts {
            confirmed: Lsn(90),
            horizon: Some(Lsn(150)),
            system_identifier: Some("7".into()),
            timeline: Some(2),
            ..CaptureFacts::default()
        }
    }

    fn identity(timeline: i32, insert: u64) -> DatabaseIdentity {
        DatabaseIdentity {
            system_identifier: "7".into(),
            timeline,
            insert: Lsn(insert),
            flushed: Lsn(insert),
        }
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Sound => "sound",
            Verdict::Promoted(_) => "promoted",
            Verdict::Lost(_) => "lost",
            Verdict::Restored(_) => "restored",
        }
    }

    #[test]
    fn slots_are_told_apart() {
        let now = identity(2, 200);
        let at = |confirmed| SlotFacts { confirmed: Some(Lsn(confirmed)), ..slot() };
        let status = |status: &str| SlotFacts { wal_status: Some(status.to_owned()), ..slot() };
        let idle = SlotFacts { invalidated: Some("idle_timeout".into()), ..slot() };
        for (found, suspicion, want) in [
            (Some(slot()), None, "sound"),
            // what was confirmed comes before what was written down: it comes again
            (Some(at(50)), None, "sound"),
            (Some(at(150)), None, "sound"),
            (Some(at(151)), None, "lost"),
            (Some(status("unreserved")), None, "sound"),
            (Some(status("lost")), None, "lost"),
            (Some(idle), None, "lost"),
            (None, None, "lost"),
            (Some(slot()), Some("a segment was gone"), "lost"),
        ] {
            let verdict = judge(found.as_ref(), &capture(), &now, &[], Memory::default(), suspicion);
            assert_eq!(word(&verdict), want, "{found:?}");
        }
        let given_up = CaptureFacts { lost_reason: Some("over its budget".into()), ..capture() };
        assert_eq!(
            judge(Some(&slot()), &given_up, &now, &[], Memory::default(), None),
            Verdict::Lost("over its budget".into())
        );
    }

    #[test]
    fn databases_are_told_apart() {
        let promoted =
            read_history("1\t0/50\tno recovery target specified\n\n2\t0/6E\tno recovery target specified\n");
        let back =
            read_history("1\t0/50\tno recovery target specified\n2\t0/6E\tbefore 2026-01-01 10:00:00+00\n");
        let named = read_history("2\t0/6E\tat restore point \"before_the_mistake\"\n");
        let foreign = read_history("1\t0/50\tno recovery target specified\n");
        let memory = |flushed, confirmed| Memory { flushed: Lsn(flushed), confirmed: Lsn(confirmed) };
        for (now, history, memory, want) in [
            (identity(2, 200), &[][..], memory(200, 100), "sound"),
            (identity(2, 89), &[][..], memory(0, 0), "restored"),
            (identity(2, 199), &[][..], memory(200, 100), "restored"),
            (identity(3, 200), &promoted[..], memory(0, 0), "promoted"),
            (identity(3, 200), &promoted[..], memory(300, 110), "promoted"),
            (identity(3, 200), &promoted[..], memory(300, 111), "restored"),
            (identity(3, 200), &back[..], memory(0, 0), "restored"),
            (identity(3, 200), &named[..], memory(0, 0), "restored"),
            (identity(3, 200), &foreign[..], memory(0, 0), "restored"),
            (
                DatabaseIdentity { system_identifier: "8".into(), ..identity(2, 200) },
                &[][..],
                memory(0, 0),
                "restored",
            ),
        ] {
            let verdict = judge(Some(&slot()), &capture(), &now, history, memory, None);
            assert_eq!(word(&verdict), want, "{now:?} {history:?} {memory:?}: {verdict:?}");
        }
        let held = CaptureFacts { restored_reason: Some("earlier".into()), ..capture() };
        let verdict = judge(None, &held, &identity(2, 200), &[], Memory::default(), None);
        assert_eq!(verdict, Verdict::Restored("earlier".into()), "until a person decides");
    }

    #[test]
    fn a_history_that_is_not_understood_gives_what_is() {
        let read = read_history("# comment\n1\t0/3000000\tno recovery target specified\nx\ty\n2\n");
        assert_eq!(read, [Switch { from: 1, at: Lsn(0x300_0000), why: PROMOTED.into() }]);
        assert_eq!(read_history(""), []);
    }
}
