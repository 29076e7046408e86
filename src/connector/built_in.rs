//! The connectors inside the binary: a manifest and its cases each, from the folder `connectors`.

use crate::connector::compiled::Connector;

/// Name, manifest, cases.
type BuiltIn = (&'static str, &'static str, &'static str);

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!("../../connectors/", $name, ".yaml")),
            include_str!(concat!("../../connectors/", $name, ".test.yaml")),
        )),*]
    };
}

const BUILT_IN: &[BuiltIn] = built_in![
    "dynamics365",
    "fxiaoke",
    "graphql",
    "hubspot",
    "jiandaoyun",
    "kingdee-k3cloud",
    "mailchimp",
    "netsuite",
    "odata",
    "odoo",
    "rest",
    "salesforce",
    "sap-odata",
    "shopify",
    "soap",
    "tryton",
    "wechat-miniprogram",
    "yonyou",
    "zoho-crm",
];

impl Connector {
    /// The names of the connectors inside the binary.
    pub fn built_in() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, ..)| *name).collect()
    }

    /// The text of a connector inside the binary.
    pub fn built_in_text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, ..)| *known == name).map(|(_, text, _)| *text)
    }

    /// The cases of a connector inside the binary.
    pub fn built_in_cases(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, ..)| *known == name).map(|(_, _, cases)| *cases)
    }
}
