//! The story, step by step.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::demo::stage::{ACCOUNT, CUSTOMER, CUSTOMERS, Stage};
use crate::demo::tell::Teller;
use crate::model::record::{Record, member};
use crate::simulator::Door;

const PATIENCE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(90);

/// One customer as the three sides have it.
struct Sides {
    crm: Option<Record>,
    row: Option<Value>,
    erp: Option<Record>,
}

/// Tells the whole story and returns the counts.
///
/// # Errors
/// When a side cannot be read; promises that were not kept are the teller's.
pub async fn tell(stage: &Stage, teller: &mut Teller) -> anyhow::Result<Value> {
    let mut echoes = backfill(stage, teller).await?;
    sql_reaches_both(stage, teller).await?;
    echoes += erp_comes_back(stage, teller).await?;
    different_fields(stage, teller).await?;
    same_field(stage, teller).await?;
    lost_answer(stage, teller).await?;
    bad_phone(stage, teller).await?;
    outage(stage, teller).await?;
    many_rows(stage, teller).await?;
    crate::demo::orders::tell(stage, teller).await?;
    ending(stage, teller, echoes).await
}

async fn backfill(stage: &Stage, teller: &mut Teller) -> anyhow::Result<usize> {
    teller.step("The CRM's customers appear in SQL and in the ERP").await;
    let began = Instant::now();
    let bar = progress(CUSTOMERS, "rows");
    let arrived = stage
        .until(LONG, async |stage| {
            let rows = stage
                .number("select count(*) from sales.customer where crm_id is not null and erp_id is not null")
                .await?;
            bar.set_position(u64::try_from(rows).unwrap_or(0));
            Ok(rows == i64::try_from(CUSTOMERS)? && stage.erp().count(CUSTOMER) == CUSTOMERS)
        })
        .await?;
    bar.finish_and_clear();
    stage.at_rest().await?;
    teller.line(&format!(
        "   {CUSTOMERS} customers read from the CRM and made in the ERP in {:.1} s, with {} calls to the CRM and {} to the ERP.",
        began.elapsed().as_secs_f64(),
        stage.crm().call_count(),
        stage.erp().call_count()
    ));
    teller.sql("select number, name, phone, crm_id, erp_id from sales.customer order by id limit 3");
    let rows = stage
        .rows("select number, name, phone, crm_id, erp_id from sales.customer order by id limit 3")
        .await?;
    print(teller, &["number", "name", "phone", "crm_id", "erp_id"], &rows);
    teller.verify(
        &format!("all {CUSTOMERS} customers are on all three sides"),
        arrived && all_equal(stage).await?,
    );
    let echoes = writes(&stage.crm());
    teller.verify("nothing was written back to the CRM, where it came from", echoes == 0);
    Ok(echoes)
}

async fn sql_reaches_both(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("An update in SQL reaches both").await;
    let sql = "update sales.customer set phone = '13900000007' where number = 'C00007'";
    teller.sql(sql);
    let began = Instant::now();
    stage.run(sql).await?;
    let arrived = wait_for(stage, "C00007", "tel", "FTEL", &json!("13900000007")).await?;
    teller.line(&format!("   on both sides after {} ms", began.elapsed().as_millis()));
    show(stage, teller, "C00007").await?;
    teller.verify("CRM and ERP have the new phone", arrived);
    Ok(())
}

async fn erp_comes_back(stage: &Stage, teller: &mut Teller) -> anyhow::Result<usize> {
    teller.step("An edit in the ERP comes back and reaches the CRM").await;
    stage.at_rest().await?;
    stage.erp().forget_calls();
    teller.person("somebody in the ERP moves customer C00008 to \"88 Nanjing Road\"");
    edit(&stage.erp(), CUSTOMER, "FNumber", "C00008", &json!({"FADDRESS": "88 Nanjing Road"}));
    let arrived = wait_for(stage, "C00008", "address", "FADDRESS", &json!("88 Nanjing Road")).await?;
    stage.at_rest().await?;
    show(stage, teller, "C00008").await?;
    teller.verify("the row and the CRM have the new address", arrived);
    let echoes = writes(&stage.erp());
    teller.verify("nothing was written back to the ERP", echoes == 0);
    Ok(echoes)
}

