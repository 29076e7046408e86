//! What must be so at rest, judged from the rows, the records and what people wrote; not by rowtwin's own code.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::{Value, json};

use crate::orders;
use crate::people::{DELETED, Ledger, Said};
use crate::process::Kept;
use crate::remote::{Remote, text};
use crate::rest::writes_at_rest;
use crate::stage::Stage;

/// A value that a person wrote in a system may be overwritten in the moment between our read and our write, which
/// `docs/rules.md` (R9) says for systems without versions. A lease ends after 8 s, and so does that moment.
const MOMENT_MS: i64 = 9_000;

/// What one check has found.
#[derive(Default)]
pub struct Found {
    pub findings: Vec<String>,
    pub values: usize,
    pub conflicts: usize,
    /// Values that were overwritten in the moment that R9 leaves.
    pub overwritten: usize,
}

/// Everything at once.
///
/// # Errors
/// When the run itself cannot look.
pub async fn check(stage: &Stage, ledger: &Ledger) -> anyhow::Result<Found> {
    let mut found = Found::default();
    found.findings.extend(parked(stage).await?);
    let finals = sides(stage, &mut found.findings).await?;
    let quantities = orders::compare(stage, &mut found.findings).await?;
    values(stage, ledger, &finals, &quantities, &mut found).await?;
    found.findings.extend(writes_at_rest(stage).await?);
    processes(stage, &mut found.findings);
    // what a finding is about, for whoever looks into it
    for (entity, number) in subjects(&found.findings) {
        let story = biography(stage, &entity, &number).await;
        found.findings.push(story);
    }
    Ok(found)
}

/// Work that waits for a person though nobody did anything that needs one, and traces of work that is over.
async fn parked(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for (what, sql) in [
        ("is parked", "select * from rowtwin.outbox where state in ('rejected', 'held', 'doubtful')"),
        ("is parked", "select * from rowtwin.inbox where state in ('rejected', 'held')"),
        (
            "is in open conflict",
            "select * from rowtwin.conflicts where winner = 'held' and resolved_at is null",
        ),
        ("is still being created", "select * from rowtwin.links where state = 'creating'"),
        ("is beyond its budget", "select * from rowtwin.slot where retained_bytes > budget_bytes"),
        ("is held", "select * from rowtwin.status where state <> 'running'"),
        ("was made anew", "select * from rowtwin.slot where renewals > 0"),
    ] {
        let rows = stage.rows(sql).await?;
        findings.extend(rows.iter().map(|row| format!("{what}: {row}")));
    }
    Ok(findings)
}

type Finals = HashMap<(String, String, String), Option<String>>;

/// The rows, compared with the records of each system; one row and one record for each number.
async fn sides(stage: &Stage, findings: &mut Vec<String>) -> anyhow::Result<Finals> {
    let mut finals = HashMap::new();
    let rows = stage.rows("select * from sales.customer").await?;
    let columns = ["name", "phone", "address"];
    let told = |row: &Value, names: [&str; 3]| names.map(|name| text(&row[name]));
    let mut by_number = BTreeMap::new();
    for row in &rows {
        let number = text(&row["number"]).unwrap_or_default();
        let values = told(row, columns);
        for (column, value) in columns.iter().zip(&values) {
            finals.insert(("customer".to_owned(), number.clone(), (*column).to_owned()), value.clone());
        }
        by_number.insert(number, values);
    }
    for remote in stage.remotes() {
        let mut seen = BTreeMap::<String, usize>::new();
        for record in remote.records(remote.words.object).await? {
            let number = text(&record[remote.words.field("number")]).unwrap_or_default();
            let values = told(&record, columns.map(|column| remote.words.field(column)));
            *seen.entry(number.clone()).or_default() += 1;
            match by_number.get(&number) {
                None => findings
                    .push(format!("customer {number}: {} has a record, and there is no row", remote.name)),
                Some(row) if *row != values => findings.push(format!(
                    "customer {number}: the row says {row:?}, the record in {} {values:?}",
                    remote.name
                )),
                Some(_) => {}
            }
        }
        for number in by_number.keys() {
            let count = seen.get(number).copied().unwrap_or(0);
            if count != 1 {
                findings.push(format!("customer {number}: {} has {count} records for one row", remote.name));
            }
        }
    }
    contacts(stage, findings, &mut finals).await?;
    Ok(finals)
}

