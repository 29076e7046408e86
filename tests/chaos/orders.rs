//! Orders with lines: documents of both systems. Every quantity is a number of its own, so that no line can be lost, or
//! be there twice, and look like another one.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};
use tokio_postgres::Transaction;

use crate::dice::Dice;
use crate::people::Said;
use crate::remote::{Remote, text};
use crate::stage::Stage;

/// So many orders that each is edited now and then.
const ORDERS: i64 = 20;
const PRODUCTS: u64 = 6;
/// Lines of an order beyond which none is added.
const LINES: i64 = 8;
/// Orders that are saved with all their lines, so that a line added between our read and our write goes with it.
pub const SAVED_WHOLE: &str = "SAL_SaleOrder";
/// What a ledger calls the quantities of an order's lines.
pub const ENTITY: &str = "order";

pub const TABLES: &str = "
create table sales.product (
  id bigint generated always as identity primary key, code text unique, name text, crm_id text, erp_id text
);
insert into sales.product (code, name) select 'P' || i, 'Product ' || i from generate_series(1, 6) i;
create table sales.orders (
  id bigint generated always as identity primary key,
  number text unique not null, customer_id bigint not null references sales.customer, crm_id text, erp_id text
);
create table sales.order_line (
  order_id bigint not null references sales.orders on delete cascade, line_no int not null,
  product_id bigint references sales.product, qty numeric, primary key (order_id, line_no)
);
";

/// The bindings, with what all bindings have in common.
pub fn bindings(common: &str) -> String {
    let lines = "table: sales.order_line, parent: [order_id], order_by: [line_no]";
    format!(
        "  sales.product:
    bindings:
      - {{system: crm, object: ProductObj, match: [product_code], id_column: crm_id, {common}, fields: {{code: product_code, name: name}}}}
      - {{system: erp, object: BD_MATERIAL, match: [FNumber], id_column: erp_id, {common}, fields: {{code: FNumber, name: FName}}}}
  sales.orders:
    bindings:
      - {{system: crm, object: SalesOrderObj, match: [name], id_column: crm_id, {common}, fields: {{number: name, customer_id: {{field: account_id, refers_to: sales.customer}}}}, lines: {{SalesOrderProductObj: {{{lines}, fields: {{product_id: {{field: product_id, refers_to: sales.product}}, qty: {{field: quantity, codec: decimal_string}}}}}}}}}}
      - {{system: erp, object: SAL_SaleOrder, match: [FBillNo], id_column: erp_id, {common}, fields: {{number: FBillNo, customer_id: {{field: FCustId.FNumber, refers_to: sales.customer}}}}, lines: {{FSaleOrderEntry: {{{lines}, fields: {{product_id: {{field: FMaterialId.FNumber, refers_to: sales.product}}, qty: FQty}}}}}}}}
"
    )
}

