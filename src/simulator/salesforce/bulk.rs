//! Bulk API 2.0: jobs that query, and jobs that write. A job works between two looks at it, so that who asks must ask
//! again: it is accepted, in progress at the first look, and complete at the second.

use base64::{Engine as _, engine::general_purpose};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Refusal, nothing, ok, query,
    schema::{self, Holds},
    write,
};
use crate::{
    model::record::Record,
    simulator::{
        credentials::salesforce as known,
        exchange::{Answer, Asked, Reply, Request, pairs},
        state::State,
    },
};

/// Rows in a page of results unless another number is asked for.
const PAGE: usize = 50_000;
/// What an empty value is in a job that writes; an empty cell leaves the field alone.
const NULL: &str = "#N/A";

type Rows = Vec<Vec<String>>;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Job {
    id: String,
    /// `query` or `ingest`, as the path says.
    road: String,
    object: String,
    operation: String,
    by: Option<String>,
    state: String,
    created: String,
    head: Vec<String>,
    rows: Rows,
    good: Rows,
    bad: Rows,
}

fn place(id: &str) -> String {
    format!("job {id}")
}

fn load(state: &State, road: &str, id: &str) -> Result<Job, Refusal> {
    let kept = state.tasks.get(&place(id)).and_then(|bytes| serde_json::from_slice::<Job>(bytes).ok());
    kept.filter(|job| job.road == road)
        .ok_or_else(|| Refusal::of(404, "NOT_FOUND", "The requested resource does not exist"))
}

fn save(state: &mut State, job: &Job) {
    state.tasks.insert(place(&job.id), serde_json::to_vec(job).unwrap_or_default());
}

fn told(job: &Job) -> Value {
    let mut told = json!({
        "id": job.id, "operation": job.operation, "object": job.object, "createdById": known::USER_ID,
        "createdDate": job.created, "systemModstamp": job.created, "state": job.state, "concurrencyMode": "Parallel",
        "contentType": "CSV", "apiVersion": 67.0, "lineEnding": "LF", "columnDelimiter": "COMMA",
    });
    if let Value::Object(told) = &mut told {
        if job.road == "ingest" {
            let url = format!("services/data/v67.0/jobs/ingest/{}/batches", job.id);
            told.insert("contentUrl".to_owned(), json!(url));
            told.insert("externalIdFieldName".to_owned(), json!(job.by));
        }
        if job.state == "JobComplete" {
            let count = if job.road == "query" { job.rows.len() } else { job.good.len() + job.bad.len() };
            told.insert("numberRecordsProcessed".to_owned(), json!(count));
            told.insert("numberRecordsFailed".to_owned(), json!(job.bad.len()));
            told.insert("retries".to_owned(), json!(0));
            told.insert("totalProcessingTime".to_owned(), json!(1));
        }
    }
    told
}

/// Does what is asked of a job.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    parts: &[&str],
) -> Result<Answer, Refusal> {
    let unknown = || Refusal::of(404, "NOT_FOUND", "The requested resource does not exist");
    match (request.method.as_str(), parts) {
        ("POST", [_, road @ ("query" | "ingest")]) => create(state, road, &asked.payload),
        ("PUT", [_, "ingest", id, "batches"]) => {
            let mut job = load(state, "ingest", id)?;
            if job.state != "Open" || !job.head.is_empty() {
                return Err(wrong("the job takes data once, while it is open"));
            }
            (job.head, job.rows) = read(&request.body)?;
            save(state, &job);
            Ok(Answer {
                reply: Reply { status: 201, headers: Vec::new(), body: Vec::new() },
                ids: Vec::new(),
                error: None,
            })
        }
        ("PATCH", [_, road, id]) => {
            let mut job = load(state, road, id)?;
            let wanted = asked.payload.get("state").and_then(Value::as_str).unwrap_or_default();
            match (wanted, job.state.as_str()) {
                ("Aborted", "JobComplete" | "Failed") => return Err(wrong("the job has ended")),
                ("Aborted", _) => job.state = "Aborted".to_owned(),
                ("UploadComplete", "Open") => job.state = "UploadComplete".to_owned(),
                _ => return Err(wrong("the job cannot go to this state")),
            }
            save(state, &job);
            Ok(ok(&told(&job)))
        }
        ("DELETE", [_, road, id]) => {
            let job = load(state, road, id)?;
            state.tasks.remove(&place(&job.id));
            Ok(nothing())
        }
        ("GET", [_, road, id]) => look(state, road, id),
        ("GET", [_, "query", id, "results"]) => results(state, request, id),
        ("GET", [_, "ingest", id, which]) => {
            let job = load(state, "ingest", id)?;
            let (more, rows): (&[&str], &Rows) = match *which {
                "successfulResults" => (&["sf__Id", "sf__Created"], &job.good),
                "failedResults" => (&["sf__Id", "sf__Error"], &job.bad),
                "unprocessedrecords" | "unprocessedRecords" => (&[], &Vec::new()),
                _ => return Err(unknown()),
            };
            let head: Vec<String> =
                more.iter().map(|name| (*name).to_owned()).chain(job.head.clone()).collect();
            Ok(table(&head, rows, Vec::new()))
        }
        _ => Err(unknown()),
    }
}

