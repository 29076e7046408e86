//! `rowtwin plan`: what the next run would send. Sends nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::bound::Bound;
use crate::cli::{Common, forecast};
use crate::deliver::decide::{AtOnce, Decision, decide};
use crate::deliver::foresee::{Foreseen, Single, foresee};
use crate::deliver::look::{Looked, look};
use crate::deliver::steps::Step;
use crate::engine::Engine;
use crate::model::binding::OverwriteCheck;
use crate::model::record::{Record, member};
use crate::store::mirror::all_keys;
use crate::store::outbox::Claimed;
use crate::terminal::{Listing, say};

/// Keys that are looked at together.
const CHUNK: usize = 1_000;

/// What a day costs.
const DAY: &[(&str, &str)] = &[
    ("table", "table"),
    ("system", "system"),
    ("object", "object"),
    ("polls", "polls a day"),
    ("sweeps", "sweeps a day"),
    ("edits", "edits a day"),
    ("calls", "calls a day about"),
    ("cost", "cost a day"),
];

#[derive(clap::Args)]
pub struct PlanArgs {
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
    /// How many rows of each kind are shown by their key and fields.
    #[arg(long, default_value_t = 3)]
    samples: usize,
    /// Do not look records up: rows that have a record already are then counted as creates.
    #[arg(long)]
    no_reads: bool,
}

pub async fn plan(common: &Common, args: PlanArgs) -> anyhow::Result<ExitCode> {
    let engine = common.open_to_look().await?;
    let mut plans = Vec::new();
    for bound in &engine.bounds {
        let mut plan = plan_binding(&engine, bound, &args).await?;
        let price = engine.systems.iter().find(|one| one.name == bound.system).map_or(0.0, |one| one.price);
        let now = member(&plan, "calls").as_f64().unwrap_or(0.0);
        let day = forecast::of_day(&engine.store, bound, price).await?;
        if let Some(plan) = plan.as_object_mut() {
            plan.insert("cost".to_owned(), forecast::money(now * price));
            plan.insert("day".to_owned(), day);
        }
        plans.push(plan);
    }
    if args.json {
        println!("{}", Value::Array(plans));
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        ("table", "table"),
        ("system", "system"),
        ("object", "object"),
        ("matched", "match"),
        ("create", "create"),
        ("update", "update"),
        ("delete", "delete"),
        ("hold", "held"),
        ("ambiguous", "ambiguous"),
        ("reject", "rejected"),
        ("compare", "to compare"),
        ("unchanged", "unchanged"),
        ("outside", "outside"),
        ("calls", "calls about"),
        ("cost", "cost"),
    ];
    Listing::of_json(&columns, &plans).print();
    say("");
    let days: Vec<Value> = plans.iter().map(|one| member(one, "day").clone()).collect();
    Listing::of_json(DAY, &days).print();
    for finding in forecast::beyond_budget(&engine, &plans) {
        say(&finding);
    }
    for one in &plans {
        let steps = member(one, "steps").as_object().into_iter().flatten();
        let steps: Vec<String> = steps.map(|(step, rows)| format!("{step} {rows}")).collect();
        if !steps.is_empty() {
            println!(
                "  {} → {}: steps {}",
                crate::terminal::plain(member(one, "table")),
                crate::terminal::plain(member(one, "system")),
                steps.join(", ")
            );
        }
        for sample in member(one, "samples").as_array().into_iter().flatten() {
            println!(
                "  {} → {}: {}",
                crate::terminal::plain(member(one, "table")),
                crate::terminal::plain(member(one, "system")),
                crate::terminal::plain(sample)
            );
        }
    }
    for line in plans.iter().filter_map(first_meeting) {
        println!("\n{line}");
    }
    if plans.iter().any(|one| member(one, "pulls_first") == true) {
        println!(
            "\nThe first reading of a system is not complete: rows that turn out to have a record there are linked, not created."
        );
    }
    println!("\nNothing was sent.");
    Ok(ExitCode::SUCCESS)
}

