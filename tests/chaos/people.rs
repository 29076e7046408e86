//! Those who work meanwhile: analysts in SQL, a salesman in the CRM, an accountant in the ERP. Each value is written
//! once, and with it what it replaced, as its writer saw it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::orders;
use crate::remote::{Remote, text};
use crate::stage::{Stage, connect};

/// So many customers that each is edited now and then from several sides.
const CUSTOMERS: u64 = 60;
const CONTACTS: u64 = 30;
/// Beside the fields: the row was deleted.
pub const DELETED: &str = "(deleted)";

/// One value that somebody wrote.
#[derive(Debug, Clone)]
pub struct Said {
    pub side: String,
    pub entity: String,
    pub number: String,
    pub field: String,
    /// What it replaced, as seen in the moment of the edit.
    pub was: Option<String>,
    pub value: Option<String>,
    /// In a remote: the record, and which of the persons' deeds on it this was, from 0.
    pub deed: Option<(String, usize)>,
}

/// What the persons in the remotes wrote. What analysts wrote stands in the mirror's own `chaos.said`.
#[derive(Default)]
pub struct Ledger {
    said: Mutex<Vec<Said>>,
    deeds: Mutex<BTreeMap<(String, String), usize>>,
    serial: AtomicU64,
    pub edits: AtomicU64,
    pub refused: AtomicU64,
}

impl Ledger {
    fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn note(&self, said: Vec<Said>) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).extend(said);
    }

    fn deed(&self, side: &str, id: &str) -> usize {
        let mut deeds = self.deeds.lock().unwrap_or_else(PoisonError::into_inner);
        let count = deeds.entry((side.to_owned(), id.to_owned())).or_default();
        *count += 1;
        *count - 1
    }

    /// All that was written, on all sides.
    pub async fn all(&self, stage: &Stage) -> anyhow::Result<Vec<Said>> {
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for row in stage.rows("select * from chaos.said order by seq").await? {
            let member = |name: &str| text(&row[name]);
            all.push(Said {
                side: "sql".to_owned(),
                entity: member("entity").unwrap_or_default(),
                number: member("number").unwrap_or_default(),
                field: member("field").unwrap_or_default(),
                was: member("was"),
                value: member("value"),
                deed: None,
            });
        }
        Ok(all)
    }
}

/// Everybody at work, until they are told to stop.
pub struct People {
    stop: CancellationToken,
    work: JoinSet<()>,
}

impl People {
    pub fn begin(stage: &Arc<Stage>, ledger: &Arc<Ledger>, dice: &mut Dice) -> Self {
        let stop = CancellationToken::new();
        let mut work = JoinSet::new();
        for _ in 0..2 {
            work.spawn(analyst(Arc::clone(stage), Arc::clone(ledger), dice.split(), stop.clone()));
        }
        for place in 0..stage.remotes().len() {
            work.spawn(person(Arc::clone(stage), place, Arc::clone(ledger), dice.split(), stop.clone()));
        }
        Self { stop, work }
    }

    /// Everybody finishes what they are at.
    pub async fn end(mut self) {
        self.stop.cancel();
        while self.work.join_next().await.is_some() {}
    }
}

async fn rest(dice: &mut Dice, stop: &CancellationToken) {
    let how_long = Duration::from_millis(dice.between(40, 400));
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(how_long) => {}
    }
}

