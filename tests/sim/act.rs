//! Acting: what each kind of step does to the world.

use serde_json::{Map, Value};

use crate::database::{Server, connect};
use crate::dice::Dice;
use crate::plan::{Act, KeyKind, Step};
use crate::process::Work;
use crate::remote::state::State;
use crate::world::{Finding, World};

/// A value for a field, which names the step that wrote it.
fn value(dice: &mut Dice, field: &str, number: usize, refusable: bool) -> Value {
    match field {
        "credit" => {
            let part = dice.pick(&["25", "5", "75", "04", "0"]);
            serde_json::from_str(&format!("{number}.{part}")).unwrap()
        }
        _ => match dice.below(12) {
            0 => Value::from(format!(" v{number} ")),
            1 => Value::from(format!("v{number}  x")),
            2 => Value::from(format!("Vä{number}")),
            3 if refusable && dice.percent(30) => Value::from(format!("v{number}!!")),
            4 if dice.percent(30) => Value::Null,
            _ => Value::from(format!("v{number}")),
        },
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => format!("'{}'", text.replace('\'', "''")),
        other => other.to_string(),
    }
}

/// Does one step and tells of it.
pub async fn act(world: &mut World, server: &mut Server, step: &Step) -> Result<(), Finding> {
    let mut dice = Dice::new(step.dice);
    let number = step.number;
    let tables = world.plan.tables();
    let table = dice.pick(tables);
    // what refers to a row would refer to nothing
    let table = if step.act == Act::Rekey { tables[tables.len() - 1] } else { table };
    world.recovers |= matches!(step.act, Act::LoseSlot | Act::Crash | Act::Recover(_));
    world.verifies |= step.act == Act::Verify;
    match step.act {
        Act::Insert | Act::Edit | Act::EditAll | Act::Delete | Act::Rekey => {
            let said = people(world, &mut dice, step, table).await;
            world.tell(format!("{number:>4}  {said}"));
        }
        Act::RemoteInsert(system) => {
            let mut fields = Map::new();
            fields.insert("code".to_owned(), Value::from(format!("c{number}")));
            for field in ["name", "tel", "credit"] {
                if field == "name" || dice.percent(50) {
                    fields.insert(
                        field.to_owned(),
                        in_form(world, system, field, value(&mut dice, field, number, false)),
                    );
                }
            }
            if table == "part" && dice.percent(80) {
                let abilities = world.remotes[system].abilities().clone();
                let parents: Vec<u64> =
                    world.remotes[system].state().live("item").iter().map(|(id, _)| *id).collect();
                if !parents.is_empty() {
                    let id = dice.pick(&parents);
                    fields.insert("owner".to_owned(), reference(&abilities, id));
                }
            }
            let id = world.remotes[system].insert(table, &fields);
            let name = world.plan.systems[system].name.clone();
            world.tell(format!(
                "{number:>4}  somebody makes {table} {id} in {name}: {}",
                Value::Object(fields)
            ));
        }
        Act::RemoteEdit(system) | Act::RemoteDelete(system) => {
            let name = world.plan.systems[system].name.clone();
            let found: Vec<(u64, String)> = world.remotes[system]
                .state()
                .live(table)
                .iter()
                .map(|(id, record)| (*id, State::code(&record.fields)))
                .collect();
            if found.is_empty() {
                world.tell(format!("{number:>4}  (nobody finds a {table} in {name})"));
                return Ok(());
            }
            let (id, code) = &found[dice.below(found.len())];
            if matches!(step.act, Act::RemoteDelete(_)) {
                world.remotes[system].remove(table, *id);
                world.tell(format!("{number:>4}  somebody deletes {table} {code} in {name}"));
                return Ok(());
            }
            let mut changes = Map::new();
            let field = dice.pick(&["name", "tel", "credit"]);
            changes.insert(
                field.to_owned(),
                in_form(world, system, field, value(&mut dice, field, number, false)),
            );
            world.remotes[system].change(table, *id, &changes);
            world.tell(format!(
                "{number:>4}  somebody edits {table} {code} in {name}: {}",
                Value::Object(changes)
            ));
        }
        Act::Line => {
            let said = line(world, &mut dice, number).await;
            world.tell(format!("{number:>4}  {said}"));
        }
        Act::RemoteLine(system) => {
            let said = remote_line(world, &mut dice, number, system);
            world.tell(format!("{number:>4}  {said}"));
        }
        Act::HoldRow => {
            world.holder = None;
            let Ok(holder) = connect(&world.url).await else { return Ok(()) };
            let at = dice.below(6);
            let sql = format!("begin; select 1 from m.{table} order by code limit 1 offset {at} for update");
            if holder.batch_execute(&sql).await.is_ok() {
                world.holder = Some(holder);
                world.tell(format!(
                    "{number:>4}  somebody holds the {at}th row of {table} in an open transaction"
                ));
            }
        }
        Act::FreeRow => {
            world.holder = None;
            world.tell(format!("{number:>4}  nobody holds a row any more"));
        }
        Act::Capture(who) => turn(world, number, who, Work::Capture, None).await?,
        Act::Upkeep(who) => turn(world, number, who, Work::Upkeep, None).await?,
        Act::Recover(who) => turn(world, number, who, Work::Recover, None).await?,
        Act::DieCapturing(who, polls) => turn(world, number, who, Work::Capture, Some(polls)).await?,
        Act::Deliver(who) => {
            let at = dice.below(world.bindings().await?);
            turn(world, number, who, Work::Deliver(at), None).await?;
        }
        Act::Pull(who) => {
            let at = dice.below(world.bindings().await?);
            turn(world, number, who, Work::Pull(at), None).await?;
        }
        Act::DieDelivering(who, polls) => {
            let at = dice.below(world.bindings().await?);
            turn(world, number, who, Work::Deliver(at), Some(polls)).await?;
        }
        Act::DiePulling(who, polls) => {
            let at = dice.below(world.bindings().await?);
            turn(world, number, who, Work::Pull(at), Some(polls)).await?;
        }
        Act::Round(who) => {
            world.tell(format!("{number:>4}  everybody in process {who} works once"));
            world.round(who, 3).await?;
        }
        Act::PollDue | Act::SweepDue => {
            let (column, what) = if step.act == Act::PollDue {
                ("next_poll_at", "polls")
            } else {
                ("next_sweep_at", "sweeps")
            };
            let sql = format!("update rowtwin_private.binding set {column} = '-infinity'");
            world.sql().await.batch_execute(&sql).await.unwrap();
            world.tell(format!("{number:>4}  {what} are due"));
        }
        Act::Pass(seconds) => {
            world.tell(format!("{number:>4}  {seconds} seconds pass"));
            world.pass(f64::from(seconds)).await?;
        }
        Act::Fault(system, op, fault) => {
            world.remotes[system].arm(op, fault);
            let name = world.plan.systems[system].name.clone();
            world.tell(format!("{number:>4}  the next {} of {name} {}", op.word(), fault.words()));
        }
        Act::LetGo => {
            world.tell(format!("{number:>4}  what hangs goes on"));
            world.let_go().await?;
        }
        Act::Kill(who) => {
            world.kill(who);
            world.tell(format!("{number:>4}  process {who} is killed"));
        }
        Act::Resolve => {
            let open = world.query("select id from rowtwin.conflicts where winner = 'held' and resolved_at is null order by id").await;
            if !open.is_empty() {
                let (id, side) = (open[dice.below(open.len())]["id"].clone(), dice.pick(&["row", "record"]));
                let said = run(world, format!("select rowtwin.resolve_conflict({id}, '{side}')")).await;
                world.tell(format!("{number:>4}  {said}"));
            }
        }
        Act::Retry | Act::Resync | Act::Verify => {
            let what = match step.act {
                Act::Retry => "retry",
                Act::Resync => "resync",
                _ => "verify",
            };
            let repair = if what == "verify" { dice.pick(&["", ", p_repair => 'merge'"]) } else { "" };
            let said = run(world, format!("select rowtwin.{what}('m.{table}'{repair})")).await;
            world.tell(format!("{number:>4}  {said}"));
        }
        Act::VerifyTurn(who) => turn(world, number, who, Work::Verify, None).await?,
        Act::Pause(system) => {
            let said =
                run(world, format!("select rowtwin.pause('{}')", world.plan.systems[system].name)).await;
            world.tell(format!("{number:>4}  {said}"));
        }
        Act::Resume => {
            let said = run(world, "select rowtwin.resume(name) from rowtwin.systems".to_owned()).await;
            world.tell(format!("{number:>4}  {said}"));
        }
        Act::LoseSlot => {
            let sql = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = current_database() and not active";
            let lost = world.sql().await.batch_execute(sql).await.is_ok();
            world.tell(format!("{number:>4}  the slot is dropped{}", if lost { "" } else { " in vain" }));
        }
        Act::Terminate => {
            let sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'rowtwin'";
            world.sql().await.batch_execute(sql).await.unwrap();
            world.tell(format!("{number:>4}  the server ends all our sessions"));
        }
        Act::Crash => {
            world.holder = None;
            server.crash();
            world.tell(format!("{number:>4}  Postgres crashes and starts again"));
        }
    }
    Ok(())
}