/// An analyst makes an order, or changes, adds or removes a line, and says which quantity came and which went.
pub async fn edit_in_sql(
    transaction: &Transaction<'_>,
    dice: &mut Dice,
    serial: u64,
) -> Result<(), tokio_postgres::Error> {
    let orders: i64 = transaction.query_one("select count(*) from sales.orders", &[]).await?.get(0);
    let seq = i64::try_from(serial).unwrap_or_default();
    let say = "insert into chaos.said values ($1, 'order', $2, 'qty', $3, $4)";
    if orders < ORDERS && (orders == 0 || dice.below(3) == 0) {
        let number = format!("SO{serial}");
        let make = "insert into sales.orders (number, customer_id)
                    select $1, id from sales.customer where crm_id is not null order by random() limit 1 returning id";
        let Some(order) = transaction.query_opt(make, &[&number]).await? else { return Ok(()) };
        let order: i64 = order.get(0);
        for line in 1..=i32::try_from(dice.between(1, 3)).unwrap_or(1) {
            let qty = seq * 10 + i64::from(line);
            insert(transaction, order, line, dice, qty).await?;
            transaction.execute(say, &[&seq, &number, &None::<String>, &qty.to_string()]).await?;
        }
        return Ok(());
    }
    let at = i64::try_from(dice.below(u64::try_from(orders).unwrap_or(1).max(1))).unwrap_or_default();
    let chosen = "select id, number from sales.orders order by id offset $1 limit 1";
    let Some(order) = transaction.query_opt(chosen, &[&at]).await? else { return Ok(()) };
    let (order, number): (i64, String) = (order.get(0), order.get(1));
    let lines = transaction
        .query("select line_no, trim_scale(qty)::text from sales.order_line where order_id = $1 order by line_no for update", &[&order])
        .await?;
    let many = i64::try_from(lines.len()).unwrap_or_default();
    let last: i32 = lines.last().map_or(0, |line| line.get(0));
    let qty = seq * 10;
    match dice.below(4) {
        0 if many < LINES => {
            insert(transaction, order, last + 1, dice, qty).await?;
            transaction.execute(say, &[&seq, &number, &None::<String>, &qty.to_string()]).await?;
        }
        1 if many > 1 => {
            let line = dice.pick(&lines);
            let (line, was): (i32, Option<String>) = (line.get(0), line.get(1));
            let gone = "delete from sales.order_line where order_id = $1 and line_no = $2";
            transaction.execute(gone, &[&order, &line]).await?;
            transaction.execute(say, &[&seq, &number, &was, &None::<String>]).await?;
        }
        _ if many > 0 => {
            let line = dice.pick(&lines);
            let (line, was): (i32, Option<String>) = (line.get(0), line.get(1));
            let change = "update sales.order_line set qty = $3::bigint where order_id = $1 and line_no = $2";
            transaction.execute(change, &[&order, &line, &qty]).await?;
            transaction.execute(say, &[&seq, &number, &was, &qty.to_string()]).await?;
        }
        _ => {}
    }
    Ok(())
}

async fn insert(
    transaction: &Transaction<'_>,
    order: i64,
    line: i32,
    dice: &mut Dice,
    qty: i64,
) -> Result<(), tokio_postgres::Error> {
    let product = i64::try_from(dice.between(1, PRODUCTS)).unwrap_or(1);
    let sql =
        "insert into sales.order_line (order_id, line_no, product_id, qty) values ($1, $2, $3, $4::bigint)";
    transaction.execute(sql, &[&order, &line, &product, &qty]).await.map(drop)
}

/// What the two systems call the parts of an order.
struct Words {
    order: &'static str,
    number: &'static str,
    product: &'static str,
    code: &'static str,
}

fn words(remote: &Remote) -> Words {
    if remote.name == "crm" {
        Words { order: "SalesOrderObj", number: "name", product: "ProductObj", code: "product_code" }
    } else {
        Words { order: "SAL_SaleOrder", number: "FBillNo", product: "BD_MATERIAL", code: "FNumber" }
    }
}

/// A person adds a line to an order, if there is one that has room. Says which quantity came.
pub async fn add_in_remote(remote: &Remote, dice: &mut Dice, serial: u64) -> anyhow::Result<Option<Said>> {
    let words = words(remote);
    let orders = remote.records(words.order).await?;
    let products = remote.records(words.product).await?;
    if orders.is_empty() || products.is_empty() {
        return Ok(None);
    }
    let (order, product) = (dice.pick(&orders), dice.pick(&products));
    let id = text(&order[if remote.name == "crm" { "_id" } else { "FID" }]).unwrap_or_default();
    let document = remote.door("document", json!({"object": words.order, "id": id})).await?;
    let lines = lines_of(&document["document"]).len();
    if lines == 0 || lines >= usize::try_from(LINES)? {
        return Ok(None);
    }
    let qty = serial * 10 + 5;
    let fields = if remote.name == "crm" {
        json!({"product_id": product["_id"], "quantity": qty.to_string()})
    } else {
        json!({"FMaterialId": {"FNumber": product["FNumber"]}, "FQty": qty})
    };
    let answer = remote.door("add_line", json!({"object": words.order, "id": id, "fields": fields})).await?;
    let said = Said {
        side: remote.name.to_owned(),
        entity: ENTITY.to_owned(),
        number: text(&order[words.number]).unwrap_or_default(),
        field: "qty".to_owned(),
        was: None,
        value: Some(qty.to_string()),
        // a line of the CRM is a record of its own, which no save of the order overwrites
        deed: (remote.name == "erp").then_some((id, 0)),
    };
    Ok(text(&answer["line"]).map(|_| said))
}

