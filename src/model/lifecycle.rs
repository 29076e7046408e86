//! Lifecycles: where a record stands, and which step leads on. Pure.
//!
//! Many systems do not let a record be changed at any time: it is saved, submitted, audited, and taken back before
//! the next edit. Where it stands is its *stage*; a *step* leads from one stage to another.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The stages of an object's records and the steps between them, as its connector says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// The stages in which a record can be changed or deleted.
    pub editable: BTreeSet<String>,
    /// Where a record stands that was just created, where that is known.
    pub created: Option<String>,
    /// The steps by name.
    pub steps: BTreeMap<String, Transition>,
    /// The stages that a name for people stands for: `audited`.
    pub targets: BTreeMap<String, BTreeSet<String>>,
}

/// What a step does to a record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transition {
    /// The stages in which it is possible.
    pub from: BTreeSet<String>,
    /// The stage to which it leads.
    pub to: String,
}

impl Lifecycle {
    /// The names of the steps from a stage to the nearest of `goals`, the shortest way; empty when it is there.
    ///
    /// # Errors
    /// When no steps lead there; says from where.
    pub fn way(&self, stage: &str, goals: &BTreeSet<String>) -> Result<Vec<&str>, String> {
        // every stage is looked at once, so that a circle of steps ends
        let mut came: BTreeMap<&str, Option<(&str, &str)>> = BTreeMap::from([(stage, None)]);
        let mut next = VecDeque::from([stage]);
        while let Some(at) = next.pop_front() {
            if goals.contains(at) {
                let mut way = Vec::new();
                let mut back = at;
                while let Some(Some((before, step))) = came.get(back) {
                    way.push(*step);
                    back = before;
                }
                way.reverse();
                return Ok(way);
            }
            for (name, step) in self.steps.iter().filter(|(_, step)| step.from.contains(at)) {
                if !came.contains_key(step.to.as_str()) {
                    came.insert(&step.to, Some((at, name)));
                    next.push_back(&step.to);
                }
            }
        }
        Err(format!("no step leads from {stage} to {}", listed(goals)))
    }

    /// Whether a record can be changed where it stands.
    pub fn is_editable(&self, stage: &str) -> bool {
        self.editable.contains(stage)
    }

    /// What is wrong with it: a target that cannot be reached after a save.
    pub fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        if self.editable.is_empty() {
            findings.push("`editable` names no stage: nothing could ever be written".to_owned());
        }
        for (name, goals) in &self.targets {
            for stage in self.editable.iter().chain(&self.created) {
                if let Err(reason) = self.way(stage, goals) {
                    findings.push(format!("target `{name}` cannot be reached after a save: {reason}"));
                }
            }
        }
        findings
    }
}

/// Stages for people: `A, D or Z`.
pub fn listed(stages: &BTreeSet<String>) -> String {
    let all: Vec<&str> = stages.iter().map(String::as_str).collect();
    match all.split_last() {
        None => "nowhere".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// An object's lifecycle with what a binding asks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub lifecycle: Lifecycle,
    /// Where our own saves are to end; `None`: they end with the save.
    pub until: Option<BTreeSet<String>>,
    /// Whether a record that cannot be changed where it stands is taken back first.
    pub reopen: bool,
}

/// What a record needs before or after a save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it can be changed, or it is where it should be.
    There,
    /// This step.
    Step(String),
    /// Its stage is not known and must be read.
    Unknown,
    /// It cannot be done; why, and the cure.
    Closed(String),
}

impl Plan {
    /// What must happen before a record can be changed or deleted. `ours`: a save of ours is still being finished.
    pub fn before_save(&self, stage: Option<&str>, ours: bool) -> Next {
        let Some(stage) = stage else { return Next::Unknown };
        if self.lifecycle.is_editable(stage) {
            return Next::There;
        }
        // what we have moved on ourselves and not finished we may take back; what is finished is somebody's decision
        let unfinished = ours && self.until.as_ref().is_some_and(|until| !until.contains(stage));
        if !self.reopen && !unfinished {
            return Next::Closed(format!(
                "the record stands at {stage}, where it cannot be changed; take it back in the system, or set `lifecycle: {{reopen: true}}` on the binding"
            ));
        }
        first_of(self.lifecycle.way(stage, &self.lifecycle.editable))
    }

    /// What must happen after a save of ours.
    pub fn after_save(&self, stage: Option<&str>) -> Next {
        let Some(until) = &self.until else { return Next::There };
        let Some(stage) = stage else { return Next::Unknown };
        first_of(self.lifecycle.way(stage, until))
    }

    /// The step that a save at this stage is going to owe, for the books; a stage that is not known counts as the
    /// first editable one.
    pub fn owed(&self, stage: Option<&str>) -> Option<String> {
        let stage = stage.or_else(|| self.lifecycle.editable.first().map(String::as_str));
        match self.after_save(stage) {
            Next::Step(step) => Some(step),
            Next::There | Next::Unknown | Next::Closed(_) => None,
        }
    }
}

fn first_of(way: Result<Vec<&str>, String>) -> Next {
    match way {
        Ok(way) => way.first().map_or(Next::There, |step| Next::Step((*step).to_owned())),
        Err(reason) => Next::Closed(format!("{reason}; move the record in the system")),
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
