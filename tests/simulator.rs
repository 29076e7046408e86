//! The simulators: foreign clients against them, what the vendors' pages say, and each fault as it is described.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions that its tests share"
)]

#[path = "simulator/callers.rs"]
mod callers;
#[path = "simulator/clients.rs"]
mod clients;
#[path = "simulator/documents.rs"]
mod documents;
#[path = "simulator/dynamics365.rs"]
mod dynamics365;
#[path = "simulator/faults.rs"]
mod faults;
#[path = "simulator/fidelity.rs"]
mod fidelity;
#[path = "simulator/fxiaoke_orders.rs"]
mod fxiaoke_orders;
#[path = "simulator/hubspot.rs"]
mod hubspot;
#[path = "simulator/jiandaoyun.rs"]
mod jiandaoyun;
#[path = "simulator/kingdee_orders.rs"]
mod kingdee_orders;
#[path = "simulator/mailchimp.rs"]
mod mailchimp;
#[path = "simulator/netsuite.rs"]
mod netsuite;
#[path = "simulator/odoo.rs"]
mod odoo;
#[path = "simulator/salesforce.rs"]
mod salesforce;
#[path = "simulator/sap.rs"]
mod sap;
#[path = "simulator/shopify.rs"]
mod shopify;
#[path = "simulator/wechat.rs"]
mod wechat;
#[path = "simulator/yonyou.rs"]
mod yonyou;
#[path = "simulator/zoho.rs"]
mod zoho;