async fn different_fields(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("Both sides edit different fields of one customer").await;
    pause(stage, teller, "crm").await?;
    teller.person("somebody in the CRM renames customer C00009 to \"Nine Stars\"");
    edit(&stage.crm(), ACCOUNT, "account_no", "C00009", &json!({"name": "Nine Stars"}));
    let sql = "update sales.customer set phone = '13700000009' where number = 'C00009'";
    teller.sql(sql);
    stage.run(sql).await?;
    resume(stage, teller, "crm").await?;
    let name = wait_for(stage, "C00009", "name", "FName", &json!("Nine Stars")).await?;
    let phone = wait_for(stage, "C00009", "tel", "FTEL", &json!("13700000009")).await?;
    show(stage, teller, "C00009").await?;
    teller.verify("both edits are on all three sides", name && phone);
    Ok(())
}

async fn same_field(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("Both edit the same field: the policy (latest) decides, the loser is kept").await;
    stage.at_rest().await?;
    pause(stage, teller, "crm").await?;
    teller.person("somebody in the CRM sets the address of C00010 to \"1 Old Street\"");
    edit(&stage.crm(), ACCOUNT, "account_no", "C00010", &json!({"address": "1 Old Street"}));
    // two people do not press their keys in the same millisecond
    tokio::time::sleep(Duration::from_millis(50)).await;
    let sql = "update sales.customer set address = '2 New Street' where number = 'C00010'";
    teller.sql(sql);
    stage.run(sql).await?;
    resume(stage, teller, "crm").await?;
    let arrived = wait_for(stage, "C00010", "address", "FADDRESS", &json!("2 New Street")).await?;
    let sql = "select field, was, row_value, record_value, winner, policy from rowtwin.conflicts where system = 'crm'";
    teller.sql(sql);
    let conflicts = stage.rows(sql).await?;
    print(teller, &["field", "was", "row_value", "record_value", "winner", "policy"], &conflicts);
    teller.verify("the later edit is on all three sides", arrived);
    let kept = conflicts
        .iter()
        .any(|one| member(one, "record_value") == "1 Old Street" && member(one, "winner") == "row");
    teller.verify("the value that lost stands in rowtwin.conflicts", kept);
    Ok(())
}

async fn lost_answer(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("A create whose answer is lost makes no second record").await;
    teller.person("the CRM will save the next new customer and then the line breaks before it answers");
    stage.crm().add_fault("lost-answer@create".parse().map_err(|error| anyhow::anyhow!("{error}"))?);
    let sql =
        "insert into sales.customer (number, name, phone) values ('C90001', 'Lost & Found', '13600000001')";
    teller.sql(sql);
    stage.run(sql).await?;
    let arrived = stage
        .until(PATIENCE, async |stage| {
            let linked = stage
                .number("select count(*) from sales.customer where number = 'C90001' and crm_id is not null and erp_id is not null")
                .await?;
            Ok(linked == 1)
        })
        .await?;
    stage.at_rest().await?;
    let count = stage
        .crm()
        .records(ACCOUNT)
        .iter()
        .filter(|record| record.get("account_no").is_some_and(|number| number == "C90001"))
        .count();
    let sql = "select side, effect, reason from rowtwin.journal where key = (select id::text from sales.customer where number = 'C90001') and system = 'crm' order by id";
    let journal = stage.rows(sql).await?;
    print(teller, &["side", "effect", "reason"], &journal);
    teller.verify("the row found its twin", arrived);
    teller.verify(&format!("the CRM has exactly one such customer (it has {count})"), count == 1);
    Ok(())
}

async fn bad_phone(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("A phone number with ten digits is rejected, mended in SQL, and goes through").await;
    let sql = "update sales.customer set phone = '1380000000' where number = 'C00011'";
    teller.sql(sql);
    stage.run(sql).await?;
    let rejected = stage
        .until(PATIENCE, async |stage| Ok(stage.number("select count(*) from rowtwin.rejected").await? > 0))
        .await?;
    let sql = "select table_name, system, key, field, reason from rowtwin.rejected";
    teller.sql(sql);
    print(teller, &["table_name", "system", "key", "field", "reason"], &stage.rows(sql).await?);
    teller.verify("the row is rejected with field and reason", rejected);
    let untouched = sides(stage, "C00011")
        .await?
        .crm
        .is_some_and(|crm| crm.get("tel").is_some_and(|tel| tel == "13800000011"));
    teller.verify("the CRM keeps the good number", untouched);
    let sql = "update sales.customer set phone = '13800001111' where number = 'C00011'";
    teller.sql(sql);
    stage.run(sql).await?;
    let arrived = wait_for(stage, "C00011", "tel", "FTEL", &json!("13800001111")).await?;
    teller.verify("the mended number is on both sides", arrived);
    teller.verify(
        "nothing is rejected any more",
        stage.number("select count(*) from rowtwin.rejected").await? == 0,
    );
    Ok(())
}