async fn turn(
    world: &mut World,
    number: usize,
    who: usize,
    work: Work,
    polls: Option<u32>,
) -> Result<(), Finding> {
    let name = match work {
        Work::Pull(at) | Work::Deliver(at) => format!(" {}", world.binding(at).await?.1),
        _ => String::new(),
    };
    let turned = world.turn(who, work, polls).await?;
    world.tell(format!("{number:>4}  process {who}: {work:?}{name}: {turned:?}"));
    Ok(())
}

/// A value as a person would type it in this remote.
fn in_form(world: &World, system: usize, field: &str, value: Value) -> Value {
    if field == "credit" && world.remotes[system].abilities().decimal_text && !value.is_null() {
        return Value::from(value.to_string());
    }
    value
}

fn reference(abilities: &crate::remote::abilities::Abilities, id: u64) -> Value {
    if abilities.numeric_ids { Value::from(id) } else { Value::from(State::id_text(abilities, id)) }
}

/// What a person does to the lines of a document in the mirror.
async fn line(world: &mut World, dice: &mut Dice, number: usize) -> String {
    let name = literal(&value(dice, "name", number, false));
    let lines = world.query("select code from m.line order by code").await;
    let deed = dice.below(10);
    if lines.is_empty() || deed < 5 {
        let (area, pick) =
            if world.plan.key == KeyKind::Pair { ("o_area, ", "area, id") } else { ("", "id") };
        let at = dice.below(4);
        return run(world, format!(
            "insert into m.line ({area}o_id, place, code, name) select {pick}, {number}, 'l{number}', {name} from m.item order by code limit 1 offset {at}"
        ))
        .await;
    }
    let code = lines[dice.below(lines.len())]["code"].as_str().unwrap_or_default().to_owned();
    let sql = if deed < 8 {
        format!("update m.line set name = {name} where code = '{code}'")
    } else {
        format!("delete from m.line where code = '{code}'")
    };
    run(world, sql).await
}

