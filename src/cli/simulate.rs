//! `rowtwin simulate`: a local stand-in of a remote system, to try a mapping before it meets production.

use std::fmt::Write;
use std::sync::LazyLock;

use crate::cli::signals::StopSignal;
use crate::simulator::credentials::{
    dynamics365, fxiaoke, hubspot, jiandaoyun, kingdee, mailchimp, netsuite, odoo, salesforce, sap, shopify,
    wechat, yonyou, zoho,
};
use crate::simulator::{Fault, Kind, Options, Simulator, SimulatorError};
use crate::terminal::say;

/// Runs a local stand-in of a remote system on 127.0.0.1; its records are in memory
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// The system: dynamics365, fxiaoke, hubspot, jiandaoyun, kingdee-k3cloud, mailchimp, netsuite, odoo, salesforce, sap-odata, shopify, wechat-miniprogram, yonyou or zoho-crm
    #[arg(value_parser = kind, value_name = "SYSTEM")]
    pub system: Kind,
    /// The port on 127.0.0.1; any free one when left out
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub port: u16,
    /// What goes wrong, and how often: NAME[:PARAM][@OPERATION][xCOUNT], as in lost-answer@create or status:503x3
    #[arg(long = "fault", value_parser = fault, value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// Calls per interface and 20 seconds; the system's own limit when left out
    #[arg(long, value_name = "N")]
    pub calls_per_20s: Option<u32>,
}

fn kind(name: &str) -> Result<Kind, SimulatorError> {
    name.parse()
}

fn fault(text: &str) -> Result<Fault, SimulatorError> {
    text.parse()
}

/// Runs the simulator until Ctrl-C or SIGTERM.
///
/// # Errors
/// The port cannot be had.
pub async fn simulate(args: SimulateArgs) -> anyhow::Result<()> {
    let SimulateArgs { system, port, faults, calls_per_20s } = args;
    let mut stop = StopSignal::listen()?;
    let simulator = Simulator::start(system, Options { port, calls_per_20s, faults }).await?;
    say(format!("{system} is simulated at {}", simulator.base_url()));
    say(format!("its door (look inside, play the other user): POST {}/records", simulator.door_url()));
    say(format!("\nfor rowtwin.yaml:\n\n{}", snippet(system, &simulator.base_url())));
    say(format!("for the shell that runs rowtwin:\n\n{}", exports(system)));
    say("Ctrl-C stops it; its records are gone then");
    stop.asked().await;
    simulator.stop().await;
    say("stopped");
    Ok(())
}

/// In quotes, since it has several lines.
static NETSUITE_KEY: LazyLock<String> = LazyLock::new(|| format!("'{}'", netsuite::private_key()));