/// Contacts refer to customers, by the customer's record in the CRM.
async fn contacts(stage: &Stage, findings: &mut Vec<String>, finals: &mut Finals) -> anyhow::Result<()> {
    let sql = "select c.name, c.mobile, p.crm_id from sales.contact c left join sales.customer p on p.id = c.customer_id";
    let mut rows = BTreeMap::new();
    for row in stage.rows(sql).await? {
        let name = text(&row["name"]).unwrap_or_default();
        finals.insert(("contact".to_owned(), name.clone(), "mobile".to_owned()), text(&row["mobile"]));
        rows.insert(name, (text(&row["mobile"]), text(&row["crm_id"])));
    }
    let mut seen = BTreeMap::<String, usize>::new();
    for record in stage.crm.records("ContactObj").await? {
        let name = text(&record["name"]).unwrap_or_default();
        let values = (text(&record["mobile1"]), text(&record["account_id"]));
        *seen.entry(name.clone()).or_default() += 1;
        if rows.get(&name) != Some(&values) {
            findings
                .push(format!("contact {name}: the row says {:?}, the record {values:?}", rows.get(&name)));
        }
    }
    for name in rows.keys().filter(|name| seen.get(*name) != Some(&1)) {
        findings.push(format!("contact {name}: {:?} records for one row", seen.get(name)));
    }
    Ok(())
}

/// Each value is there, or somebody who saw it replaced it, or it lies among the conflicts.
async fn values(
    stage: &Stage,
    ledger: &Ledger,
    finals: &Finals,
    quantities: &HashSet<(String, String)>,
    found: &mut Found,
) -> anyhow::Result<()> {
    let all = ledger.all(stage).await?;
    let replaced: HashSet<(&str, &str)> =
        all.iter().filter_map(|said| Some((said.number.as_str(), said.was.as_deref()?))).collect();
    let deleted: HashSet<&str> =
        all.iter().filter(|said| said.field == DELETED).map(|said| said.number.as_str()).collect();
    let mut lost_in_conflicts = HashSet::new();
    let mut conflicts = Vec::new();
    for row in stage.rows("select was, row_value, record_value from rowtwin.conflicts").await? {
        found.conflicts += 1;
        conflicts.push(row.to_string());
        lost_in_conflicts
            .extend(["was", "row_value", "record_value"].iter().filter_map(|name| text(&row[*name])));
    }
    let mut moments = Vec::new();
    for remote in stage.remotes() {
        moments.push((remote.name, Deeds::of(remote).await?));
    }
    for said in &all {
        let Some(value) = &said.value else { continue };
        found.values += 1;
        let place = (said.entity.clone(), said.number.clone(), said.field.clone());
        // whose row was deleted knows its values no more; that all sides agree about it is checked above
        let kept = deleted.contains(said.number.as_str())
            || finals.get(&place) == Some(&Some(value.clone()))
            || replaced.contains(&(said.number.as_str(), value.as_str()))
            || quantities.contains(&(said.number.clone(), value.clone()))
            || lost_in_conflicts.contains(value)
            || said.entity == orders::ENTITY && conflicts.iter().any(|text| holds_number(text, value));
        if kept {
            continue;
        }
        let deeds = moments.iter().find(|(name, _)| *name == said.side);
        if deeds.is_some_and(|(_, deeds)| deeds.was_overwritten_at_once(said)) {
            found.overwritten += 1;
        } else {
            let now = finals.get(&place).cloned().flatten();
            found.findings.push(format!(
                "{} {}: {:?} of {}, written in {} over {:?}, is lost without a trace; it is now {now:?}",
                said.entity, said.number, value, said.field, said.side, said.was
            ));
        }
    }
    if found.overwritten * 50 > found.values {
        found.findings.push(format!(
            "{} of {} values were overwritten between a read and a write: more than a short moment explains",
            found.overwritten, found.values
        ));
    }
    Ok(())
}

/// Whether a text has this number in it, and not as a part of a longer one: a conflict may be about a whole line.
fn holds_number(text: &str, number: &str) -> bool {
    text.match_indices(number).any(|(place, _)| {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let bytes = text.as_bytes();
        !digit(place.checked_sub(1).and_then(|before| bytes.get(before)))
            && !digit(bytes.get(place + number.len()))
    })
}