/// What a person does to the lines of a document in a remote.
fn remote_line(world: &World, dice: &mut Dice, number: usize, system: usize) -> String {
    let remote = &world.remotes[system];
    let documents: Vec<(u64, Vec<String>)> = remote
        .state()
        .live("item")
        .iter()
        .map(|(id, record)| {
            let lines = record.fields.get("lines").and_then(Value::as_array);
            let ids = lines.into_iter().flatten().filter_map(|line| line["id"].as_str().map(str::to_owned));
            (*id, ids.collect())
        })
        .collect();
    if documents.is_empty() {
        return "(nobody finds a document)".to_owned();
    }
    let (id, lines) = &documents[dice.below(documents.len())];
    let deed = dice.below(10);
    let name = value(dice, "name", number, false);
    let lines = if lines.is_empty() || deed < 5 {
        serde_json::json!({"added": [{"code": format!("l{number}"), "name": name}]})
    } else if deed < 8 {
        serde_json::json!({"changed": [{"id": dice.below(lines.len()), "fields": {"name": name}}]})
    } else {
        serde_json::json!({"removed": [lines[dice.below(lines.len())]]})
    };
    // the id of the line that is edited, in place of its number
    let lines = match lines["changed"][0]["id"].as_u64() {
        Some(at) => {
            let line = &documents.iter().find(|(of, _)| of == id).unwrap().1[usize::try_from(at).unwrap()];
            serde_json::json!({"changed": [{"id": line, "fields": lines["changed"][0]["fields"]}]})
        }
        None => lines,
    };
    let changes: Map<String, Value> = [("lines".to_owned(), lines)].into_iter().collect();
    remote.change("item", *id, &changes);
    format!("somebody edits item {id} in {}: {}", world.plan.systems[system].name, Value::Object(changes))
}