/// What the first meeting would bring, in a sentence.
fn first_meeting(plan: &Value) -> Option<String> {
    let meeting = member(plan, "first_meeting").as_object()?;
    let count = |name: &str| meeting.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut line = format!(
        "{} → {}: {} rows have a record there already; {} of them differ (the record gives a value in {}, the row in {}).",
        crate::terminal::plain(member(plan, "table")),
        crate::terminal::plain(member(plan, "system")),
        member(plan, "matched"),
        count("differ"),
        count("record_wins"),
        count("row_wins"),
    );
    if let Some(reason) = meeting.get("reason").and_then(Value::as_str) {
        line += &format!(" {} rows were not looked up ({reason}) and count as creates.", count("not_read"));
    }
    Some(line)
}

/// Looks records up with a progress bar.
async fn with_progress(bound: &Bound, singles: Vec<Single>, quiet: bool) -> Foreseen {
    let bar = if quiet {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(u64::try_from(singles.len()).unwrap_or(0))
    };
    if let Ok(style) =
        ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} rows looked up ({elapsed})")
    {
        bar.set_style(style);
    }
    bar.set_prefix(bound.name.clone());
    let foreseen = foresee(bound, singles, |done| bar.inc(u64::try_from(done).unwrap_or(0))).await;
    bar.finish_and_clear();
    foreseen
}

async fn plan_binding(engine: &Engine, bound: &Bound, args: &PlanArgs) -> anyhow::Result<Value> {
    let client = engine.store.client().await?;
    let row = client
        .query_one(
            "select first_push_at is null, pulls and backfilled_at is null from rowtwin_private.binding where id = $1",
            &[&bound.id],
        )
        .await?;
    let (everything, pulls_first): (bool, bool) = (row.get(0), row.get(1));
    let keys: Vec<String> = if !bound.pushes {
        Vec::new()
    } else if everything {
        all_keys(&client, &bound.table).await?
    } else {
        client
            .query(
                "select key from rowtwin_private.outbox where binding_id = $1 and state in ('ready', 'sending') order by key",
                &[&bound.id],
            )
            .await?
            .iter()
            .map(|row| row.get(0))
            .collect()
    };
    drop(client);
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut shown: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut steps = StepCounts::default();
    let mut texts = Vec::new();
    let reads =
        everything && !args.no_reads && bound.abilities.can_find && !bound.mapping.match_fields.is_empty();
    let mut singles = Vec::new();
    for chunk in keys.chunks(CHUNK) {
        let claimed: Vec<Claimed> = chunk
            .iter()
            .map(|key| Claimed {
                key: key.clone(),
                changed_at: SystemTime::now(),
                attempts: 0,
                actor: None,
                row_gone: true,
                loose: false,
            })
            .collect();
        for one in look(&engine.store, bound, &claimed).await? {
            let decision = decide(&one, bound);
            let word = match &decision {
                Decision::Create(_) => "create",
                Decision::Update(_) => "update",
                Decision::Delete { .. } => "delete",
                Decision::Step(Step { reopens: true, .. }) => {
                    if one.row.is_some() {
                        "update"
                    } else {
                        "delete"
                    }
                }
                Decision::Step(_) => "finish",
                Decision::Stage { refusal: Some(_) } => "reject",
                Decision::Doubt
                | Decision::Reread(_)
                | Decision::UnseenLines(_)
                | Decision::Stage { refusal: None } => "compare",
                // it goes after the row that it refers to
                Decision::Wait(_) if one.link.is_none() => "create",
                Decision::Wait(_) => "update",
                Decision::Settle(AtOnce::Reject { .. }) => "reject",
                Decision::Settle(AtOnce::Hold { .. }) => "hold",
                Decision::Settle(_) if one.outside => "outside",
                Decision::Settle(_) | Decision::WriteBack(_) => "unchanged",
            };
            *counts.entry(word).or_default() += 1;
            if let (true, Decision::Create(record), Some(Ok(encoded))) = (reads, &decision, &one.encoded) {
                singles.push(Single { record: record.clone(), encoded: encoded.clone() });
            }
            steps.count(&one, word, bound);
            let so_far = shown.entry(word).or_default();
            if *so_far < args.samples && word != "outside" && word != "unchanged" {
                *so_far += 1;
                texts.push(describe(&one.key, word, &decision));
            }
        }
    }
    let foreseen =
        if singles.is_empty() { None } else { Some(with_progress(bound, singles, args.json).await) };
    if let Some(foreseen) = &foreseen {
        let create = counts.entry("create").or_default();
        *create = create.saturating_sub(foreseen.matched + foreseen.ambiguous);
        counts.insert("matched", foreseen.matched);
        counts.insert("ambiguous", foreseen.ambiguous);
    }
    let count = |word: &str| counts.get(word).copied().unwrap_or(0);
    let abilities = &bound.abilities;
    let calls = |rows: usize, batch: usize| rows.div_ceil(batch.max(1));
    let checks = if abilities.checks_version || bound.overwrite_check == OverwriteCheck::None {
        0
    } else {
        calls(count("update") + count("delete"), abilities.read_batch)
    };
    let finds = if bound.mapping.match_fields.is_empty() {
        0
    } else {
        calls(count("create") + count("matched"), abilities.find_batch)
    };
    let total = calls(count("create"), abilities.create_batch)
        + calls(count("update"), abilities.update_batch)
        + calls(count("delete"), abilities.delete_batch)
        + calls(count("compare"), abilities.read_batch)
        + checks
        + finds
        + steps
            .0
            .iter()
            .map(|(step, rows)| calls(*rows, bound.client.step_batch(&bound.object, step)))
            .sum::<usize>();
    Ok(json!({
        "table": format!("{}.{}", bound.table.schema, bound.table.name),
        "system": bound.system,
        "object": bound.object,
        "create": count("create"),
        "update": count("update"),
        "delete": count("delete"),
        "matched": count("matched"),
        "hold": count("hold"),
        "ambiguous": count("ambiguous"),
        "outside": count("outside"),
        "first_meeting": foreseen.map(|foreseen| json!({
            "differ": foreseen.differ,
            "record_wins": foreseen.record_wins,
            "row_wins": foreseen.row_wins,
            "not_read": foreseen.not_read,
            "reason": foreseen.reason,
        })),
        "reject": count("reject"),
        "compare": count("compare"),
        "unchanged": count("unchanged"),
        "finish": count("finish"),
        "steps": steps.0.iter().map(|(step, rows)| (step.clone(), Value::from(*rows))).collect::<Record>(),
        "calls": total,
        "pulls_first": pulls_first,
        "samples": texts,
    }))
}

