//! The fields of a business partner, as the service describes them and keeps them.

use serde_json::{Value, json};

use crate::simulator::{odata::moment_of, value::round_decimal};

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// A text of at most so many characters; empty where there is nothing.
    Text(usize),
    /// A decimal with so many digits behind the point, written as a text.
    Decimal(usize),
    Whole,
    Truth,
    /// A day, kept as the milliseconds of its midnight.
    Day,
    /// A moment.
    Moment,
    /// A time of day.
    Time,
}

/// Name, what it holds, whether the system alone sets it, its label.
pub(super) type Field = (&'static str, Holds, bool, &'static str);

/// The key.
pub(super) const KEY: &str = "BusinessPartner";
/// The version of a record.
pub(super) const ETAG: &str = "ETag";

/// All of them. Those that begin with `YY1_` were added by the customer, as the extension app names them.
pub(super) const FIELDS: &[Field] = &[
    (KEY, Holds::Text(10), true, "Business Partner"),
    ("BusinessPartnerCategory", Holds::Text(1), false, "BP Category"),
    ("OrganizationBPName1", Holds::Text(40), false, "Name 1"),
    ("SearchTerm1", Holds::Text(20), false, "Search Term 1"),
    ("BusinessPartnerIsBlocked", Holds::Truth, false, "Central Block"),
    ("CreationDate", Holds::Day, true, "Created On"),
    ("CreationTime", Holds::Time, true, "Created At"),
    ("LastChangeDate", Holds::Day, true, "Changed On"),
    ("LastChangeTime", Holds::Time, true, "Changed At"),
    (ETAG, Holds::Text(26), true, "ETag"),
    ("YY1_Phone_bus", Holds::Text(30), false, "Phone"),
    ("YY1_Credit_bus", Holds::Decimal(2), false, "Credit"),
    ("YY1_Seen_bus", Holds::Moment, false, "Last Visit"),
    ("YY1_Founded_bus", Holds::Day, false, "Founded On"),
    ("YY1_Rating_bus", Holds::Whole, false, "Rating"),
];

/// The field of this name.
pub(super) fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|(known, ..)| *known == name)
}

impl Holds {
    /// The attributes of the type in the service's description.
    pub(super) fn described(self) -> String {
        match self {
            Holds::Text(longest) => format!(r#"Type="Edm.String" MaxLength="{longest}""#),
            Holds::Decimal(scale) => format!(r#"Type="Edm.Decimal" Precision="15" Scale="{scale}""#),
            Holds::Whole => r#"Type="Edm.Int32""#.to_owned(),
            Holds::Truth => r#"Type="Edm.Boolean""#.to_owned(),
            Holds::Day => r#"Type="Edm.DateTime" Precision="0" sap:display-format="Date""#.to_owned(),
            Holds::Moment => r#"Type="Edm.DateTimeOffset" Precision="0""#.to_owned(),
            Holds::Time => r#"Type="Edm.Time" Precision="0""#.to_owned(),
        }
    }

    /// What stands in a field that nobody has filled.
    pub(super) fn nothing(self) -> Value {
        match self {
            Holds::Text(_) => json!(""),
            Holds::Truth => json!(false),
            Holds::Decimal(scale) => json!(round_decimal("0", scale).unwrap_or_default()),
            Holds::Whole => json!(0),
            Holds::Day | Holds::Moment | Holds::Time => Value::Null,
        }
    }

    /// A value as it is kept; why it is refused otherwise.
    pub(super) fn kept(self, value: &Value) -> Result<Value, &'static str> {
        match (self, value) {
            (_, Value::Null) => Ok(self.nothing()),
            (Holds::Text(longest), Value::String(text)) if text.chars().count() <= longest => {
                Ok(value.clone())
            }
            (Holds::Text(_), Value::String(_)) => Err("the value is too long"),
            (Holds::Decimal(scale), Value::String(text)) => {
                round_decimal(text, scale).map(Value::from).ok_or("the value is no decimal")
            }
            (Holds::Whole, Value::Number(number)) if number.is_i64() => Ok(value.clone()),
            (Holds::Truth, Value::Bool(_)) => Ok(value.clone()),
            // Seconds are kept, as in the database below.
            (Holds::Day | Holds::Moment, Value::String(text)) if text.starts_with("/Date(") => {
                let ms = moment_of(text).ok_or("the value is no date")?;
                Ok(if self == Holds::Day { day(ms) } else { moment(ms) })
            }
            (Holds::Time, Value::String(text)) if text.starts_with("PT") => Ok(value.clone()),
            _ => Err("the value is of another type"),
        }
    }
}

/// A day as version 2 writes it: without an offset.
pub(super) fn day(ms: i64) -> Value {
    json!(format!("/Date({})/", ms - ms.rem_euclid(86_400_000)))
}

/// A moment, with the offset of universal time.
pub(super) fn moment(ms: i64) -> Value {
    json!(format!("/Date({}+0000)/", ms - ms.rem_euclid(1000)))
}

/// The time of day.
pub(super) fn time(ms: i64) -> Value {
    let seconds = ms.rem_euclid(86_400_000) / 1000;
    json!(format!("PT{:02}H{:02}M{:02}S", seconds / 3600, seconds / 60 % 60, seconds % 60))
}

/// The service's description.
pub(super) fn metadata() -> String {
    let properties: Vec<String> = FIELDS
        .iter()
        .map(|(name, holds, by_system, label)| {
            let nullable = if *name == KEY { r#" Nullable="false""# } else { "" };
            let fixed = if *name == ETAG { r#" ConcurrencyMode="Fixed""# } else { "" };
            let writable = if *by_system { r#" sap:creatable="false" sap:updatable="false""# } else { "" };
            format!(
                r#"<Property Name="{name}" {}{nullable}{fixed} sap:label="{label}"{writable}/>"#,
                holds.described()
            )
        })
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata" xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices m:DataServiceVersion="2.0"><Schema Namespace="{service}" xml:lang="en" sap:schema-version="1" xmlns="http://schemas.microsoft.com/ado/2008/09/edm"><EntityType Name="{set}Type" sap:content-version="1"><Key><PropertyRef Name="{KEY}"/></Key>{}</EntityType><EntityContainer Name="{service}_Entities" m:IsDefaultEntityContainer="true" sap:supported-formats="atom json xlsx"><EntitySet Name="{set}" EntityType="{service}.{set}Type" sap:content-version="1"/></EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"#,
        properties.concat(),
        service = super::SERVICE,
        set = super::SET,
    )
}
