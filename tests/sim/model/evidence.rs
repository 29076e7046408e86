//! Evidence: what lies there at rest, and who wrote which value where before. Read with plain SQL and from the remotes'
//! own books; nothing of the engine is asked.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::plan::KeyKind;
use crate::remote::abilities::Abilities;
use crate::remote::fault::Op;
use crate::remote::state::{By, Effect, State};
use crate::world::World;

/// The fields that both sides share.
pub const FIELDS: [&str; 4] = ["name", "tel", "credit", "owner"];

/// A value in one form: nothing and the empty text are one, digits do not differ by their trailing zeros.
pub fn plain(field: &str, value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if field == "credit" && text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    text
}

/// One value that a field of one side had, and who put it there. `None`: there was nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub value: Option<String>,
    pub by: By,
}

/// All that one side has said of one entity, field by field, in order.
pub type Track = BTreeMap<&'static str, Vec<Seen>>;

/// One side of one table: the row's, or a system's.
#[derive(Debug, Default)]
pub struct Side {
    /// What is there now, by code.
    pub now: BTreeMap<String, BTreeMap<&'static str, String>>,
    /// Codes that are there more than once.
    pub twice: BTreeSet<String>,
    pub tracks: BTreeMap<String, Track>,
    /// Who made, changed and removed it, by code, in order.
    pub life: BTreeMap<String, Vec<(Op, By)>>,
}

impl Side {
    fn change(
        &mut self,
        code: &str,
        op: Op,
        by: By,
        before: Option<&BTreeMap<&'static str, String>>,
        after: Option<&BTreeMap<&'static str, String>>,
    ) {
        self.life.entry(code.to_owned()).or_default().push((op, by));
        let track = self.tracks.entry(code.to_owned()).or_default();
        for field in FIELDS {
            let value = |side: Option<&BTreeMap<&'static str, String>>| {
                side.map(|side| side.get(field).cloned().unwrap_or_default())
            };
            let (was, is) = (value(before), value(after));
            if was != is || op == Op::Create {
                track.entry(field).or_default().push(Seen { value: is, by });
            }
        }
    }
}

impl Side {
    /// The lines of a remote's documents, each as an entity of its own.
    fn of_lines(state: &State) -> Self {
        let mut side = Self::default();
        let lines =
            |record: Option<&Map<String, Value>>| -> BTreeMap<String, BTreeMap<&'static str, String>> {
                let owner = record.map(State::code).unwrap_or_default();
                let lines = record.and_then(|record| record.get("lines")).and_then(Value::as_array);
                let values = |line: &Value| {
                    let of = |field: &'static str| match field {
                        "owner" => (field, owner.clone()),
                        _ => (field, plain(field, line.get(field))),
                    };
                    (text(&line["code"]), FIELDS.into_iter().map(of).collect())
                };
                lines.into_iter().flatten().map(values).collect()
            };
        for effect in state.effects.iter().filter(|effect| effect.object == "item") {
            let (before, after) = (lines(effect.before.as_ref()), lines(effect.after.as_ref()));
            let codes: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for code in codes {
                let op = match (before.get(code), after.get(code)) {
                    (None, _) => Op::Create,
                    (_, None) => Op::Delete,
                    (was, is) if was == is => continue,
                    _ => Op::Update,
                };
                side.change(code, op, effect.by, before.get(code), after.get(code));
            }
        }
        for (_, record) in state.live("item") {
            let count = record.fields.get("lines").and_then(Value::as_array).map_or(0, Vec::len);
            let now = lines(Some(&record.fields));
            if now.len() < count {
                side.twice.insert(format!("(some line of {})", State::code(&record.fields)));
            }
            for (code, line) in now {
                if side.now.insert(code.clone(), line).is_some() {
                    side.twice.insert(code);
                }
            }
        }
        side
    }
}

/// A field that both sides had changed, as the engine has noted it.
#[derive(Debug)]
pub struct Conflict {
    pub table: String,
    pub system: String,
    pub key: String,
    pub field: String,
    pub values: [String; 2],
    pub winner: String,
    pub policy: String,
    pub open: bool,
}

/// An entry of outbox or inbox that waits for a person or for another row.
#[derive(Debug)]
pub struct Parked {
    pub table: String,
    pub system: String,
    pub key: String,
    pub remote_id: String,
    pub state: String,
    pub reason: String,
}

