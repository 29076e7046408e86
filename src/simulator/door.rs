//! The door: how tests, the demo and anybody with `curl` look into a simulator and play the other user of it.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    Kind, Push, Shared, dynamics365, effect::Effect, exchange, fault::Fault, fxiaoke, hubspot, jiandaoyun,
    kingdee, mailchimp, netsuite, odoo, salesforce, sap, shopify, state::Call, state::State, wechat, yonyou,
    zoho,
};
use crate::model::record::Record;

/// A handle to a simulator's state; cheap to clone. It works on while the simulator is "down".
#[derive(Debug, Clone)]
pub struct Door(pub(super) Arc<Shared>);

/// What can be given as the fields of a record: a [`Record`], or a JSON object.
pub trait Fields {
    /// The fields; a JSON value that is no object has none.
    fn into_fields(self) -> Record;
}

impl Fields for Record {
    fn into_fields(self) -> Record {
        self
    }
}

impl Fields for Value {
    fn into_fields(self) -> Record {
        match self {
            Value::Object(fields) => fields,
            _ => Record::new(),
        }
    }
}

impl Door {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.lock();
        exchange::settle_late(&mut state);
        "person".clone_into(&mut state.effects.by);
        work(&mut state)
    }

    /// All records of an object in the order of their ids, as the system keeps them.
    pub fn records(&self, object: &str) -> Vec<Record> {
        self.with(|state| state.table(object).rows().map(|row| row.fields.clone()).collect())
    }

    /// How many records an object has.
    pub fn count(&self, object: &str) -> usize {
        self.with(|state| state.table(object).len())
    }

    /// One record, or `None` where there is none of this id.
    pub fn record(&self, object: &str, id: &str) -> Option<Record> {
        self.with(|state| state.table(object).get(id).map(|row| row.fields.clone()))
    }

    /// One record with its lines, in the form in which [`Door::insert`] takes it: Fxiaoke's lie in `details`, by the name
    /// of their object; Kingdee's are part of the bill.
    pub fn document(&self, object: &str, id: &str) -> Option<Record> {
        self.with(|state| match state.kind {
            Kind::Fxiaoke => fxiaoke::person::document(state, object, id),
            Kind::Jiandaoyun => state.table(object).get(id).map(|row| row.fields.clone()),
            Kind::KingdeeK3cloud => kingdee::person::document(state, object, id),
            Kind::Salesforce => salesforce::person::document(state, object, id),
            Kind::Odoo => odoo::person::document(state, object, id),
            Kind::Dynamics365 => dynamics365::person::document(state, object, id),
            Kind::Netsuite => netsuite::person::document(state, object, id),
            Kind::ZohoCrm
            | Kind::Hubspot
            | Kind::Mailchimp
            | Kind::Yonyou
            | Kind::WechatMiniprogram
            | Kind::SapOdata
            | Kind::Shopify => state.table(object).get(id).map(|row| row.fields.clone()),
        })
    }

    /// Makes a record as a person in the system's own pages would, and gives its id. Stamps and defaults are set;
    /// a stamp that `fields` names is kept. Lines can be given with it: see [`Door::document`].
    pub fn insert(&self, object: &str, fields: impl Fields) -> String {
        let fields = fields.into_fields();
        self.with(|state| insert(state, object, fields))
    }

    /// Makes many records; the ids come in the same order.
    pub fn insert_many<F: Fields>(&self, object: &str, records: impl IntoIterator<Item = F>) -> Vec<String> {
        let records: Vec<Record> = records.into_iter().map(Fields::into_fields).collect();
        self.with(|state| records.into_iter().map(|fields| insert(state, object, fields)).collect())
    }

    /// Changes fields of a record as a person would; a null clears. Lines that are given are the whole set, known by
    /// their ids. False where there is no such record.
    pub fn edit(&self, object: &str, id: &str, fields: impl Fields) -> bool {
        self.edit_seeing(object, id, fields).is_some()
    }

    /// Changes fields as [`Door::edit`] does, and gives the record as it was in that same moment: what the person saw and
    /// replaced. `None` where there is no such record.
    pub fn edit_seeing(&self, object: &str, id: &str, fields: impl Fields) -> Option<Record> {
        let fields = fields.into_fields();
        self.with(|state| {
            let was = state.table(object).get(id).map(|row| row.fields.clone())?;
            let found = match state.kind {
                Kind::Fxiaoke => fxiaoke::person::edit(state, object, id, fields),
                Kind::Jiandaoyun => jiandaoyun::person::edit(state, object, id, fields),
                Kind::KingdeeK3cloud => kingdee::person::edit(state, object, id, fields),
                Kind::Salesforce => salesforce::person::edit(state, object, id, fields),
                Kind::ZohoCrm => zoho::person::edit(state, object, id, fields),
                Kind::Hubspot => hubspot::person::edit(state, object, id, fields),
                Kind::Odoo => odoo::person::edit(state, object, id, fields),
                Kind::Yonyou => yonyou::person::edit(state, object, id, fields),
                Kind::WechatMiniprogram => wechat::person::edit(state, object, id, fields),
                Kind::Dynamics365 => dynamics365::person::edit(state, object, id, fields),
                Kind::Mailchimp => mailchimp::person::edit(state, object, id, fields),
                Kind::Netsuite => netsuite::person::edit(state, object, id, fields),
                Kind::Shopify => shopify::person::edit(state, object, id, fields),
                Kind::SapOdata => sap::person::edit(state, id, fields),
            };
            found.then_some(was)
        })
    }

    /// Adds a line to a record as a person would, and gives the line's id; `None` where there is no such record or its
    /// object has no lines. The stamps move as the system moves them: Kingdee's bill is changed by it, Fxiaoke's master is not.
    pub fn add_line(&self, object: &str, id: &str, fields: impl Fields) -> Option<String> {
        let fields = fields.into_fields();
        self.with(|state| match state.kind {
            Kind::Fxiaoke => fxiaoke::person::add_line(state, object, id, fields),
            Kind::Jiandaoyun => None,
            Kind::KingdeeK3cloud => kingdee::person::add_line(state, object, id, fields),
            Kind::Salesforce => salesforce::person::add_line(state, object, id, fields),
            Kind::Odoo => odoo::person::add_line(state, object, id, fields),
            Kind::Yonyou => yonyou::person::add_line(state, object, id, fields),
            Kind::WechatMiniprogram => None,
            Kind::Dynamics365 => dynamics365::person::add_line(state, object, id, fields),
            Kind::Netsuite => netsuite::person::add_line(state, object, id, fields),
            Kind::Mailchimp => None,
            Kind::ZohoCrm => zoho::person::add_line(state, object, id, fields),
            Kind::Hubspot | Kind::Shopify | Kind::SapOdata => None,
        })
    }

    /// Changes fields of one line of a record as a person would; a null clears. False where there is no such line.
    pub fn edit_line(&self, object: &str, id: &str, line: &str, fields: impl Fields) -> bool {
        let fields = fields.into_fields();
        self.with(|state| match state.kind {
            Kind::Fxiaoke => fxiaoke::person::edit_line(state, object, id, line, fields),
            Kind::Jiandaoyun => false,
            Kind::KingdeeK3cloud => kingdee::person::edit_line(state, object, id, line, fields),
            Kind::Salesforce => salesforce::person::edit_line(state, object, id, line, fields),
            Kind::Odoo => odoo::person::edit_line(state, object, id, line, fields),
            Kind::Yonyou => yonyou::person::edit_line(state, object, id, line, fields),
            Kind::WechatMiniprogram => false,
            Kind::Dynamics365 => dynamics365::person::edit_line(state, object, id, line, fields),
            Kind::Netsuite => netsuite::person::edit_line(state, object, id, line, fields),
            Kind::Mailchimp => false,
            Kind::ZohoCrm => zoho::person::edit_line(state, object, id, line, fields),
            Kind::Hubspot | Kind::Shopify | Kind::SapOdata => false,
        })
    }

    /// Takes one line out of a record as a person would. False where there is no such line.
    pub fn remove_line(&self, object: &str, id: &str, line: &str) -> bool {
        self.with(|state| match state.kind {
            Kind::Fxiaoke => fxiaoke::person::remove_line(state, object, id, line),
            Kind::Jiandaoyun => false,
            Kind::KingdeeK3cloud => kingdee::person::remove_line(state, object, id, line),
            Kind::Salesforce => salesforce::person::remove_line(state, object, id, line),
            Kind::Odoo => odoo::person::remove_line(state, object, id, line),
            Kind::Yonyou => yonyou::person::remove_line(state, object, id, line),
            Kind::WechatMiniprogram => false,
            Kind::Dynamics365 => dynamics365::person::remove_line(state, object, id, line),
            Kind::Netsuite => netsuite::person::remove_line(state, object, id, line),
            Kind::Mailchimp => false,
            Kind::ZohoCrm => zoho::person::remove_line(state, object, id, line),
            Kind::Hubspot | Kind::Shopify | Kind::SapOdata => false,
        })
    }

    /// Removes a record with its lines: without a trace, or into the recycle bin where the system has one. False where there is no such record.
    pub fn remove(&self, object: &str, id: &str) -> bool {
        self.with(|state| match state.kind {
            Kind::Fxiaoke => fxiaoke::person::remove(state, object, id),
            Kind::Jiandaoyun => jiandaoyun::person::remove(state, object, id),
            Kind::KingdeeK3cloud => kingdee::person::remove(state, object, id),
            Kind::Salesforce => salesforce::person::remove(state, object, id),
            Kind::ZohoCrm => zoho::person::remove(state, object, id),
            Kind::Hubspot => hubspot::person::remove(state, object, id),
            Kind::Odoo => odoo::person::remove(state, object, id),
            Kind::Yonyou => yonyou::person::remove(state, object, id),
            Kind::WechatMiniprogram => wechat::person::remove(state, object, id),
            Kind::Dynamics365 => dynamics365::person::remove(state, object, id),
            Kind::Mailchimp => mailchimp::person::remove(state, object, id),
            Kind::Netsuite => netsuite::person::remove(state, object, id),
            Kind::Shopify => shopify::person::remove(state, object, id),
            Kind::SapOdata => sap::person::remove(state, id),
        })
    }

    /// What became of records since the effects were last forgotten, oldest first (the last 500,000), whoever did it.
    pub fn effects(&self) -> Vec<Effect> {
        self.with(|state| state.effects.all())
    }

    /// Forgets the effects so far.
    pub fn forget_effects(&self) {
        self.with(|state| state.effects.forget());
    }

    /// Removes all records of all objects.
    pub fn clear(&self) {
        self.with(|state| state.objects.clear());
    }

    /// The calls that were seen since the log was last emptied, oldest first (the last 100,000).
    pub fn calls(&self) -> Vec<Call> {
        self.with(|state| state.calls())
    }

    /// How many calls were seen since the log was last emptied.
    pub fn call_count(&self) -> u64 {
        self.with(|state| state.call_count())
    }

    /// How many calls were seen by operation and object (empty where the operation has none), since the log was last emptied.
    pub fn call_counts(&self) -> BTreeMap<(String, String), u64> {
        self.with(|state| state.tally.clone())
    }

    /// How many calls of one operation on one object were seen since the log was last emptied.
    pub fn calls_of(&self, operation: &str, object: &str) -> u64 {
        let key = (operation.to_owned(), object.to_owned());
        self.with(|state| state.tally.get(&key).copied().unwrap_or(0))
    }

    /// Empties the log of calls.
    pub fn forget_calls(&self) {
        self.with(State::forget_calls);
    }

    /// Puts these faults in place of all others.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.with(|state| state.faults = faults);
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) {
        self.with(|state| state.faults.push(fault));
    }

    /// The faults that have not been used up.
    pub fn faults(&self) -> Vec<Fault> {
        self.with(|state| state.faults.clone())
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// While down, every connection is cut before anything is done.
    pub fn set_down(&self, down: bool) {
        self.with(|state| state.down = down);
    }

    /// Allows this many calls per interface and 20 s; `None` is the API's own limit.
    pub fn set_calls_per_20s(&self, calls: Option<u32>) {
        self.with(|state| state.calls_per_20s = calls);
    }

    /// From now on each refresh token is good for one sign-in and gives the next one; this is the first. Salesforce only.
    pub fn rotate_refresh_tokens(&self, first: &str) {
        self.with(|state| state.refresh_token = Some(first.to_owned()));
    }

    /// Stops the clock at this moment (epoch milliseconds); `None` follows the system's clock again.
    pub fn set_clock(&self, clock: Option<i64>) {
        self.with(|state| state.clock = clock);
    }

    /// Describes a field as another type from now on, or as one that is not there, as after an administrator's
    /// change. Fxiaoke only; records keep what they hold.
    pub fn redescribe(&self, object: &str, field: &str, kind: Option<&str>) {
        let name = (object.to_owned(), field.to_owned());
        self.with(|state| state.described.insert(name, kind.map(str::to_owned)));
    }

    /// Takes the pushes of changes made in the pages that nobody has taken yet, oldest first (Jiandaoyun, Shopify, WeChat,
    /// Yonyou). They are not sent by themselves: so one can be lost, repeated, or come late.
    pub fn take_pushes(&self) -> Vec<Push> {
        self.with(State::take_pushes)
    }

    /// Ends every token and session, as an administrator could.
    pub fn end_sessions(&self) {
        self.with(State::end_sessions);
    }
}

fn insert(state: &mut State, object: &str, fields: Record) -> String {
    match state.kind {
        Kind::Fxiaoke => fxiaoke::person::insert(state, object, fields),
        Kind::Jiandaoyun => jiandaoyun::person::insert(state, object, fields),
        Kind::KingdeeK3cloud => kingdee::person::insert(state, object, fields),
        Kind::Salesforce => salesforce::person::insert(state, object, fields),
        Kind::ZohoCrm => zoho::person::insert(state, object, fields),
        Kind::Hubspot => hubspot::person::insert(state, object, fields),
        Kind::Odoo => odoo::person::insert(state, object, fields),
        Kind::Yonyou => yonyou::person::insert(state, object, fields),
        Kind::WechatMiniprogram => wechat::person::insert(state, object, fields),
        Kind::Dynamics365 => dynamics365::person::insert(state, object, fields),
        Kind::Mailchimp => mailchimp::person::insert(state, object, fields),
        Kind::Netsuite => netsuite::person::insert(state, object, fields),
        Kind::Shopify => shopify::person::insert(state, object, fields),
        Kind::SapOdata => sap::person::insert(state, fields),
    }
}