async fn analyst(stage: Arc<Stage>, ledger: Arc<Ledger>, mut dice: Dice, stop: CancellationToken) {
    let url = stage.server.url("mirror");
    let mut connected = None;
    while !stop.is_cancelled() {
        rest(&mut dice, &stop).await;
        let mut client = match connected.take() {
            Some(client) => client,
            None => match connect(&url).await {
                Ok(client) => client,
                Err(_) => continue,
            },
        };
        // a transaction that fails has said nothing; one whose answer is lost has said what it has said
        let edit =
            tokio::time::timeout(Duration::from_secs(20), edit_in_sql(&mut client, &ledger, &mut dice));
        match edit.await {
            Ok(Ok(())) => {
                ledger.edits.fetch_add(1, Ordering::Relaxed);
                connected = Some(client);
            }
            _ => {
                ledger.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

async fn edit_in_sql(
    client: &mut tokio_postgres::Client,
    ledger: &Ledger,
    dice: &mut Dice,
) -> Result<(), tokio_postgres::Error> {
    let serial = ledger.serial();
    let transaction = client.transaction().await?;
    let count = |table: &str| format!("select count(*) from sales.{table}");
    let customers: i64 = transaction.query_one(&count("customer"), &[]).await?.get(0);
    let customers = u64::try_from(customers).unwrap_or_default();
    let say = "insert into chaos.said values ($1, $2, $3, $4, $5, $6)";
    let seq = i64::try_from(serial).unwrap_or_default();
    match dice.below(24) {
        0..=2 if customers < CUSTOMERS => {
            let (number, name) = (format!("S{serial}"), format!("name {serial}"));
            let sql = "insert into sales.customer (number, name) values ($1, $2)";
            transaction.execute(sql, &[&number, &name]).await?;
            transaction.execute(say, &[&seq, &"customer", &number, &"name", &None::<&str>, &name]).await?;
        }
        3 if customers > CUSTOMERS / 2 => {
            let sql = "delete from sales.customer c where id = (select id from sales.customer order by id offset $1 limit 1)
                       and not exists (select from sales.orders o where o.customer_id = c.id) returning number";
            let at = i64::try_from(dice.below(customers)).unwrap_or_default();
            for row in transaction.query(sql, &[&at]).await? {
                let number: String = row.get(0);
                let none = None::<&str>;
                transaction.execute(say, &[&seq, &"customer", &number, &DELETED, &none, &none]).await?;
            }
        }
        4..=7 => {
            let contacts: i64 = transaction.query_one(&count("contact"), &[]).await?.get(0);
            let contacts = u64::try_from(contacts).unwrap_or_default();
            let parent = "(select id from sales.customer order by id offset $1 limit 1)";
            let at = i64::try_from(dice.below(customers.max(1))).unwrap_or_default();
            if contacts < CONTACTS {
                let name = format!("contact {serial}");
                let sql = format!("insert into sales.contact (name, customer_id) values ($2, {parent})");
                transaction.execute(&sql, &[&at, &name]).await?;
            } else {
                let which = i64::try_from(dice.below(contacts)).unwrap_or_default();
                let sql = format!(
                    "update sales.contact set customer_id = {parent} where id = (select id from sales.contact order by id offset $2 limit 1)"
                );
                transaction.execute(&sql, &[&at, &which]).await?;
            }
        }
        10..=13 => orders::edit_in_sql(&transaction, dice, serial).await?,
        8 => edit(&transaction, "contact", "name", "mobile", &[], serial).await?,
        // many rows at once
        9 => edit(&transaction, "customer", "number", "address", &[], serial).await?,
        _ if customers > 0 => {
            let column = dice.pick(&["name", "phone", "address"]);
            let at = i64::try_from(dice.below(customers)).unwrap_or_default();
            edit(&transaction, "customer", "number", column, &[at], serial).await?;
        }
        _ => {}
    }
    transaction.commit().await
}

/// Writes new values into a column, of the row at a place or of a dozen rows, and says what stood there.
async fn edit(
    transaction: &tokio_postgres::Transaction<'_>,
    table: &str,
    name: &str,
    column: &str,
    at: &[i64],
    serial: u64,
) -> Result<(), tokio_postgres::Error> {
    let (offset, limit) = at.first().map_or((0, 12), |at| (*at, 1));
    let seen = format!(
        "select id, {name}, {column} from sales.{table} where id in (select id from sales.{table} order by id offset $1 limit $2) order by id for update"
    );
    let seq = i64::try_from(serial).unwrap_or_default();
    for (place, row) in transaction.query(&seen, &[&offset, &i64::from(limit)]).await?.into_iter().enumerate()
    {
        let (id, number, was): (i64, String, Option<String>) = (row.get(0), row.get(1), row.get(2));
        let value = format!("{column} {serial}.{place}");
        let update = format!("update sales.{table} set {column} = $2 where id = $1");
        transaction.execute(&update, &[&id, &value]).await?;
        let say = "insert into chaos.said values ($1, $2, $3, $4, $5, $6)";
        transaction.execute(say, &[&seq, &table, &number, &column, &was, &value]).await?;
    }
    Ok(())
}

async fn person(
    stage: Arc<Stage>,
    place: usize,
    ledger: Arc<Ledger>,
    mut dice: Dice,
    stop: CancellationToken,
) {
    let remote = stage.remotes()[place];
    while !stop.is_cancelled() {
        rest(&mut dice, &stop).await;
        match edit_in_remote(remote, &ledger, &mut dice).await {
            Ok(()) => ledger.edits.fetch_add(1, Ordering::Relaxed),
            Err(error) => {
                eprintln!("a person in {} cannot work: {error:#}", remote.name);
                ledger.refused.fetch_add(1, Ordering::Relaxed)
            }
        };
    }
}

async fn edit_in_remote(remote: &Remote, ledger: &Ledger, dice: &mut Dice) -> anyhow::Result<()> {
    let (words, serial) = (remote.words, ledger.serial());
    let records = remote.records(words.object).await?;
    let many = u64::try_from(records.len())?;
    if many == 0 || (many < CUSTOMERS && dice.below(8) == 0) {
        let number = format!("{}{serial}", remote.name.to_uppercase());
        let name = format!("name {serial}");
        let fields = json!({words.field("number"): number, words.field("name"): name});
        let answer = remote.door("insert", json!({"object": words.object, "fields": fields})).await?;
        let id = text(&answer["id"]).context("an id")?;
        let deed = Some((id.clone(), ledger.deed(remote.name, &id)));
        ledger.note(vec![said(remote, &number, "name", None, &name, deed)]);
        return Ok(());
    }
    if dice.below(8) == 0 {
        let mut added: Vec<Said> = orders::add_in_remote(remote, dice, serial).await?.into_iter().collect();
        for (id, number) in added.iter_mut().filter_map(|said| said.deed.as_mut()) {
            *number = ledger.deed(remote.name, id);
        }
        ledger.note(added);
        return Ok(());
    }
    let record = dice.pick(&records);
    let (id, number) = (remote.id_of(record), text(&record[words.field("number")]).unwrap_or_default());
    let mut columns = vec!["name", "phone", "address"];
    let kept = dice.between(1, 2);
    while u64::try_from(columns.len())? > kept {
        columns.swap_remove(usize::try_from(dice.below(u64::try_from(columns.len())?))?);
    }
    let value = |column: &str| format!("{column} {serial}");
    let fields: Map<String, Value> =
        columns.iter().map(|column| (words.field(column).to_owned(), json!(value(column)))).collect();
    let answer = remote.door("edit", json!({"object": words.object, "id": id, "fields": fields})).await?;
    if answer["found"] == json!(true) {
        let deed = Some((id.clone(), ledger.deed(remote.name, &id)));
        let all = columns.iter().map(|column| {
            said(
                remote,
                &number,
                column,
                text(&answer["was"][words.field(column)]),
                &value(column),
                deed.clone(),
            )
        });
        ledger.note(all.collect());
    }
    Ok(())
}

fn said(
    remote: &Remote,
    number: &str,
    field: &str,
    was: Option<String>,
    value: &str,
    deed: Option<(String, usize)>,
) -> Said {
    Said {
        side: remote.name.to_owned(),
        entity: "customer".to_owned(),
        number: number.to_owned(),
        field: field.to_owned(),
        was,
        value: Some(value.to_owned()),
        deed,
    }
}