/// What was done to the records of a system, in order, and by whom.
struct Deeds(HashMap<String, Vec<(i64, bool)>>);

impl Deeds {
    async fn of(remote: &Remote) -> anyhow::Result<Self> {
        let answer = remote.door("effects", json!({})).await?;
        let mut deeds: HashMap<String, Vec<(i64, bool)>> = HashMap::new();
        for effect in answer["effects"].as_array().into_iter().flatten() {
            if effect["object"] == json!(remote.words.object)
                || effect["object"] == json!(orders::SAVED_WHOLE)
            {
                let id = text(&effect["id"]).unwrap_or_default();
                let at = effect["at_ms"].as_i64().unwrap_or_default();
                deeds.entry(id).or_default().push((at, effect["by"] == json!("person")));
            }
        }
        Ok(Self(deeds))
    }

    /// Whether what was done next to the record, a moment after this edit, was a write of ours.
    fn was_overwritten_at_once(&self, said: &Said) -> bool {
        let Some((id, number)) = &said.deed else { return false };
        let Some(deeds) = self.0.get(id) else { return false };
        let own = deeds.iter().enumerate().filter(|(_, (_, person))| *person).nth(*number);
        let Some((place, (at, _))) = own else { return false };
        deeds.get(place + 1).is_some_and(|(next, person)| !person && next - at <= MOMENT_MS)
    }
}

/// The processes themselves: none panicked, and the systems kept their memory.
fn processes(stage: &Stage, findings: &mut Vec<String>) {
    for remote in stage.remotes() {
        if remote.process.starts() != 1 {
            findings.push(format!("the run is void: the simulator of {} was started again", remote.name));
        }
    }
    for rowtwin in &stage.rowtwins {
        let gave_up = rowtwin.ends().into_iter().filter(|end| end.at_work);
        findings.extend(gave_up.map(|end| format!("{} was at work and gave up: {}", rowtwin.name, end.how)));
    }
    for process in stage.rowtwins.iter().chain(stage.remotes().map(|remote| &remote.process)) {
        findings.extend(panics(process));
    }
}

fn panics(process: &Kept) -> Vec<String> {
    let said = process.said();
    let bad = |line: &&str| line.contains("panicked at") || line.contains("a fault of rowtwin's own");
    let lines: BTreeSet<&str> = said.lines().filter(bad).collect();
    lines.into_iter().take(5).map(|line| format!("{}: {line}", process.name)).collect()
}

/// The rows that findings are about; a few of them.
fn subjects(findings: &[String]) -> Vec<(String, String)> {
    let subject = |finding: &String| {
        let (entity, rest) = finding.split_once(' ')?;
        let known = ["customer", "contact", "order"].contains(&entity);
        known.then(|| (entity.to_owned(), rest.split(':').next().unwrap_or_default().to_owned()))
    };
    let subjects: BTreeSet<(String, String)> = findings.iter().filter_map(subject).collect();
    subjects.into_iter().take(4).collect()
}

/// What the journal, the links and the conflicts know of a row.
async fn biography(stage: &Stage, entity: &str, number: &str) -> String {
    let mut text = format!("what is known of {entity} {number}:");
    let (table, name) = match entity {
        "contact" => ("sales.contact", "name"),
        "order" => ("sales.orders", "number"),
        _ => ("sales.customer", "number"),
    };
    let of_row =
        format!("table_name = '{table}' and key = (select id::text from {table} where {name} = '{number}')");
    for sql in [
        format!("select * from {table} where {name} = '{number}'"),
        format!("select * from rowtwin.links where {of_row}"),
        format!("select * from rowtwin.journal where {of_row} order by at desc limit 30"),
        format!("select * from rowtwin.conflicts where {of_row} order by id desc limit 10"),
        format!("select * from chaos.said where number = '{number}' order by seq desc limit 20"),
    ] {
        match stage.rows(&sql).await {
            Ok(rows) => rows.iter().for_each(|row| text += &format!("\n    {row}")),
            Err(error) => text += &format!("\n    {error:#}"),
        }
    }
    text
}
