//! A simulated system as a process of its own, behind a go-between, with its door.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::go_between::GoBetween;
use crate::process::Kept;

/// How long the door may take: a process that was stopped answers when it goes on.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a system calls the things that the run looks at.
pub struct Words {
    pub simulator: &'static str,
    pub object: &'static str,
    pub id: &'static str,
    /// Column, and the field that it is mapped to.
    pub fields: [(&'static str, &'static str); 4],
}

pub const CRM: Words = Words {
    simulator: "fxiaoke",
    object: "AccountObj",
    id: "_id",
    fields: [("number", "account_no"), ("name", "name"), ("phone", "tel"), ("address", "address")],
};
pub const ERP: Words = Words {
    simulator: "kingdee-k3cloud",
    object: "BD_Customer",
    id: "FCUSTID",
    fields: [("number", "FNumber"), ("name", "FName"), ("phone", "FTEL"), ("address", "FADDRESS")],
};

impl Words {
    pub fn field(&self, column: &str) -> &'static str {
        self.fields
            .iter()
            .find(|(name, _)| *name == column)
            .map(|(_, field)| *field)
            .expect("a mapped column")
    }
}

pub struct Remote {
    pub name: &'static str,
    pub words: &'static Words,
    pub process: Kept,
    pub line: GoBetween,
    /// How rowtwin reaches it: through the go-between.
    pub base_url: String,
    door: String,
    http: reqwest::Client,
}

impl Remote {
    pub async fn start(name: &'static str, words: &'static Words, folder: &Path) -> anyhow::Result<Self> {
        let arguments = ["simulate", words.simulator, "--calls-per-20s", "1000000000"];
        let process = Kept::new(name, folder.to_owned(), &arguments, Vec::new());
        process.look_after()?;
        let began = Instant::now();
        let address = loop {
            let said = process.said();
            if let Some(address) = said.lines().find_map(|line| line.split(" is simulated at ").nth(1)) {
                break address.trim().to_owned();
            }
            if began.elapsed() > PATIENCE {
                bail!("the simulator of {} does not start: {said}", words.simulator);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let url = reqwest::Url::parse(&address).context("the simulator's address")?;
        let port = url.port().context("the simulator's port")?;
        let line = GoBetween::to(port).await?;
        let mut through = url.clone();
        let _ = through.set_port(Some(line.port));
        let base_url = through.as_str().trim_end_matches('/').to_owned();
        let door = format!("http://127.0.0.1:{port}/_door");
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { name, words, process, line, base_url, door, http })
    }

    /// Asks the door, past the go-between.
    pub async fn door(&self, verb: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}/{verb}", self.door)).body(body.to_string());
        let answer = request.send().await.with_context(|| format!("{}'s door: {verb}", self.name))?;
        let well = answer.status().is_success();
        let text = answer.text().await?;
        if !well {
            bail!("{}'s door refuses {verb}: {text}", self.name);
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// The records of an object that people see.
    pub async fn records(&self, object: &str) -> anyhow::Result<Vec<Value>> {
        let mut answer = self.door("records", json!({"object": object})).await?;
        let Value::Array(records) = answer["records"].take() else { bail!("no records in the answer") };
        // a delete that broke off after its first step leaves a record in the bin, which nobody sees
        Ok(records.into_iter().filter(|record| record["is_deleted"] != json!(true)).collect())
    }

    /// A record's id as the door takes it.
    pub fn id_of(&self, record: &Value) -> String {
        text(&record[self.words.id]).unwrap_or_default()
    }
}

/// A value as text; nothing where it is null or empty.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