/// All that the checks look at.
pub struct Evidence {
    /// By table.
    pub rows: BTreeMap<String, Side>,
    /// By table and system.
    pub records: BTreeMap<(String, String), Side>,
    pub keys: BTreeMap<(String, String), String>,
    pub abilities: BTreeMap<String, Abilities>,
    pub conflicts: Vec<Conflict>,
    pub parked: Vec<Parked>,
    /// Which remote ids belong to which code, ever.
    pub codes: BTreeMap<(String, String), String>,
    /// Live records (system, code) that refer to a record which is not there any more.
    pub dangling: BTreeSet<(String, String)>,
    /// Rows whose owner is no row any more, though one of the same code may have come since.
    pub orphans: BTreeSet<String>,
    /// What dangling records refer to: (system, remote id).
    pub missed: BTreeSet<(String, String)>,
    pub broken: Vec<String>,
    pub effects: BTreeMap<String, Vec<Effect>>,
    /// (table, code, field, value) of what the journal says rows had before they were changed.
    pub told: BTreeSet<(String, String, String, String)>,
    /// (system, object, remote id, effect) of the journal's lines about records.
    pub journal: Vec<(String, String, String, String)>,
    pub policies: BTreeMap<String, String>,
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Evidence {
    pub async fn gather(world: &mut World) -> Self {
        let mut evidence = Self {
            rows: BTreeMap::new(),
            records: BTreeMap::new(),
            keys: BTreeMap::new(),
            abilities: BTreeMap::new(),
            conflicts: Vec::new(),
            parked: Vec::new(),
            codes: BTreeMap::new(),
            dangling: BTreeSet::new(),
            orphans: BTreeSet::new(),
            missed: BTreeSet::new(),
            broken: Vec::new(),
            effects: BTreeMap::new(),
            told: BTreeSet::new(),
            journal: Vec::new(),
            policies: BTreeMap::new(),
        };
        let history = world.query("select * from sim.history order by n").await;
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for line in history.iter().filter(|line| line["tbl"] == "item") {
            for side in ["before", "after"] {
                let row = &line[side];
                owners.insert(format!("{}|{}", text(&row["area"]), text(&row["id"])), text(&row["code"]));
            }
        }
        let lines = if world.plan.lines { Some("line") } else { None };
        for table in world.plan.tables().iter().copied().chain(lines) {
            let mut side = Side::default();
            let of_row = |row: &Value| -> BTreeMap<&'static str, String> {
                FIELDS
                    .into_iter()
                    .map(|field| match field {
                        "owner" if table == "line" => {
                            let header = format!("{}|{}", text(&row["o_area"]), text(&row["o_id"]));
                            (field, owners.get(&header).cloned().unwrap_or_default())
                        }
                        "owner" => (
                            field,
                            owners.get(&format!("|{}", text(&row[field]))).cloned().unwrap_or_default(),
                        ),
                        _ => (field, plain(field, row.get(field))),
                    })
                    .collect()
            };
            for row in world.query(&format!("select * from m.{table}")).await {
                let code = text(&row["code"]);
                if side.now.insert(code.clone(), of_row(&row)).is_some() {
                    side.twice.insert(code.clone());
                }
                let key = match world.plan.key {
                    KeyKind::Pair => Value::from(vec![text(&row["area"]), text(&row["id"])]).to_string(),
                    _ => text(&row["id"]),
                };
                let owner = row.get("owner").map(text).unwrap_or_default();
                if table == "part" && !owner.is_empty() {
                    // items come first in the list of tables, so their keys are known
                    if !evidence.keys.contains_key(&("item".to_owned(), owner)) {
                        evidence.orphans.insert(code.clone());
                    }
                }
                evidence.keys.insert((table.to_owned(), key), code);
            }
            for line in history.iter().filter(|line| line["tbl"] == table) {
                let by = if line["who"] == "person" { By::Person } else { By::Engine };
                let (op, named) = match line["op"].as_str() {
                    Some("INSERT") => (Op::Create, "after"),
                    Some("UPDATE") => (Op::Update, "after"),
                    _ => (Op::Delete, "before"),
                };
                let (before, after) = (of_row(&line["before"]), of_row(&line["after"]));
                let code = text(&line[named]["code"]);
                let before = (op != Op::Create).then_some(&before);
                side.change(&code, op, by, before, (op != Op::Delete).then_some(&after));
            }
            evidence.rows.insert(table.to_owned(), side);
        }
        evidence.remotes(world);
        evidence.books(world).await;
        evidence
    }

