//! The simulated SAP Gateway: pyodata, unchanged, and what its pages say.

use rowtwin::simulator::{Kind, Options, Simulator, credentials::sap};
use serde_json::json;

use crate::clients::foreign;

const PACKAGES: [&str; 2] = ["pyodata==1.12.1", "requests==2.34.2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pyodata_works_unchanged() {
    let simulator = Simulator::start(Kind::SapOdata, Options::default()).await.unwrap();
    let door = simulator.door();
    let object = "API_BUSINESS_PARTNER/A_BusinessPartner";
    door.insert_many(
        object,
        (0..5).map(|n| json!({"OrganizationBPName1": format!("N{n}"), "SearchTerm1": format!("P{n}")})),
    );
    let arguments = vec![simulator.base_url(), sap::USER.to_owned(), sap::PASSWORD.to_owned()];
    let seen = foreign("pyodata", "sap_client.py", &PACKAGES, arguments).await;
    assert_eq!(seen["keys"], json!(["BusinessPartner"]));
    assert_eq!(
        seen["types"],
        json!({"YY1_Credit_bus": "Edm.Decimal", "YY1_Seen_bus": "Edm.DateTimeOffset", "CreationDate": "Edm.DateTime"})
    );
    assert_eq!(seen["no_token"], json!([403]));
    assert_eq!(seen["cookies"], json!([sap::SESSION_COOKIE, "sap-usercontext"]));
    assert_eq!(seen["wrong_token"], json!([403, "Required", "CSRF token validation failed"]));
    let key = &seen["made"][0];
    assert_eq!(seen["made"], json!([key, "上海 & Söhne", "C1", "12.50"]));
    assert_eq!((&seen["read"], &seen["count"]), (&json!("上海 & Söhne"), &json!(6)));
    assert_eq!(seen["found"], json!([[key, "C1"]]));
    assert_eq!(seen["page"], json!(["P4", "P3"]));
    assert_eq!((&seen["without_version"], &seen["stale"]), (&json!(428), &json!(412)));
    assert_eq!((&seen["changed"], &seen["after"]), (&json!(null), &json!("C2")));
    assert_eq!(seen["batch"][0], 400, "{}", seen["batch"]);
    assert_eq!(seen["good"], json!(["Two", "C2"]));
    assert_eq!((&seen["deleted"], &seen["gone"]), (&json!(null), &json!(404)));
    assert!(seen["xml"].as_str().unwrap().contains("<code>R11/101</code>"), "{}", seen["xml"]);
    let mut names: Vec<_> = door.records(object).iter().map(|one| one["SearchTerm1"].clone()).collect();
    names.sort_by_key(|name| name.to_string());
    assert_eq!(names, ["B2", "BOne", "BThree", "P0", "P1", "P2", "P3", "P4"].map(|name| json!(name)));
}