/// What people with psql do.
async fn people(world: &mut World, dice: &mut Dice, step: &Step, table: &str) -> String {
    let number = step.number;
    if step.act == Act::Insert {
        let mut names = vec!["code".to_owned(), "name".to_owned()];
        let mut values = vec![format!("'c{number}'"), literal(&value(dice, "name", number, true))];
        for field in ["tel", "credit"] {
            if dice.percent(50) {
                names.push(field.to_owned());
                values.push(literal(&value(dice, field, number, true)));
            }
        }
        match world.plan.key {
            KeyKind::Text => {
                names.push("id".to_owned());
                values.push(format!("'k{number}'"));
            }
            KeyKind::Pair => {
                names.push("area".to_owned());
                values.push(format!("'{}'", dice.pick(&["north", "a,b", "x\"y"])));
            }
            _ => {}
        }
        if table == "part" && dice.percent(80) {
            names.push("owner".to_owned());
            let at = dice.below(6);
            values.push(format!("(select id from m.item order by code limit 1 offset {at})"));
        }
        let sql = format!("insert into m.{table} ({}) values ({})", names.join(", "), values.join(", "));
        return run(world, sql).await;
    }
    if step.act == Act::EditAll {
        // one value for all would not say who wrote it where
        let sql = format!("update m.{table} set tel = 'v{number}-' || code");
        return run(world, sql).await;
    }
    let codes = world.query(&format!("select code from m.{table} order by code")).await;
    if codes.is_empty() {
        return format!("(nobody finds a row in {table})");
    }
    let code = codes[dice.below(codes.len())]["code"].as_str().unwrap_or_default().to_owned();
    let sql = match step.act {
        Act::Delete => format!("delete from m.{table} where code = '{code}'"),
        Act::Rekey => match world.plan.key {
            KeyKind::Number | KeyKind::Pair => {
                format!("update m.{table} set id = {} where code = '{code}'", 100_000 + number)
            }
            KeyKind::Text => format!("update m.{table} set id = 'n{number}' where code = '{code}'"),
            KeyKind::Uuid => format!("update m.{table} set id = gen_random_uuid() where code = '{code}'"),
        },
        _ => {
            let field = dice.pick(&["name", "tel", "credit"]);
            let value = literal(&value(dice, field, number, true));
            format!("update m.{table} set {field} = {value} where code = '{code}'")
        }
    };
    run(world, sql).await
}

async fn run(world: &mut World, sql: String) -> String {
    // nobody waits for a row that somebody else holds
    let told = world.sql().await.batch_execute(&sql).await;
    match told {
        Ok(()) => format!("sql: {sql}"),
        Err(error) => {
            format!("sql: {sql} (fails: {})", error.as_db_error().map_or("?", |error| error.message()))
        }
    }
}