fn wrong(message: &str) -> Refusal {
    Refusal::of(400, "INVALIDJOBSTATE", message)
}

fn create(state: &mut State, road: &str, payload: &Value) -> Result<Answer, Refusal> {
    let given = |name: &str| payload.get(name).and_then(Value::as_str);
    let operation = given("operation").unwrap_or_default();
    let mut job = Job {
        id: schema::new_id("750", state.next_serial()),
        road: road.to_owned(),
        operation: operation.to_owned(),
        by: given("externalIdFieldName").map(str::to_owned),
        created: schema::stamp_text(state.now_ms()),
        ..Job::default()
    };
    if road == "query" {
        if !matches!(operation, "query" | "queryAll") {
            return Err(Refusal::of(400, "INVALIDJOB", "the operation must be query or queryAll"));
        }
        // What is asked for is looked up at once: a job sees one state of the data. (That a query which cannot be read
        // is refused here, and not by a failed job, is unverified.)
        let (asked, found) =
            query::found(state, given("query").unwrap_or_default(), operation == "queryAll")?;
        job.object.clone_from(&asked.object);
        job.rows = found
            .iter()
            .map(|record| asked.fields.iter().map(|name| cell(&asked.object, record, name)).collect())
            .collect();
        job.head = asked.fields;
        job.state = "UploadComplete".to_owned();
    } else {
        if !matches!(operation, "insert" | "update" | "upsert" | "delete" | "hardDelete") {
            return Err(Refusal::of(400, "INVALIDJOB", "the operation is not known"));
        }
        let object = schema::object(given("object").unwrap_or_default());
        job.object = object.ok_or_else(|| Refusal::of(400, "INVALIDENTITY", "the object is not known"))?.0;
        job.state = "Open".to_owned();
    }
    let answer = ok(&told(&job));
    save(state, &job);
    Ok(answer)
}

/// A value as CSV holds it: moments end in `Z` there, and nothing is an empty cell.
fn cell(object: &str, record: &Record, name: &str) -> String {
    let moment = schema::field(object, name).is_some_and(|(_, holds, _)| holds == Holds::DateTime);
    match record.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) if moment => text.replace("+0000", "Z"),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A look at a job moves it on.
fn look(state: &mut State, road: &str, id: &str) -> Result<Answer, Refusal> {
    let mut job = load(state, road, id)?;
    match job.state.as_str() {
        "UploadComplete" => job.state = "InProgress".to_owned(),
        "InProgress" => {
            if job.road == "ingest" {
                work(state, &mut job);
            }
            job.state = "JobComplete".to_owned();
        }
        _ => {}
    }
    save(state, &job);
    Ok(ok(&told(&job)))
}

fn results(state: &State, request: &Request, id: &str) -> Result<Answer, Refusal> {
    let job = load(state, "query", id)?;
    if job.state != "JobComplete" {
        return Err(wrong("the job is not complete"));
    }
    let given = pairs(&request.query);
    let given = |name: &str| given.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let most = given("maxRecords").and_then(|text| text.parse::<usize>().ok()).unwrap_or(PAGE).max(1);
    let from = match given("locator").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => general_purpose::STANDARD_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok())
            .ok_or_else(|| Refusal::of(400, "INVALIDLOCATOR", "the locator is not known"))?,
    };
    let rows: Rows = job.rows.iter().skip(from).take(most).cloned().collect();
    let next = from + rows.len();
    let locator = match next < job.rows.len() {
        true => general_purpose::STANDARD_NO_PAD.encode(next.to_string()),
        // a word, and not the lack of the header
        false => "null".to_owned(),
    };
    let headers = vec![
        ("sforce-numberofrecords".to_owned(), rows.len().to_string()),
        ("sforce-locator".to_owned(), locator),
    ];
    Ok(table(&job.head, &rows, headers))
}

