//! Callers of both simulated systems, written by hand against the vendors' pages.

use reqwest::Client;
use rowtwin::simulator::{
    Fault, Kind, Options, Simulator,
    credentials::{fxiaoke as fx, kingdee as kd},
};
use serde_json::{Value, json};

/// A client as any program has one.
pub(crate) fn http() -> Client {
    // A second call finds the first one's provider in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().http1_only().build().unwrap()
}

/// A simulator that no limit slows.
pub(crate) async fn start(kind: Kind) -> Simulator {
    let options = Options { calls_per_20s: Some(1_000_000), ..Options::default() };
    Simulator::start(kind, options).await.unwrap()
}

/// A fault from its text.
pub(crate) fn fault(text: &str) -> Fault {
    text.parse().unwrap()
}

/// JSON, or a failure that shows what came instead.
pub(crate) fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A caller of the older Fxiaoke generation.
pub(crate) struct Fxiaoke {
    pub(crate) http: Client,
    pub(crate) base: String,
    pub(crate) token: Value,
}

impl Fxiaoke {
    pub(crate) async fn sign_in(simulator: &Simulator) -> Fxiaoke {
        let mut caller = Fxiaoke { http: http(), base: simulator.base_url(), token: Value::Null };
        caller.renew().await;
        caller
    }

    pub(crate) async fn renew(&mut self) {
        let secret =
            json!({"appId": fx::APP_ID, "appSecret": fx::APP_SECRET, "permanentCode": fx::PERMANENT_CODE});
        let answer = self.post("/cgi/corpAccessToken/get/V2", secret).await.unwrap();
        self.token = answer["corpAccessToken"].clone();
        assert!(self.token.is_string(), "{answer}");
    }

    pub(crate) async fn raw(
        &self,
        path: &str,
        body: Value,
    ) -> Result<(u16, Option<String>, String), reqwest::Error> {
        let request = self.http.post(format!("{}{path}", self.base)).body(body.to_string());
        let response = request.send().await?;
        let after = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        Ok((response.status().as_u16(), after, response.text().await?))
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, reqwest::Error> {
        self.raw(path, body).await.map(|(_, _, text)| parse(&text))
    }

    pub(crate) fn body(&self, data: Value) -> Value {
        json!({"corpAccessToken": self.token, "corpId": fx::CORP_ID, "currentOpenUserId": fx::OPEN_USER_ID, "data": data})
    }

    pub(crate) async fn call(&self, operation: &str, data: Value) -> Result<Value, reqwest::Error> {
        self.post(&format!("/cgi/crm/v2/data/{operation}"), self.body(data)).await
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Value, reqwest::Error> {
        self.call("create", json!({"object_data": {"dataObjectApiName": "AccountObj", "name": name}})).await
    }

    pub(crate) async fn query(&self, search: Value) -> Value {
        self.query_of("AccountObj", search).await
    }

    pub(crate) async fn query_of(&self, object: &str, search: Value) -> Value {
        let data = json!({"dataObjectApiName": object, "search_query_info": search});
        self.call("query", data).await.unwrap()
    }

    /// Writes fields of a record of any object: `create`, or `update` with an `_id`.
    pub(crate) async fn write(&self, operation: &str, object: &str, fields: Value) -> Value {
        let mut record = fields;
        record["dataObjectApiName"] = json!(object);
        self.call(operation, json!({ "object_data": record })).await.unwrap()
    }

    /// `invalid` or `delete` of one record.
    pub(crate) async fn end(&self, operation: &str, object: &str, id: &str) -> Value {
        let data = json!({"dataObjectApiName": object, "object_data_id": id, "idList": [id]});
        self.call(operation, data).await.unwrap()
    }
}

/// A caller of Kingdee with a session.
pub(crate) struct Kingdee {
    pub(crate) http: Client,
    pub(crate) base: String,
    pub(crate) session: String,
}

impl Kingdee {
    pub(crate) async fn sign_in(simulator: &Simulator) -> Kingdee {
        let mut caller = Kingdee { http: http(), base: simulator.base_url(), session: String::new() };
        let body = json!({"parameters": [kd::ACCT_ID, kd::USER, kd::PASSWORD, kd::LCID]}).to_string();
        let answer = caller.post("AuthService.ValidateUser", body).await;
        caller.session = answer["KDSVCSessionId"].as_str().unwrap().to_owned();
        caller
    }

    pub(crate) async fn text(&self, service: &str, body: String) -> String {
        let url = format!("{}Kingdee.BOS.WebApi.ServicesStub.{service}.common.kdsvc", self.base);
        let request = self.http.post(url).header("kdservice-sessionid", &self.session).body(body);
        request.send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn post(&self, service: &str, body: String) -> Value {
        parse(&self.text(service, body).await)
    }

    pub(crate) async fn call(&self, method: &str, data: Value) -> Value {
        self.call_of("BD_Customer", method, data).await
    }

    pub(crate) async fn call_of(&self, form: &str, method: &str, data: Value) -> Value {
        let body = json!({"formid": form, "data": data}).to_string();
        self.post(&format!("DynamicFormService.{method}"), body).await
    }

    pub(crate) async fn query(&self, form: &str, keys: &str, filter: &str) -> Value {
        let data = json!({"FormId": form, "FieldKeys": keys, "FilterString": filter, "Limit": 2000});
        self.post("DynamicFormService.ExecuteBillQuery", json!({ "data": data }).to_string()).await
    }
}
