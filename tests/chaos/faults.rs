//! What is done to the processes, their connections and their disk.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::dice::Dice;
use crate::process::signal;
use crate::stage::Stage;

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KillRowtwin,
    KillBothRowtwins,
    KillPostgres,
    KillFirstOfPostgres,
    KillSession,
    StopRowtwin,
    PauseRowtwin,
    PausePostgres,
    PauseSession,
    PauseRemote,
    CutPostgres,
    StallPostgres,
    ClosePostgres,
    CutRemote,
    StallRemote,
    CloseRemote,
    TroubleRemote,
    FillDisk,
}

use Kind::*;

/// How often each comes, and what it is called.
const KINDS: [(Kind, u64, &str); 18] = [
    (KillRowtwin, 34, "SIGKILL a rowtwin"),
    (KillBothRowtwins, 6, "SIGKILL both rowtwins"),
    (KillPostgres, 4, "SIGKILL Postgres, all of it"),
    (KillFirstOfPostgres, 4, "SIGKILL the first process of Postgres"),
    (KillSession, 6, "SIGKILL a session of Postgres"),
    (StopRowtwin, 4, "SIGTERM a rowtwin"),
    (PauseRowtwin, 8, "SIGSTOP a rowtwin"),
    (PausePostgres, 2, "SIGSTOP Postgres, all of it"),
    (PauseSession, 4, "SIGSTOP a session of Postgres"),
    (PauseRemote, 3, "SIGSTOP a system"),
    (CutPostgres, 5, "cut the connections to Postgres"),
    (StallPostgres, 3, "stall the connections to Postgres"),
    (ClosePostgres, 2, "refuse connections to Postgres"),
    (CutRemote, 6, "cut the connections to a system"),
    (StallRemote, 3, "stall the connections to a system"),
    (CloseRemote, 2, "refuse connections to a system"),
    (TroubleRemote, 8, "a wrong answer of a system"),
    (FillDisk, 3, "fill the disk of Postgres"),
];

/// What a system does wrong by itself.
const TROUBLES: [&str; 10] = [
    "lost-answer@create",
    "lost-answer@update",
    "lost-answer@delete",
    "late-commit:2s@create",
    "status:503",
    "malformed:truncated@create",
    "malformed:html@query",
    "token-expired@update",
    "partial-batch@BatchSave",
    "slow:3s@update",
];

impl Kind {
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, _, _)| *kind)
    }

    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _, _)| *kind == self).map_or("", |(_, _, name)| name)
    }

    pub fn by_chance(dice: &mut Dice) -> Self {
        let mut left = dice.below(KINDS.iter().map(|(_, weight, _)| weight).sum());
        for (kind, weight, _) in KINDS {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        KillRowtwin
    }

    /// Does it, and undoes what lasts. Says how many processes were killed, and whether anything was struck at all.
    pub async fn strike(self, stage: Arc<Stage>, mut dice: Dice) -> anyhow::Result<Struck> {
        let mut seconds = |from: u64, to: u64| Duration::from_millis(dice.between(from * 1000, to * 1000));
        let (pause, soon) = (seconds(0, 4), seconds(0, 2));
        let long = seconds(1, 14);
        let rowtwin = dice.pick(&stage.rowtwins);
        let remote = *dice.pick(&stage.remotes());
        let struck = |struck: bool| Struck { kills: 0, struck };
        let killed = |killed: bool| Struck { kills: u64::from(killed), struck: killed };
        Ok(match self {
            KillRowtwin => killed(rowtwin.kill(soon)),
            KillBothRowtwins => {
                let kills = stage.rowtwins.iter().filter(|rowtwin| rowtwin.kill(soon)).count();
                Struck { kills: u64::try_from(kills)?, struck: kills > 0 }
            }
            KillPostgres => killed(stage.server.kill_all(soon).await),
            KillFirstOfPostgres => killed(stage.server.kill_first(soon).await),
            KillSession => {
                let sessions = stage.server.sessions();
                killed(!sessions.is_empty() && signal(*dice.pick(&sessions), rustix::process::Signal::KILL))
            }
            StopRowtwin => struck(rowtwin.stop(Duration::from_secs(20), soon).await.is_some()),
            PauseRowtwin => struck(rowtwin.pause(long).await),
            PausePostgres => struck(stage.server.pause(stage.server.processes(), pause).await),
            PauseSession => {
                let sessions = stage.server.sessions();
                if sessions.is_empty() {
                    return Ok(struck(false));
                }
                struck(stage.server.pause(vec![*dice.pick(&sessions)], pause).await)
            }
            PauseRemote => struck(remote.process.pause(long).await),
            CutPostgres => {
                stage.line.cut();
                struck(true)
            }
            StallPostgres => {
                stage.line.stall(long, dice.below(2) == 0).await;
                struck(true)
            }
            ClosePostgres => {
                stage.line.close(pause).await;
                struck(true)
            }
            CutRemote => {
                remote.line.cut();
                struck(true)
            }
            StallRemote => {
                remote.line.stall(long, dice.below(2) == 0).await;
                struck(true)
            }
            CloseRemote => {
                remote.line.close(pause).await;
                struck(true)
            }
            TroubleRemote => {
                remote.door("add_fault", json!({"fault": dice.pick(&TROUBLES)})).await?;
                struck(true)
            }
            FillDisk => struck(stage.server.fill_disk(pause).await?),
        })
    }
}

/// What came of a fault.
#[derive(Debug, Clone, Copy)]
pub struct Struck {
    pub kills: u64,
    pub struck: bool,
}