    fn remotes(&mut self, world: &World) {
        for (plan, remote) in world.plan.systems.iter().zip(&world.remotes) {
            let abilities = remote.abilities();
            let state = remote.state();
            let parents: BTreeMap<String, String> = state
                .effects
                .iter()
                .filter(|effect| effect.object == "item")
                .map(|effect| (effect.id.clone(), effect.code.clone()))
                .collect();
            let of_record = |record: &Map<String, Value>| -> BTreeMap<&'static str, String> {
                FIELDS
                    .into_iter()
                    .map(|field| match field {
                        "owner" => {
                            let id = record.get(field).map(text).unwrap_or_default();
                            (field, parents.get(&id).cloned().unwrap_or_default())
                        }
                        _ => (field, plain(field, record.get(field))),
                    })
                    .collect()
            };
            for table in world.plan.tables() {
                let mut side = Side::default();
                for (_, record) in state.live(table) {
                    let code = State::code(&record.fields);
                    if side.now.insert(code.clone(), of_record(&record.fields)).is_some() {
                        side.twice.insert(code);
                    }
                }
                for effect in state.effects.iter().filter(|effect| effect.object == *table) {
                    let (before, after) =
                        (effect.before.as_ref().map(of_record), effect.after.as_ref().map(of_record));
                    side.change(&effect.code, effect.op, effect.by, before.as_ref(), after.as_ref());
                    self.codes.insert((plan.name.clone(), effect.id.clone()), effect.code.clone());
                }
                self.records.insert(((*table).to_owned(), plan.name.clone()), side);
            }
            let live: BTreeSet<String> =
                state.live("item").iter().map(|(id, _)| State::id_text(abilities, *id)).collect();
            for (_, record) in state.live("part") {
                let owner = record.fields.get("owner").map(text).unwrap_or_default();
                if !owner.is_empty() && !live.contains(&owner) {
                    self.dangling.insert((plan.name.clone(), State::code(&record.fields)));
                    self.missed.insert((plan.name.clone(), owner));
                }
            }
            if world.plan.lines {
                let side = Side::of_lines(&state);
                self.records.insert(("line".to_owned(), plan.name.clone()), side);
            }
            self.broken.extend(state.broken.iter().map(|said| format!("{}: {said}", plan.name)));
            self.effects.insert(plan.name.clone(), state.effects.clone());
            self.abilities.insert(plan.name.clone(), abilities.clone());
            self.policies.insert(plan.name.clone(), plan.policy.clone());
        }
    }

    async fn books(&mut self, world: &mut World) {
        let table = |line: &Value| text(&line["table_name"]).replace("m.", "");
        for line in world.query("select * from rowtwin.conflicts").await {
            let mut field = text(&line["field"]);
            let mut of = table(&line);
            if field == "lines" {
                (of, field) = ("line".to_owned(), "*".to_owned());
            } else if let Some(rest) = field.strip_prefix("lines[") {
                // of a line, or a whole line
                of = "line".to_owned();
                field = rest.rsplit_once("].").map_or_else(|| "*".to_owned(), |(_, field)| field.to_owned());
            }
            let value = |side: &str| plain(&field, line.get(side));
            self.conflicts.push(Conflict {
                table: of,
                system: text(&line["system"]),
                key: text(&line["key"]),
                values: [value("row_value"), value("record_value")],
                winner: text(&line["winner"]),
                policy: text(&line["policy"]),
                open: line["winner"] == "held" && line["resolved_at"].is_null(),
                field,
            });
        }
        for view in ["outbox", "inbox"] {
            for line in world.query(&format!("select * from rowtwin.{view}")).await {
                self.parked.push(Parked {
                    table: table(&line),
                    system: text(&line["system"]),
                    key: text(&line["key"]),
                    remote_id: text(&line["remote_id"]),
                    state: format!("{view} {}", text(&line["state"])),
                    reason: text(&line["reason"]),
                });
            }
        }
        let changed = "select * from rowtwin.journal where side = 'row' and effect = 'update'";
        for line in world.query(changed).await {
            let object = text(&line["object"]);
            let Some(code) = self.keys.get(&(object.clone(), text(&line["key"]))).cloned() else { continue };
            for field in FIELDS {
                let value = plain(field, line["before"].get(field));
                self.told.insert((object.clone(), code.clone(), field.to_owned(), value));
            }
        }
        for line in world.query("select * from rowtwin.journal where side = 'remote'").await {
            let name = |field: &str| text(&line[field]);
            self.journal.push((name("system"), name("object"), name("remote_id"), name("effect")));
        }
    }

    /// A value as this system would hold it.
    pub fn held_by(&self, system: &str, field: &str, value: &str) -> String {
        let raw = Value::from(value);
        if field == "owner" || value.is_empty() || (field == "credit" && !value.contains('.')) {
            return value.to_owned();
        }
        plain(field, Some(&self.abilities[system].stored(field, &raw)))
    }

    /// Whether a conflict of this system names the value.
    pub fn kept(&self, table: &str, system: &str, field: &str, value: &str) -> bool {
        let same = |kept: &String| {
            kept == value || self.held_by(system, field, kept) == self.held_by(system, field, value)
        };
        let held = |one: &Conflict| match one.field.as_str() {
            // a whole line
            "*" => one.values.iter().any(|values| values.contains(value)),
            _ => one.field == field && one.values.iter().any(same),
        };
        self.conflicts.iter().any(|one| one.table == table && one.system == system && held(one))
    }
}