/// The lines of a document, wherever the system keeps them.
fn lines_of(document: &Value) -> Vec<Value> {
    let apart = &document["details"]["SalesOrderProductObj"];
    let inside = &document["FSaleOrderEntry"];
    [apart, inside].into_iter().filter_map(Value::as_array).flatten().cloned().collect()
}

type Lines = Vec<(String, String)>;

/// Compares the orders of all sides, and gives the quantities that there are, with their order.
pub async fn compare(stage: &Stage, findings: &mut Vec<String>) -> anyhow::Result<HashSet<(String, String)>> {
    let mut rows: BTreeMap<String, Lines> = BTreeMap::new();
    let sql = "select o.number, p.code, trim_scale(l.qty)::text as qty from sales.orders o
               left join sales.order_line l on l.order_id = o.id left join sales.product p on p.id = l.product_id";
    for row in stage.rows(sql).await? {
        let lines = rows.entry(text(&row["number"]).unwrap_or_default()).or_default();
        if let Some(qty) = text(&row["qty"]) {
            lines.push((text(&row["code"]).unwrap_or_default(), qty));
        }
    }
    rows.values_mut().for_each(|lines| lines.sort());
    for remote in stage.remotes() {
        let words = words(remote);
        let mut codes = BTreeMap::new();
        for product in remote.records(words.product).await? {
            let id = if remote.name == "crm" { text(&product["_id"]) } else { text(&product["FNumber"]) };
            codes.insert(id, text(&product[words.code]).unwrap_or_default());
        }
        let mut seen = BTreeMap::<String, usize>::new();
        for order in remote.records(words.order).await? {
            let number = text(&order[words.number]).unwrap_or_default();
            *seen.entry(number.clone()).or_default() += 1;
            let id = text(&order[if remote.name == "crm" { "_id" } else { "FID" }]).unwrap_or_default();
            let document = remote.door("document", json!({"object": words.order, "id": id})).await?;
            let mut lines: Lines = lines_of(&document["document"])
                .iter()
                .filter(|line| line["is_deleted"] != json!(true))
                .map(|line| {
                    let product = text(&line["product_id"]).or_else(|| text(&line["FMaterialId"]["FNumber"]));
                    let qty = text(&line["quantity"]).or_else(|| text(&line["FQty"])).unwrap_or_default();
                    (codes.get(&product).cloned().unwrap_or_default(), whole(&qty))
                })
                .collect();
            lines.sort();
            if rows.get(&number) != Some(&lines) {
                let row = rows.get(&number);
                findings.push(format!(
                    "order {number}: the rows say {row:?}, the record in {} {lines:?}",
                    remote.name
                ));
            }
        }
        for number in rows.keys().filter(|number| seen.get(*number) != Some(&1)) {
            findings.push(format!(
                "order {number}: {:?} records in {} for one row",
                seen.get(number),
                remote.name
            ));
        }
    }
    let quantities =
        rows.iter().flat_map(|(number, lines)| lines.iter().map(|(_, qty)| (number.clone(), qty.clone())));
    Ok(quantities.collect())
}

/// A number without the zeros behind its point.
fn whole(number: &str) -> String {
    if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        number.to_owned()
    }
}
