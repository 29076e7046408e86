//! What a person does in the system, by plain calls of version 4: none of it goes through a connector.

use serde_json::Value;

pub const PARTNERS: &str = "API_BUSINESS_PARTNER/A_BusinessPartner";
pub const ORDERS: &str = "API_SALES_ORDER_SRV/A_SalesOrder";
pub const ITEMS: &str = "API_SALES_ORDER_SRV/A_SalesOrderItem";
pub const TASKS: &str = "TASKS/Tasks";

pub struct Person {
    http: reqwest::Client,
    root: String,
}

impl Person {
    pub fn of(base_url: &str) -> Self {
        Self { http: reqwest::Client::new(), root: format!("{base_url}/sap/opu/odata4/sap") }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}/{path}", self.root)).header("if-match", "*");
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
    }

    async fn done(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    pub async fn create(&self, set: &str, record: Value) -> Value {
        self.done("POST", set, Some(record)).await
    }

    /// `key` as it stands in the address, within its brackets.
    pub async fn change(&self, set: &str, key: &str, record: Value) {
        self.done("PATCH", &format!("{set}({key})"), Some(record)).await;
    }

    pub async fn delete(&self, set: &str, key: &str) {
        self.done("DELETE", &format!("{set}({key})"), None).await;
    }

    /// All records, in the order of their keys; `query` begins with `&`.
    pub async fn records(&self, set: &str, query: &str) -> Vec<Value> {
        let mut records = Vec::new();
        loop {
            let path = format!("{set}?$top=200&$skip={}{query}", records.len());
            let mut answer = self.done("GET", &path, None).await;
            let Value::Array(page) = answer["value"].take() else { panic!("{answer}") };
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }
}