/// How many records will take which step.
#[derive(Default)]
struct StepCounts(Vec<(String, usize)>);

impl StepCounts {
    /// Counts the steps of one key, from where its record stands to where it should end.
    fn count(&mut self, one: &Looked, word: &str, bound: &Bound) {
        let Some(plan) = &bound.lifecycle else { return };
        let lifecycle = &plan.lifecycle;
        let mut stage = match word {
            "create" => lifecycle.created.as_deref(),
            "update" | "delete" | "finish" => one.stage(),
            _ => return,
        };
        let mut goals = Vec::new();
        if word != "create" && word != "finish" {
            goals.push(&lifecycle.editable);
        }
        if word != "delete" {
            goals.extend(&plan.until);
        }
        for goals in goals {
            let Some(from) = stage else { return };
            for step in lifecycle.way(from, goals).unwrap_or_default() {
                match self.0.iter_mut().find(|(name, _)| name == step) {
                    Some((_, rows)) => *rows += 1,
                    None => self.0.push((step.to_owned(), 1)),
                }
                stage = lifecycle.steps.get(step).map(|step| step.to.as_str());
            }
        }
    }
}

/// Key and field names; a value is the analyst's own business and stays in the database.
fn describe(key: &str, word: &str, decision: &Decision) -> String {
    match decision {
        Decision::Create(fields) | Decision::Update(fields) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("{word} row {key} ({})", names.join(", "))
        }
        Decision::Settle(AtOnce::Reject { field, reason }) => {
            format!("reject row {key}: {} {reason}", field.as_deref().unwrap_or(""))
        }
        Decision::Stage { refusal: Some(reason) } => format!("reject row {key}: {reason}"),
        Decision::Step(Step { name, reopens: true }) => format!("{word} row {key} ({name} first)"),
        Decision::Step(Step { name, .. }) => format!("{word} row {key} ({name})"),
        _ => format!("{word} row {key}"),
    }
}
