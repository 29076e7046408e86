//! A company that sells: what Tryton must know before a sale can be entered, confirmed and shipped.

use serde_json::{Value, json};

use crate::client::{Person, ids};
use crate::server::PASSWORD;

/// The company's id in its database, which every call about its sales names in the context.
pub const COMPANY: i64 = 1;
/// The login of the user that is made for us. It may do what a salesman and a keeper of products may, and nothing else.
pub const OUR_LOGIN: &str = "rowtwin";
/// The codes of the two products, which are there from the start.
pub const BOLT: &str = "B1";
pub const NUT: &str = "N1";

/// Founds it: the company, its accounts, its products, and our user.
pub async fn found(admin: &Person) {
    let currency =
        one(admin, "currency.currency", json!({"name": "Euro", "code": "EUR", "symbol": "€"})).await;
    let party = one(admin, "party.party", json!({"name": "Our company"})).await;
    let company = one(admin, "company.company", json!({"party": party, "currency": currency})).await;
    assert_eq!(company, COMPANY, "a new database counts from one");
    // Processing a sale before its time is for administrators of sales.
    let sales = found_by(admin, "res.group", "name", "Sales Administrator").await;
    let member = json!({"companies": [["add", [company]]], "company": company, "groups": [["add", [sales]]]});
    admin.call("model.res.user.write", json!([[1], member, {}])).await;

    let (revenue, expense) = chart_of_accounts(admin).await;
    let accounting =
        json!({"name": "Goods", "accounting": true, "account_revenue": revenue, "account_expense": expense});
    let accounting = one(admin, "product.category", accounting).await;
    let category = one(admin, "product.category", json!({"name": "Hardware"})).await;
    let unit = found_by(admin, "product.uom", "symbol", "u").await;
    // A form would fill the unit of sales in; a call must name it. And without a product of its own a template is none.
    for (name, code, price) in [("Bolt", "B", "10.0000"), ("Nut", "N", "0.5000")] {
        let template = json!({
            "name": name, "code": code, "type": "goods", "salable": true, "default_uom": unit, "sale_uom": unit,
            "list_price": decimal(price), "account_category": accounting, "categories": [["add", [category]]],
            "products": [["create", [{"suffix_code": "1"}]]],
        });
        one(admin, "product.template", template).await;
    }

    let mut groups = Vec::new();
    for name in ["Sales", "Product Administration", "Account Product Administration", "Stock"] {
        groups.push(found_by(admin, "res.group", "name", name).await);
    }
    let user = json!({
        "name": "rowtwin", "login": OUR_LOGIN, "password": PASSWORD, "company": company,
        "companies": [["add", [company]]], "groups": [["add", groups]],
    });
    one(admin, "res.user", user).await;
}

/// Makes the chart of accounts from the one that Tryton brings, as its wizard does; the accounts of revenue and expense.
async fn chart_of_accounts(admin: &Person) -> (i64, i64) {
    let root = json!(["account.account_template_root_en", context()]);
    let root = admin.call("model.ir.model.data.get_id", root).await;
    let session = admin.call("wizard.account.create_chart.create", json!([context()])).await;
    let session = session[0].clone();
    let step = |data: Value, state: &str| json!([session, data, state, context()]);
    let account = json!({"account": {"company": COMPANY, "account_template": root}});
    admin.call("wizard.account.create_chart.execute", step(account, "create_account")).await;
    let (revenue, expense) = (account_of(admin, "4.1.1").await, account_of(admin, "5.1.1").await);
    let properties = json!({"properties": {
        "company": COMPANY,
        "account_receivable": account_of(admin, "1.2.1").await,
        "account_payable": account_of(admin, "2.1.1").await,
        "category_account_revenue": revenue,
        "category_account_expense": expense,
    }});
    admin.call("wizard.account.create_chart.execute", step(properties, "create_properties")).await;
    admin.call("wizard.account.create_chart.delete", json!([session, context()])).await;
    (revenue, expense)
}

async fn account_of(admin: &Person, code: &str) -> i64 {
    found_by(admin, "account.account", "code", code).await
}

async fn one(admin: &Person, model: &str, values: Value) -> i64 {
    ids(&admin.call(&format!("model.{model}.create"), json!([[values], context()])).await)[0]
}

/// The id of the one record of which this field says that.
pub async fn found_by(person: &Person, model: &str, field: &str, value: &str) -> i64 {
    let params = json!([[[field, "=", value]], 0, null, null, context()]);
    let found = ids(&person.call(&format!("model.{model}.search"), params).await);
    assert_eq!(found.len(), 1, "{model} with {field} {value}");
    found[0]
}

/// What goes with every call.
pub fn context() -> Value {
    json!({"company": COMPANY})
}

/// A number of a decimal field.
pub fn decimal(text: &str) -> Value {
    json!({"__class__": "Decimal", "decimal": text})
}
