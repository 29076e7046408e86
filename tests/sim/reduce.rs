//! Reducing: from a story that fails to the few steps that it needs.
//!
//! Chunks of steps are left out, large ones first, as long as the story still breaks a rule that it broke before. Steps
//! carry dice of their own, so what is left stays the same story. Real machines are not quite repeatable: a story that
//! holds once although it should fail is simply kept longer than needed.

use std::collections::BTreeSet;

use crate::database::Server;
use crate::plan::Plan;
use crate::run::{Ended, run};

/// How many stories are tried.
const TRIES: usize = 60;

/// The shortest failing story that was found, with what came of it.
pub async fn reduce(plan: &Plan, ended: Ended, server: &mut Server) -> (Plan, Ended) {
    let rules: BTreeSet<&str> = ended.findings.iter().map(|finding| finding.rule).collect();
    let mut best = (plan.clone(), ended);
    let mut chunk = plan.steps.len().div_ceil(2).max(1);
    let mut tries = 0;
    loop {
        let numbers: Vec<usize> = best.0.steps.iter().map(|step| step.number).collect();
        let (mut at, mut shorter) = (0, false);
        let mut kept = numbers.clone();
        while at < kept.len() && tries < TRIES {
            let mut fewer = kept.clone();
            fewer.drain(at..(at + chunk).min(kept.len()));
            tries += 1;
            let candidate = plan.with(&fewer);
            let ended = run(&candidate, server).await;
            if ended.findings.iter().any(|finding| rules.contains(finding.rule)) {
                best = (candidate, ended);
                kept = fewer;
                shorter = true;
            } else {
                at += chunk;
            }
        }
        if tries >= TRIES || (chunk == 1 && !shorter) {
            return best;
        }
        chunk = (chunk / 2).max(1);
    }
}
