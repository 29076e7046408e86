//! The order story: from the CRM by way of SQL to the ERP, and its delivery back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::demo::stage::{NOTICE_ORDER, Stage};
use crate::demo::story::print;
use crate::demo::tell::Teller;
use crate::model::record::{Record, member};
use crate::simulator::{Deed, Effect};

const PATIENCE: Duration = Duration::from_secs(45);

/// The CRM's orders and delivery notes.
const ORDER: &str = "SalesOrderObj";
const ORDER_LINE: &str = "SalesOrderProductObj";
const NOTE: &str = "DeliveryNoteObj";
const CONTACT: &str = "ContactObj";
/// The ERP's.
const BILL: &str = "SAL_SaleOrder";
const NOTICE: &str = "SAL_DELIVERYNOTICE";
const MATERIAL: &str = "BD_MATERIAL";
const PRODUCT: &str = "ProductObj";

/// Tells it.
///
/// # Errors
/// When a side cannot be read; promises that were not kept are the teller's.
pub async fn tell(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    products(stage, teller).await?;
    from_the_crm(stage, teller).await?;
    one_line(stage, teller).await?;
    delivery(stage, teller).await?;
    all_new(stage, teller).await
}

async fn products(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("Products, entered in SQL, are in both systems").await;
    let sql = "insert into sales.product (number, name, price) values ('P-1', 'Bolt', 9.50), ('P-2', 'Nut', 0.75), ('P-3', 'Washer', 0.10)";
    teller.sql(sql);
    stage.run(sql).await?;
    let there = stage
        .until(
            PATIENCE,
            async |stage| Ok(stage.crm().count(PRODUCT) == 3 && stage.erp().count(MATERIAL) == 3),
        )
        .await?;
    stage.at_rest().await?;
    teller.verify("three products are in the CRM and in the ERP", there);
    Ok(())
}

async fn from_the_crm(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("A salesman enters an order in the CRM; the ERP has it, submitted and audited").await;
    let customer = text(stage, "select crm_id from sales.customer where number = 'C00012'").await?;
    let products = [
        text(stage, "select crm_id from sales.product where number = 'P-1'").await?,
        text(stage, "select crm_id from sales.product where number = 'P-2'").await?,
    ];
    teller.person("a salesman enters order SO-1 for customer C00012: 10 bolts and 200 nuts");
    let began = Instant::now();
    stage.crm().insert(
        ORDER,
        json!({"name": "SO-1", "account_id": customer, "order_time": 1_772_294_400_000_i64,
               "details": {ORDER_LINE: [
                   {"product_id": products[0], "quantity": "10", "price": "9.50"},
                   {"product_id": products[1], "quantity": "200", "price": "0.75"}]}}),
    );
    let audited = stage.until(PATIENCE, async |stage| Ok(bill(stage, "SO-1", "C").is_some())).await?;
    teller.line(&format!("   in the ERP, audited, after {} ms", began.elapsed().as_millis()));
    stage.at_rest().await?;
    let sql = "select o.number, c.name as customer, o.ordered_on, p.number as product, l.quantity, l.price
     from sales.orders o join sales.customer c on c.id = o.customer_id
     join sales.order_line l on l.order_id = o.id join sales.product p on p.id = l.product_id order by l.id";
    teller.sql(sql);
    print(
        teller,
        &["number", "customer", "ordered_on", "product", "quantity", "price"],
        &stage.rows(sql).await?,
    );
    show_bill(stage, teller, "SO-1");
    teller.verify(
        "the ERP's order is audited, with its two lines and the same customer",
        audited && fits(stage),
    );
    teller.verify("the CRM has one order with two lines, as the salesman made it", {
        let crm = stage.crm();
        crm.count(ORDER) == 1 && crm.count(ORDER_LINE) == 2
    });
    Ok(())
}

/// Whether the ERP's order says what the salesman said.
fn fits(stage: &Stage) -> bool {
    let Some(bill) = bill(stage, "SO-1", "C") else { return false };
    let said: Vec<String> = lines(&bill, "FSaleOrderEntry")
        .iter()
        .map(|line| {
            format!("{} {}", member(member(line, "FMaterialId"), "FNumber"), number(member(line, "FQty")))
        })
        .collect();
    said == ["\"P-1\" 10", "\"P-2\" 200"]
        && bill.get("FCustId").is_some_and(|to| member(to, "FNumber") == "C00012")
}

async fn one_line(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller.step("One line is changed in SQL; only that line travels, and the ERP's audit is renewed").await;
    stage.crm().forget_calls();
    stage.erp().forget_calls();
    let sql = "update sales.order_line set quantity = 12 where product_id = (select id from sales.product where number = 'P-1')";
    teller.sql(sql);
    stage.run(sql).await?;
    let arrived = stage
        .until(PATIENCE, async |stage| {
            let erp = bill(stage, "SO-1", "C").is_some_and(|bill| {
                lines(&bill, "FSaleOrderEntry").iter().any(|line| number(member(line, "FQty")) == "12")
            });
            let crm = stage
                .crm()
                .records(ORDER_LINE)
                .iter()
                .any(|line| line.get("quantity").is_some_and(|quantity| number(quantity) == "12"));
            Ok(erp && crm)
        })
        .await?;
    stage.at_rest().await?;
    let calls: Vec<String> = stage
        .erp()
        .calls()
        .iter()
        .filter(|call| call.object == BILL && !call.operation.contains("Query"))
        .map(|call| call.operation.clone())
        .collect();
    teller.line(&format!("   calls to the ERP that did something: {}", calls.join(", ")));
    show_bill(stage, teller, "SO-1");
    teller.verify("both systems have the new quantity, and the ERP's order is audited again", arrived);
    let sent: Vec<usize> = stage
        .erp()
        .calls()
        .iter()
        .filter(|call| call.operation == "BatchSave")
        .map(|call| call.lines_sent)
        .collect();
    teller.verify("one line was sent to the ERP", sent == [1]);
    let to_crm = stage.crm().calls().iter().filter(|call| call.operation == "update").count();
    teller.verify("one line was sent to the CRM", to_crm == 1);
    Ok(())
}

