//! What a person does with a sale. Their client reads the sale with its lines, and saves what they changed in one call that
//! names the versions they saw.

use serde_json::{Map, Value, json};

use crate::client::{Person, ids};
use crate::company::{context, decimal, found_by};

/// A party that can buy, and the address that its sales name.
pub struct Customer {
    pub party: i64,
    pub address: i64,
}

/// One line of a new sale, of a product that is counted in units. `sequence` is left out: Tryton does not number lines.
pub fn line(product: i64, quantity: u32, price: &str) -> Value {
    json!({"product": product, "quantity": quantity, "unit": 1, "unit_price": decimal(price)})
}

/// Values of a class of their own as plain texts: `"10.0000"`, `"2026-11-22"`. Moments are left as they are.
pub fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => match fields.get("__class__").and_then(Value::as_str) {
            Some("Decimal") => fields["decimal"].clone(),
            Some("date") => {
                let part = |name: &str| fields[name].as_i64().unwrap();
                json!(format!("{:04}-{:02}-{:02}", part("year"), part("month"), part("day")))
            }
            _ => {
                fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>().into()
            }
        },
        Value::Array(values) => values.iter().map(plain).collect(),
        other => other.clone(),
    }
}

impl Person {
    /// The id of the product that has this code.
    pub async fn product(&self, code: &str) -> i64 {
        found_by(self, "product.product", "code", code).await
    }

    /// A new customer, with one address.
    pub async fn customer(&self, name: &str) -> Customer {
        let party = json!([{"name": name, "addresses": [["create", [{"city": "Springfield"}]]]}]);
        let party = self.create(party).await[0];
        Customer { party, address: found_by(self, "party.address", "party", &party.to_string()).await }
    }

    /// Enters a sale; its id. It is a draft.
    pub async fn sell(&self, to: &Customer, reference: &str, lines: &[Value]) -> i64 {
        let sale = json!({
            "party": to.party, "invoice_address": to.address, "shipment_address": to.address,
            "reference": reference, "lines": [["create", lines]],
        });
        ids(&self.call("model.sale.sale.create", json!([[sale], context()])).await)[0]
    }

    /// A sale with its lines under `lines.`, in the order in which they are listed.
    pub async fn sale(&self, id: i64) -> Value {
        const FIELDS: [&str; 23] = [
            "number",
            "reference",
            "state",
            "party",
            "comment",
            "sale_date",
            "total_amount",
            "shipments",
            "_timestamp",
            "write_date",
            "create_date",
            "lines",
            "lines.type",
            "lines.product",
            "lines.product.code",
            "lines.quantity",
            "lines.unit",
            "lines.unit_price",
            "lines.sequence",
            "lines.description",
            "lines._timestamp",
            "lines.write_date",
            "lines.create_date",
        ];
        let params = json!([[["id", "=", id]], 0, null, null, FIELDS, context()]);
        let found = self.call("model.sale.sale.search_read", params).await;
        plain(found.get(0).unwrap_or_else(|| panic!("no sale {id}")))
    }

    /// Saves what was changed on a sale that was read before. Lines are named by their ids, as in
    /// `{"lines": [["write", [7], {"quantity": 3}], ["create", [line(…)]], ["delete", [8]]]}`.
    pub async fn edit_sale(&self, as_read: &Value, values: Value) {
        self.call("model.sale.sale.write", edit(as_read, values)).await;
    }

    /// The same where Tryton must refuse it; what it says.
    pub async fn refused_edit(&self, as_read: &Value, values: Value) -> String {
        self.refusal("model.sale.sale.write", edit(as_read, values)).await
    }

    /// Presses a button: `quote`, `confirm`, `process`, `draft`, `cancel`.
    pub async fn press(&self, button: &str, sale: i64) {
        self.call(&format!("model.sale.sale.{button}"), json!([[sale], context()])).await;
    }

    /// Presses a button that must be refused; what Tryton says.
    pub async fn refused_press(&self, button: &str, sale: i64) -> String {
        self.refusal(&format!("model.sale.sale.{button}"), json!([[sale], context()])).await
    }

    /// Deletes a sale, which must be a draft or cancelled.
    pub async fn delete_sale(&self, sale: i64) {
        self.call("model.sale.sale.delete", json!([[sale], context()])).await;
    }
}

/// The parameters of a write that is based on what was read: the versions of the sale and of each of its lines.
fn edit(as_read: &Value, values: Value) -> Value {
    let mut versions = Map::new();
    versions.insert(format!("sale.sale,{}", as_read["id"]), as_read["_timestamp"].clone());
    for line in as_read["lines."].as_array().unwrap() {
        versions.insert(format!("sale.line,{}", line["id"]), line["_timestamp"].clone());
    }
    let mut context = context();
    context["_timestamp"] = versions.into();
    json!([[as_read["id"]], values, context])
}
