//! What objects and fields there are.

use serde_json::{Map, Value, json};

use super::{
    schema::{self, Field, Holds},
    success,
};
use crate::simulator::{
    credentials::fxiaoke as known,
    exchange::{Answer, Asked},
    state::State,
};

const PRESET: [(&str, &str); 13] = [
    ("AccountObj", "客户"),
    ("ContactObj", "联系人"),
    ("LeadsObj", "销售线索"),
    ("OpportunityObj", "商机"),
    ("NewOpportunityObj", "商机2.0"),
    ("SalesOrderObj", "销售订单"),
    ("SalesOrderProductObj", "订单产品"),
    ("ProductObj", "产品"),
    ("PaymentObj", "回款"),
    ("OrderPaymentObj", "回款明细"),
    ("DeliveryNoteObj", "发货单"),
    ("DeliveryNoteProductObj", "发货单产品"),
    ("PersonnelObj", "人员"),
];

/// The preset objects, and the custom ones that have records.
pub(super) fn list(state: &State) -> Answer {
    let entry = |name: &str, label: &str, kind: &str| json!({"describeApiName": name, "describeDisplayName": label, "defineType": kind, "isActive": true});
    let mut custom: Vec<&String> = state.objects.keys().filter(|name| name.ends_with("__c")).collect();
    custom.sort();
    let objects: Vec<Value> = PRESET
        .iter()
        .map(|(name, label)| entry(name, label, "package"))
        .chain(custom.into_iter().map(|name| entry(name, name, "custom")))
        .collect();
    Answer::ok(&success(json!({"data": {"objects": objects}})))
}

/// The fields of an object, keyed by their names.
pub(super) fn describe(state: &State, asked: &Asked) -> Answer {
    let (own, _) = schema::own(&asked.object);
    let mut fields: Map<String, Value> = schema::SHARED
        .iter()
        .chain(own)
        .map(|field| (field.0.to_owned(), described(&asked.object, field)))
        .collect();
    for ((_, name), kind) in state.described.iter().filter(|((object, _), _)| *object == asked.object) {
        match kind {
            None => {
                fields.remove(name);
            }
            Some(kind) => {
                let field = fields.entry(name.as_str()).or_insert_with(
                    || json!({"api_name": name, "label": name, "define_type": "custom", "is_active": true}),
                );
                if let Value::Object(field) = field {
                    field.insert("type".to_owned(), json!(kind));
                }
            }
        }
    }
    let label =
        PRESET.iter().find(|(name, _)| *name == asked.object).map_or(asked.object.as_str(), |(_, l)| l);
    let describe = json!({
        "api_name": asked.object, "display_name": label, "label": label, "is_active": true,
        "define_type": if asked.object.ends_with("__c") { "custom" } else { "package" }, "fields": fields,
    });
    Answer::ok(&success(json!({"data": {"describe": describe}})))
}

fn described(object: &str, (name, label, holds): &Field) -> Value {
    // Objects whose fields are not known take records without a name, and say that they need one all the same.
    let (_, closed) = schema::own(object);
    let required = schema::required(object).contains(name)
        || (*name == "name" && (!closed || schema::needs_name(object)));
    let mut field = json!({
        "api_name": name, "label": label, "type": holds.type_name(), "is_required": required,
        "define_type": if name.ends_with("__c") { "custom" } else { "package" }, "is_active": true,
    });
    if let Value::Object(field) = &mut field {
        match holds {
            Holds::Decimal(_, places) => {
                field.insert("decimal_places".to_owned(), json!(places));
            }
            Holds::Date => {
                field.insert("date_format".to_owned(), json!("yyyy-MM-dd"));
                field.insert("time_zone".to_owned(), json!("GMT+8"));
            }
            Holds::Text("select_one") if *name == "life_status" => {
                let states = ["normal", "ineffective", "under_review", "in_change", "invalid"];
                let options: Vec<Value> =
                    states.iter().map(|value| json!({"label": value, "value": value})).collect();
                field.insert("options".to_owned(), Value::Array(options));
            }
            Holds::Reference(target) | Holds::Master(target) => {
                field.insert("target_api_name".to_owned(), json!(target));
            }
            _ => {}
        }
    }
    field
}

/// The one user, whatever the number.
pub(super) fn user(asked: &Asked) -> Answer {
    let mobile = asked.payload.get("mobile").cloned().unwrap_or(Value::Null);
    let user = json!({"openUserId": known::OPEN_USER_ID, "name": "demo", "mobile": mobile});
    Answer::ok(&success(json!({"empList": [user]})))
}