/// A table as CSV, every cell in quotes.
fn table(head: &[String], rows: &Rows, headers: Vec<(String, String)>) -> Answer {
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
    let written = std::iter::once(head)
        .chain(rows.iter().map(Vec::as_slice))
        .all(|row| writer.write_record(row).is_ok());
    let body = writer.into_inner().ok().filter(|_| written).unwrap_or_default();
    let mut reply = Reply::text(200, "text/csv", body);
    reply.headers.extend(headers);
    Answer { reply, ids: Vec::new(), error: None }
}

fn read(body: &[u8]) -> Result<(Vec<String>, Rows), Refusal> {
    let broken = || Refusal::of(400, "InvalidBatch", "the data is not CSV");
    let mut reader = csv::Reader::from_reader(body);
    let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect::<Vec<_>>();
    let head = texts(reader.headers().map_err(|_| broken())?);
    let rows: Result<Rows, _> =
        reader.records().map(|row| row.map(|row| texts(&row)).map_err(|_| broken())).collect();
    Ok((head, rows?))
}

/// Writes the rows, each for itself.
fn work(state: &mut State, job: &mut Job) {
    for row in std::mem::take(&mut job.rows) {
        match one(state, job, &row) {
            Ok((id, created)) => job.good.push([id, created.to_string()].into_iter().chain(row).collect()),
            Err(refusal) => {
                let fields =
                    if refusal.fields.is_empty() { "--".to_owned() } else { refusal.fields.join(",") };
                let error = format!("{}:{}:{fields}", refusal.code, refusal.message);
                job.bad.push([String::new(), error].into_iter().chain(row).collect());
            }
        }
    }
}

fn one(state: &mut State, job: &Job, row: &[String]) -> Result<(String, bool), Refusal> {
    let mut fields = Map::new();
    for (name, text) in job.head.iter().zip(row).filter(|(_, text)| !text.is_empty()) {
        let holds = schema::field(&job.object, name).map(|(_, holds, _)| holds);
        let value = match (text.as_str(), holds) {
            (NULL, _) => Value::Null,
            (text @ ("true" | "false"), Some(Holds::Boolean)) => json!(text == "true"),
            (text, _) => json!(text),
        };
        fields.insert(name.clone(), value);
    }
    let id = fields.shift_remove("Id").and_then(|id| id.as_str().map(schema::long_id));
    let needed = || Refusal::of(400, "MISSING_ARGUMENT", "Id not specified in an update call");
    match job.operation.as_str() {
        "insert" => write::create(state, &job.object, &fields).map(|id| (id, true)),
        "upsert" => {
            let by = job.by.clone().unwrap_or_default();
            let value = fields.get(&by).cloned().unwrap_or(Value::Null);
            write::upsert(state, &job.object, &by, &value, &fields)
        }
        "update" => {
            let id = id.ok_or_else(needed)?;
            write::update(state, &job.object, &id, &fields).map(|()| (id, false))
        }
        operation => {
            let id = id.ok_or_else(needed)?;
            write::delete(state, &job.object, &id)?;
            if operation == "hardDelete" {
                write::forget(state, &job.object, &id);
            }
            Ok((id, false))
        }
    }
}

/// What the log of calls says of a request for a job: its operation and its role.
pub(super) fn ask(method: &str, parts: &[&str]) -> (&'static str, &'static str) {
    match (method, parts) {
        ("POST", [_, "query"]) => ("queryJob", "job"),
        ("POST", [_, "ingest"]) => ("ingestJob", "job"),
        ("PUT", _) => ("upload", "job"),
        ("PATCH", _) => ("changeJob", "job"),
        ("DELETE", _) => ("endJob", "job"),
        ("GET", [_, "query", _, "results"]) => ("queryResults", "query"),
        ("GET", [_, _, _]) => ("jobInfo", "job"),
        ("GET", [_, "ingest", _, _]) => ("jobResults", "job"),
        _ => ("unknown", ""),
    }
}
