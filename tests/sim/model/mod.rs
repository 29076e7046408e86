//! The model: what must be so at rest, decided from evidence alone. It knows nothing of shadows, leases or merges, and
//! imports nothing of the engine; where the two disagree, one of them is wrong.

pub mod evidence;
mod loss;
mod rest;

use crate::world::Finding;
use evidence::Evidence;

/// Everything that must not be and is.
pub fn findings(evidence: &Evidence, calm: bool) -> Vec<Finding> {
    let mut findings = rest::twins(evidence);
    findings.extend(rest::convergence(evidence));
    findings.extend(loss::overwritten(evidence));
    findings.extend(loss::deleted(evidence));
    findings.extend(loss::conflicts(evidence));
    if calm {
        findings.extend(rest::journal(evidence));
    }
    findings
}