async fn outage(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("The CRM is down for a while; nothing is lost and the slot does not wait").await;
    teller.person("the CRM's servers stop answering");
    stage.crm().set_down(true);
    let sql = "update sales.customer set name = name || ' Ltd' where id <= 300";
    teller.sql(sql);
    stage.run(sql).await?;
    // other work of the database, which pins WAL wherever somebody waits
    stage.run("create table if not exists public.noise (t text); insert into public.noise select repeat('x', 500) from generate_series(1, 20000)").await?;
    let noticed = stage
        .until(PATIENCE, async |stage| {
            let down =
                stage.number("select count(*) from rowtwin.systems where down_since is not null").await?;
            let waiting = stage.number("select count(*) from rowtwin.outbox where system = 'crm'").await?;
            Ok(down == 1 && waiting == 300)
        })
        .await?;
    let drained = stage
        .until(PATIENCE, async |stage| {
            Ok(stage.number("select lag_bytes from rowtwin.slot").await? < 1_000_000)
        })
        .await?;
    let erp_goes_on = stage
        .until(PATIENCE, async |stage| {
            Ok(stage.number("select count(*) from rowtwin.outbox where system = 'erp'").await? == 0)
        })
        .await?;
    let sql = "select slot, state, wal_status, retained_bytes, lag_bytes from rowtwin.slot";
    teller.sql(sql);
    print(teller, &["slot", "state", "wal_status", "retained_bytes", "lag_bytes"], &stage.rows(sql).await?);
    teller.verify("the outage is noticed and 300 rows wait in the outbox", noticed);
    teller.verify("the slot has taken everything in although the CRM is down", drained);
    teller.verify("the ERP gets its changes all the same", erp_goes_on);
    teller.person("the CRM comes back");
    stage.crm().set_down(false);
    let arrived = stage
        .until(LONG, async |stage| {
            Ok(stage.number("select count(*) from rowtwin.outbox where system = 'crm'").await? == 0)
        })
        .await?;
    stage.at_rest().await?;
    teller.verify("all 300 changes arrived without help", arrived && all_equal(stage).await?);
    Ok(())
}

async fn many_rows(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("Ten thousand rows updated in one statement go out in batches").await;
    stage.erp().forget_calls();
    stage.crm().forget_calls();
    let sql = format!("update sales.customer set credit = 1000 + id where id <= {CUSTOMERS}");
    teller.sql(&sql);
    let began = Instant::now();
    stage.run(&sql).await?;
    let bar = progress(CUSTOMERS, "rows");
    let last_id =
        sides(stage, "C10000").await?.row.and_then(|row| member(&row, "erp_id").as_str().map(str::to_owned));
    let arrived = stage
        .until(LONG, async |stage| {
            let captured = stage.number("select coalesce(sum(changes), 0)::bigint from rowtwin.slot").await?;
            let waiting = stage.number("select count(*) from rowtwin.outbox where system = 'erp'").await?;
            bar.set_position(
                u64::try_from(CUSTOMERS).unwrap_or(0).saturating_sub(u64::try_from(waiting).unwrap_or(0)),
            );
            let last = match &last_id {
                Some(id) => stage
                    .erp()
                    .record(CUSTOMER, id)
                    .is_some_and(|one| one.get("F_RT_Credit").is_some_and(|credit| !credit.is_null())),
                None => false,
            };
            Ok(captured > 0 && waiting == 0 && last)
        })
        .await?;
    bar.finish_and_clear();
    stage.at_rest().await?;
    let calls = writes(&stage.erp());
    teller.line(&format!(
        "   {CUSTOMERS} rows in the ERP after {:.1} s, with {calls} writing calls ({} calls in all); the CRM does not map the column and got {}.",
        began.elapsed().as_secs_f64(),
        stage.erp().call_count(),
        writes(&stage.crm())
    ));
    teller.verify("every row's credit is in the ERP", arrived && credits_equal(stage).await?);
    teller.verify("in a hundredth of the calls", calls <= CUSTOMERS / 100 * 12 / 10);
    teller.verify("the CRM was left alone", writes(&stage.crm()) == 0);
    Ok(())
}