async fn delivery(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller
        .step("The warehouse makes a delivery notice in the ERP; it stands in SQL and the CRM sees it")
        .await;
    teller.person("the warehouse enters delivery notice FH-1 for order SO-1: 5 bolts");
    stage.erp().insert(
        NOTICE,
        json!({"FBillNo": "FH-1", "FDate": "2026-03-02T00:00:00", "FCustomerID": {"FNumber": "C00012"}, NOTICE_ORDER: "SO-1",
               "FEntity": [{"FMaterialID": {"FNumber": "P-1"}, "FQty": 5, "FSrcBillNo": "SO-1"}]}),
    );
    let arrived = stage.until(PATIENCE, async |stage| Ok(stage.crm().count(NOTE) == 1)).await?;
    stage.at_rest().await?;
    let sql = "select d.number, d.delivered_on, o.number as of_order, p.number as product, l.quantity
     from sales.delivery d join sales.orders o on o.id = d.order_id
     join sales.delivery_line l on l.delivery_id = d.id join sales.product p on p.id = l.product_id";
    teller.sql(sql);
    print(teller, &["number", "delivered_on", "of_order", "product", "quantity"], &stage.rows(sql).await?);
    let order = text(stage, "select crm_id from sales.orders where number = 'SO-1'").await?;
    let of_it = stage
        .crm()
        .records(NOTE)
        .iter()
        .any(|note| note.get("sales_order_id").is_some_and(|to| *to == order));
    teller.verify("the CRM has the delivery note, under its own order", arrived && of_it);
    Ok(())
}

async fn all_new(stage: &Stage, teller: &mut Teller) -> anyhow::Result<()> {
    teller
        .step("A new customer, a contact and an order in one transaction: they go after their customer")
        .await;
    stage.crm().forget_effects();
    stage.erp().forget_effects();
    let sql = "with c as (insert into sales.customer (number, name) values ('C90012', 'Newcomer') returning id),
          p as (insert into sales.contact (name, mobile, customer_id) select 'Li Wei', '13700000012', id from c),
          o as (insert into sales.orders (number, customer_id, ordered_on) select 'SO-2', id, '2026-03-03' from c returning id)
     insert into sales.order_line (order_id, product_id, quantity, price)
     select o.id, p.id, 3, p.price from o, sales.product p";
    teller.sql(sql);
    stage.run(sql).await?;
    let arrived = stage
        .until(PATIENCE, async |stage| {
            Ok(bill(stage, "SO-2", "C").is_some()
                && stage.crm().count(ORDER) == 2
                && stage.crm().count(ORDER_LINE) == 5
                && stage.crm().count(CONTACT) == 1)
        })
        .await?;
    stage.at_rest().await?;
    show_bill(stage, teller, "SO-2");
    teller.verify("both systems have customer and order, and the CRM the contact", arrived);
    let in_order = after(&stage.crm().effects(), CONTACT, "AccountObj")
        && after(&stage.crm().effects(), ORDER, "AccountObj")
        && after(&stage.erp().effects(), BILL, "BD_Customer");
    teller.verify("nothing was made before its customer", in_order);
    Ok(())
}

/// Whether every `later` was made after the last `earlier`.
fn after(effects: &[Effect], later: &str, earlier: &str) -> bool {
    let made = |object: &str| {
        effects
            .iter()
            .filter(|one| one.deed == Deed::Created && one.object == object)
            .map(|one| one.seq)
            .collect::<Vec<_>>()
    };
    let (later, earlier) = (made(later), made(earlier));
    !later.is_empty() && !earlier.is_empty() && later.iter().min() > earlier.iter().max()
}

/// The ERP's order of this number, if its status is this one.
fn bill(stage: &Stage, number: &str, status: &str) -> Option<Record> {
    stage.erp().records(BILL).into_iter().find(|bill| {
        bill.get("FBillNo").is_some_and(|is| is == number)
            && bill.get("FDocumentStatus").is_some_and(|is| is == status)
    })
}

fn lines(bill: &Record, field: &str) -> Vec<Value> {
    bill.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn show_bill(stage: &Stage, teller: &Teller, of: &str) {
    let found =
        stage.erp().records(BILL).into_iter().find(|bill| bill.get("FBillNo").is_some_and(|is| is == of));
    let Some(bill) = found else { return };
    let rows: Vec<Vec<Value>> = lines(&bill, "FSaleOrderEntry")
        .iter()
        .map(|line| {
            vec![
                bill.get("FBillNo").cloned().unwrap_or_default(),
                bill.get("FDocumentStatus").cloned().unwrap_or_default(),
                bill.get("FCustId").map(|to| member(to, "FNumber").clone()).unwrap_or_default(),
                member(member(line, "FMaterialId"), "FNumber").clone(),
                member(line, "FQty").clone(),
                member(line, "FTaxPrice").clone(),
            ]
        })
        .collect();
    teller.table(&["ERP", "status", "FCustId", "FMaterialId", "FQty", "FTaxPrice"], &rows);
}

async fn text(stage: &Stage, sql: &str) -> anyhow::Result<Value> {
    let rows = stage.rows(sql).await?;
    Ok(rows
        .first()
        .and_then(Value::as_object)
        .and_then(|row| row.values().next())
        .cloned()
        .unwrap_or(Value::Null))
}

/// A number as text without the zeros that say nothing.
fn number(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => text,
    }
}