/// One setting that a simulator wants.
enum Given {
    Plain(&'static str, String),
    /// Setting, environment variable, value: secrets are never written into the file.
    Secret(&'static str, &'static str, &'static str),
}

fn settings(kind: Kind, base_url: &str) -> Vec<Given> {
    use Given::{Plain, Secret};
    let plain = |name, value: &str| Plain(name, value.to_owned());
    match kind {
        Kind::Fxiaoke => vec![
            plain("base_url", base_url),
            plain("app_id", fxiaoke::APP_ID),
            Secret("app_secret", "CRM_APP_SECRET", fxiaoke::APP_SECRET),
            Secret("permanent_code", "CRM_PERMANENT_CODE", fxiaoke::PERMANENT_CODE),
            plain("user_id", fxiaoke::USER_ID),
        ],
        Kind::Jiandaoyun => vec![
            plain("base_url", base_url),
            Secret("api_key", "FORMS_API_KEY", jiandaoyun::API_KEY),
            Secret("webhook_secret", "FORMS_WEBHOOK_SECRET", jiandaoyun::WEBHOOK_SECRET),
        ],
        Kind::KingdeeK3cloud => vec![
            plain("base_url", base_url),
            plain("account_id", kingdee::ACCT_ID),
            plain("user", kingdee::USER),
            plain("app_id", kingdee::APP_ID),
            Secret("app_secret", "ERP_APP_SECRET", kingdee::APP_SECRET),
            plain("organisation", kingdee::ORG),
        ],
        Kind::Salesforce => vec![
            plain("base_url", base_url),
            plain("client_id", salesforce::CLIENT_ID),
            Secret("client_secret", "SALESFORCE_CLIENT_SECRET", salesforce::CLIENT_SECRET),
        ],
        Kind::ZohoCrm => vec![
            plain("accounts_url", base_url),
            plain("client_id", zoho::CLIENT_ID),
            Secret("client_secret", "ZOHO_CLIENT_SECRET", zoho::CLIENT_SECRET),
            Secret("refresh_token", "ZOHO_REFRESH_TOKEN", zoho::REFRESH_TOKEN),
        ],
        Kind::Hubspot => vec![
            plain("base_url", base_url),
            Secret("access_token", "HUBSPOT_ACCESS_TOKEN", hubspot::ACCESS_TOKEN),
        ],
        Kind::Odoo => vec![
            plain("base_url", base_url),
            plain("database", odoo::DATABASE),
            Secret("api_key", "ODOO_API_KEY", odoo::API_KEY),
        ],
        Kind::Yonyou => vec![
            plain("base_url", base_url),
            plain("tenant_id", yonyou::TENANT_ID),
            plain("app_key", yonyou::APP_KEY),
            Secret("app_secret", "YONYOU_APP_SECRET", yonyou::APP_SECRET),
            plain("organisation", yonyou::ORGANISATION),
            plain("transaction_type", yonyou::TRANSACTION_TYPE),
        ],
        Kind::WechatMiniprogram => vec![
            plain("base_url", base_url),
            plain("app_id", wechat::APP_ID),
            Secret("app_secret", "WECHAT_APP_SECRET", wechat::APP_SECRET),
            Secret("message_token", "WECHAT_MESSAGE_TOKEN", wechat::TOKEN),
            Secret("encoding_aes_key", "WECHAT_ENCODING_AES_KEY", wechat::ENCODING_AES_KEY),
        ],
        Kind::Dynamics365 => vec![
            plain("base_url", base_url),
            plain("login_url", base_url),
            plain("tenant", dynamics365::TENANT),
            plain("client_id", dynamics365::CLIENT_ID),
            Secret("client_secret", "DYNAMICS_CLIENT_SECRET", dynamics365::CLIENT_SECRET),
        ],
        Kind::Mailchimp => {
            vec![plain("base_url", base_url), Secret("api_key", "MAILCHIMP_API_KEY", mailchimp::API_KEY)]
        }
        Kind::Netsuite => vec![
            plain("base_url", base_url),
            plain("client_id", netsuite::CLIENT_ID),
            plain("certificate_id", netsuite::CERTIFICATE),
            plain("time_zone", "UTC"),
            Secret("private_key", "NETSUITE_PRIVATE_KEY", NETSUITE_KEY.as_str()),
        ],
        Kind::Shopify => vec![
            plain("shop_url", base_url),
            Secret("access_token", "SHOPIFY_ACCESS_TOKEN", shopify::ACCESS_TOKEN),
        ],
        Kind::SapOdata => vec![
            plain("base_url", base_url),
            plain("client", sap::CLIENT),
            plain("user", sap::USER),
            Secret("password", "SAP_PASSWORD", sap::PASSWORD),
        ],
    }
}

/// The lines for `systems:`.
fn snippet(kind: Kind, base_url: &str) -> String {
    let system = match kind {
        Kind::Fxiaoke => "crm",
        Kind::Jiandaoyun => "forms",
        Kind::KingdeeK3cloud => "erp",
        Kind::Salesforce => "salesforce",
        Kind::ZohoCrm => "zoho",
        Kind::Hubspot => "hubspot",
        Kind::Odoo => "odoo",
        Kind::Yonyou => "yonyou",
        Kind::WechatMiniprogram => "wechat",
        Kind::Dynamics365 => "dynamics",
        Kind::Mailchimp => "mailchimp",
        Kind::Netsuite => "netsuite",
        Kind::Shopify => "shopify",
        Kind::SapOdata => "sap",
    };
    let mut text = format!("systems:\n  {system}:\n    connector: {kind}\n    settings:\n");
    for given in settings(kind, base_url) {
        // Writing to a String cannot fail.
        let _ = match given {
            // In quotes: an id of digits would be read as a number.
            Given::Plain(name, value) => writeln!(text, "      {name}: \"{value}\""),
            Given::Secret(name, variable, _) => writeln!(text, "      {name}: {{env: {variable}}}"),
        };
    }
    text
}

fn exports(kind: Kind) -> String {
    let mut text = String::new();
    for given in settings(kind, "") {
        if let Given::Secret(_, variable, value) = given {
            let _ = writeln!(text, "  export {variable}={value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use secrecy::SecretString;

    use super::*;
    use crate::config::{Setting, parse};
    use crate::connector::{Connector, SettingValue, Settings};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn the_snippet_is_all_that_the_connector_asks_for() {
        for kind in [
            Kind::Fxiaoke,
            Kind::Hubspot,
            Kind::Jiandaoyun,
            Kind::KingdeeK3cloud,
            Kind::Odoo,
            Kind::Salesforce,
            Kind::WechatMiniprogram,
            Kind::Yonyou,
            Kind::Shopify,
            Kind::SapOdata,
            Kind::ZohoCrm,
            Kind::Dynamics365,
            Kind::Mailchimp,
            Kind::Netsuite,
        ] {
            let text = snippet(kind, "http://127.0.0.1:4711");
            let (file, _) = parse("rowtwin.yaml", &format!("{text}tables: {{}}\n")).unwrap();
            let (name, system) = file.systems.first_key_value().unwrap();
            let connector = Connector::load(&system.connector, None).unwrap();
            let mut given = Settings::default();
            for (setting, value) in &system.settings {
                let value = match value {
                    Setting::Plain(value) => SettingValue::Plain(value.clone()),
                    Setting::Env { env } => {
                        let prefix = format!("export {env}=");
                        let exports = exports(kind);
                        let line =
                            exports.lines().find_map(|line| line.trim().strip_prefix(&prefix)).unwrap();
                        SettingValue::Secret(SecretString::from(line))
                    }
                    Setting::File { .. } => panic!("{setting} is in no file"),
                };
                given.0.insert(setting.clone(), value);
            }
            connector.limits(name, &given).unwrap();
        }
    }

    #[test]
    fn arguments_are_checked_as_they_are_read() {
        let parse = |line: &str| Command::try_parse_from(line.split(' '));
        let command =
            parse("simulate fxiaoke --fault lost-answer@create --fault status:503x3 --port 8100").unwrap();
        assert_eq!(command.args.faults.len(), 2);
        assert_eq!((command.args.system, command.args.port), (Kind::Fxiaoke, 8100));
        for (line, word) in [
            ("simulate siebel", "kingdee-k3cloud"),
            ("simulate fxiaoke --fault nonsense", "nonsense"),
            ("simulate fxiaoke --port 70000", "70000"),
        ] {
            let error = parse(line).err().unwrap().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