async fn ending(stage: &Stage, teller: &mut Teller, echoes: usize) -> anyhow::Result<Value> {
    teller.step("The counts").await;
    let rest = stage.at_rest().await?;
    stage.crm().forget_calls();
    stage.erp().forget_calls();
    // two more polls: at rest nothing may be written any more
    let polls = stage
        .number("select (select extract(epoch from max(last_poll_at)) * 1000 from rowtwin.status)::bigint")
        .await?;
    stage
        .until(PATIENCE, async |stage| {
            let now = stage.number("select (select extract(epoch from min(last_poll_at)) * 1000 from rowtwin.status)::bigint").await?;
            Ok(now > polls + 600)
        })
        .await?;
    let echoes = echoes + writes(&stage.crm()) + writes(&stage.erp());
    let duplicates = duplicates(&stage.crm().records(ACCOUNT), "account_no")
        + duplicates(&stage.erp().records(CUSTOMER), "FNumber");
    let lost = differences(stage).await?;
    let totals = stage
        .rows("select sum(changes)::bigint as changes, sum(calls)::bigint as calls, sum(calls_saved)::bigint as saved from rowtwin.usage")
        .await?;
    let total = |name: &str| totals.first().map_or(Value::Null, |row| row[name].clone());
    let counts = json!({
        "changes": total("changes"), "calls": total("calls"), "calls_saved": total("saved"),
        "echoes": echoes, "duplicates": duplicates, "lost": lost,
    });
    teller.table(
        &["changes", "calls", "calls saved", "echoes", "duplicates", "lost"],
        &[["changes", "calls", "calls_saved", "echoes", "duplicates", "lost"]
            .iter()
            .map(|name| member(&counts, name).clone())
            .collect()],
    );
    teller.verify("everything came to rest", rest);
    teller.verify("no echoes, no duplicates, nothing lost", echoes == 0 && duplicates == 0 && lost == 0);
    Ok(counts)
}

fn progress(length: usize, unit: &str) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new(u64::try_from(length).unwrap_or(0));
    if let Ok(style) =
        indicatif::ProgressStyle::with_template(&format!("   [{{bar:40}}] {{pos}}/{{len}} {unit}"))
    {
        bar.set_style(style);
    }
    bar
}

async fn pause(stage: &Stage, teller: &Teller, system: &str) -> anyhow::Result<()> {
    let sql = format!("select rowtwin.pause('{system}')");
    teller.sql(&format!("{sql};   -- so that both edits meet"));
    stage.run(&sql).await?;
    // a call that was under way when the pause began ends first
    stage
        .until(PATIENCE, async |stage| {
            Ok(stage.number("select count(*) from rowtwin_private.call").await? == 0)
        })
        .await?;
    Ok(())
}

async fn resume(stage: &Stage, teller: &Teller, system: &str) -> anyhow::Result<()> {
    let sql = format!("select rowtwin.resume('{system}')");
    teller.sql(&sql);
    stage.run(&sql).await
}

fn edit(door: &Door, object: &str, by: &str, number: &str, fields: &Value) {
    let record =
        door.records(object).into_iter().find(|record| record.get(by).is_some_and(|value| value == number));
    if let Some(id) = record.and_then(|record| id_of(&record)) {
        door.edit(object, &id, fields.clone());
    }
}

fn id_of(record: &Record) -> Option<String> {
    let id = record.get("_id").or_else(|| record.get("FCUSTID"))?;
    Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
}

async fn sides(stage: &Stage, number: &str) -> anyhow::Result<Sides> {
    let row = stage
        .rows(&format!("select * from sales.customer where number = '{number}'"))
        .await?
        .into_iter()
        .next();
    let by_id = |door: &Door, object: &str, id: &str| door.record(object, id);
    let id = |name: &str| row.as_ref().and_then(|row| row[name].as_str().map(str::to_owned));
    Ok(Sides {
        crm: id("crm_id").and_then(|id| by_id(&stage.crm(), ACCOUNT, &id)),
        erp: id("erp_id").and_then(|id| by_id(&stage.erp(), CUSTOMER, &id)),
        row,
    })
}

