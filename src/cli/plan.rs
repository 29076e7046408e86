//! `rowtwin plan`: what the next run would send. Sends nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::bound::Bound;
use crate::cli::{Common, forecast};
use crate::deliver::decide::{Decision, decide};
use crate::deliver::look::look;
use crate::engine::Engine;
use crate::model::binding::OverwriteCheck;
use crate::model::record::member;
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
}

pub async fn plan(common: &Common, args: PlanArgs) -> anyhow::Result<ExitCode> {
    let engine = common.open().await?;
    let mut plans = Vec::new();
    for bound in &engine.bounds {
        let mut plan = plan_binding(&engine, bound, args.samples).await?;
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
        ("create", "create"),
        ("update", "update"),
        ("delete", "delete"),
        ("reject", "rejected"),
        ("compare", "to compare"),
        ("unchanged", "unchanged"),
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
        for sample in member(one, "samples").as_array().into_iter().flatten() {
            println!(
                "  {} → {}: {}",
                crate::terminal::plain(member(one, "table")),
                crate::terminal::plain(member(one, "system")),
                crate::terminal::plain(sample)
            );
        }
    }
    if plans.iter().any(|one| member(one, "pulls_first") == true) {
        println!(
            "\nThe first reading of a system is not complete: rows that turn out to have a record there are linked, not created."
        );
    }
    println!("\nNothing was sent.");
    Ok(ExitCode::SUCCESS)
}

async fn plan_binding(engine: &Engine, bound: &Bound, samples: usize) -> anyhow::Result<Value> {
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
    let mut texts = Vec::new();
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
                Decision::Doubt | Decision::Reread(_) => "compare",
                // it goes after the row that it refers to
                Decision::Wait(_) if one.link.is_none() => "create",
                Decision::Wait(_) => "update",
                Decision::Settle(crate::deliver::decide::AtOnce::Reject { .. }) => "reject",
                Decision::Settle(_) | Decision::WriteBack(_) => "unchanged",
            };
            *counts.entry(word).or_default() += 1;
            let so_far = shown.entry(word).or_default();
            if *so_far < samples && word != "unchanged" {
                *so_far += 1;
                texts.push(describe(&one.key, word, &decision));
            }
        }
    }
    let count = |word: &str| counts.get(word).copied().unwrap_or(0);
    let abilities = &bound.abilities;
    let calls = |rows: usize, batch: usize| rows.div_ceil(batch.max(1));
    let reads = if abilities.checks_version || bound.overwrite_check == OverwriteCheck::None {
        0
    } else {
        calls(count("update") + count("delete"), abilities.read_batch)
    };
    let finds =
        if bound.mapping.match_fields.is_empty() { 0 } else { calls(count("create"), abilities.find_batch) };
    let total = calls(count("create"), abilities.create_batch)
        + calls(count("update"), abilities.update_batch)
        + calls(count("delete"), abilities.delete_batch)
        + calls(count("compare"), abilities.read_batch)
        + reads
        + finds;
    Ok(json!({
        "table": format!("{}.{}", bound.table.schema, bound.table.name),
        "system": bound.system,
        "object": bound.object,
        "create": count("create"),
        "update": count("update"),
        "delete": count("delete"),
        "reject": count("reject"),
        "compare": count("compare"),
        "unchanged": count("unchanged"),
        "calls": total,
        "pulls_first": pulls_first,
        "samples": texts,
    }))
}

/// Key and field names; a value is the analyst's own business and stays in the database.
fn describe(key: &str, word: &str, decision: &Decision) -> String {
    use crate::deliver::decide::AtOnce;
    match decision {
        Decision::Create(fields) | Decision::Update(fields) => {
            let names: Vec<&str> = fields.keys().map(String::as_str).collect();
            format!("{word} row {key} ({})", names.join(", "))
        }
        Decision::Settle(AtOnce::Reject { field, reason }) => {
            format!("reject row {key}: {} {reason}", field.as_deref().unwrap_or(""))
        }
        _ => format!("{word} row {key}"),
    }
}