async fn wait_for(stage: &Stage, number: &str, crm: &str, erp: &str, value: &Value) -> anyhow::Result<bool> {
    stage
        .until(PATIENCE, async |stage| {
            let sides = sides(stage, number).await?;
            Ok(sides.crm.is_some_and(|record| record.get(crm) == Some(value))
                && sides.erp.is_some_and(|record| record.get(erp) == Some(value)))
        })
        .await
}

async fn show(stage: &Stage, teller: &Teller, number: &str) -> anyhow::Result<()> {
    let sides = sides(stage, number).await?;
    let from = |side: &str, record: Option<&Record>, fields: [&str; 4]| {
        let mut line = vec![Value::from(side)];
        line.extend(
            fields
                .iter()
                .map(|field| record.and_then(|record| record.get(*field)).cloned().unwrap_or(Value::Null)),
        );
        line
    };
    let row = sides.row.as_ref().and_then(Value::as_object);
    teller.table(
        &["", "number", "name", "phone", "address"],
        &[
            from("CRM", sides.crm.as_ref(), ["account_no", "name", "tel", "address"]),
            from("SQL", row, ["number", "name", "phone", "address"]),
            from("ERP", sides.erp.as_ref(), ["FNumber", "FName", "FTEL", "FADDRESS"]),
        ],
    );
    Ok(())
}

pub(super) fn print(teller: &Teller, columns: &[&str], rows: &[Value]) {
    let lines: Vec<Vec<Value>> =
        rows.iter().map(|row| columns.iter().map(|column| member(row, column).clone()).collect()).collect();
    teller.table(columns, &lines);
}

/// Calls that wrote something.
fn writes(door: &Door) -> usize {
    const WRITING: [&str; 7] = ["create", "update", "Save", "BatchSave", "Delete", "delete", "invalid"];
    door.calls().iter().filter(|call| WRITING.contains(&call.operation.as_str())).count()
}

fn duplicates(records: &[Record], field: &str) -> usize {
    let mut numbers: Vec<String> =
        records.iter().filter_map(|record| record.get(field)?.as_str().map(str::to_owned)).collect();
    let all = numbers.len();
    numbers.sort();
    numbers.dedup();
    all - numbers.len()
}

async fn all_equal(stage: &Stage) -> anyhow::Result<bool> {
    Ok(differences(stage).await? == 0)
}

/// How many values differ between the three sides, counted without the engine.
async fn differences(stage: &Stage) -> anyhow::Result<usize> {
    let rows = stage.rows("select number, name, phone, address, crm_id, erp_id from sales.customer").await?;
    let index = |records: Vec<Record>| -> std::collections::HashMap<String, Record> {
        records.into_iter().filter_map(|record| Some((id_of(&record)?, record))).collect()
    };
    let (crm, erp) = (index(stage.crm().records(ACCOUNT)), index(stage.erp().records(CUSTOMER)));
    let mut differences = crm.len().abs_diff(rows.len()) + erp.len().abs_diff(rows.len());
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    for row in &rows {
        let pairs = [
            ("number", "account_no", "FNumber"),
            ("name", "name", "FName"),
            ("phone", "tel", "FTEL"),
            ("address", "address", "FADDRESS"),
        ];
        let (in_crm, in_erp) = (crm.get(&text(row.get("crm_id"))), erp.get(&text(row.get("erp_id"))));
        for (column, crm_field, erp_field) in pairs {
            let value = text(row.get(column));
            differences += usize::from(text(in_crm.and_then(|record| record.get(crm_field))) != value);
            differences += usize::from(text(in_erp.and_then(|record| record.get(erp_field))) != value);
        }
    }
    Ok(differences)
}

async fn credits_equal(stage: &Stage) -> anyhow::Result<bool> {
    let rows =
        stage.rows(&format!("select erp_id, credit from sales.customer where id <= {CUSTOMERS}")).await?;
    let records = stage.erp().records(CUSTOMER);
    let credits: std::collections::HashMap<String, f64> = records
        .iter()
        .filter_map(|record| {
            Some((id_of(record)?, record.get("F_RT_Credit")?.to_string().trim_matches('"').parse().ok()?))
        })
        .collect();
    Ok(rows.iter().all(|row| {
        let id = member(row, "erp_id").as_str().unwrap_or_default();
        let wanted: Option<f64> = member(row, "credit").to_string().parse().ok();
        wanted.is_some() && credits.get(id).copied() == wanted
    }))
}
