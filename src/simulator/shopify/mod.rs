//! Shopify's Admin API, as far as it is GraphQL: tokens, lists by search, records by id, mutations, the cost of questions.

mod graphql;
pub(super) mod person;
mod read;
mod schema;
mod search;
mod write;

use serde_json::{Map, Value, json};

use super::{
    credentials::shopify as known,
    exchange::{Answer, Asked, BatchTrouble, Reply, Request, pairs},
    state::{Session, State},
};
use graphql::{Document, Field};

/// How long a token of client credentials lives.
const LIFE_MS: i64 = 86_399_000;
/// The points that the bucket holds, those that come back in a second, and the most that one question may cost.
const BUCKET: f64 = 2000.0;
const RESTORED: f64 = 100.0;
const MOST: usize = 1000;
/// What a mutation costs.
const MUTATION: usize = 10;

/// The bucket of points that all questions share.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// What was taken, and when it was last looked at.
    taken: f64,
    at_ms: i64,
}

impl Bucket {
    fn left(&mut self, now_ms: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds between two questions")]
        let seconds = (now_ms - self.at_ms).max(0) as f64 / 1000.0;
        self.taken = (self.taken - seconds * RESTORED).max(0.0);
        self.at_ms = now_ms;
        BUCKET - self.taken
    }
}

/// Why a question is refused as a whole.
#[derive(Debug)]
struct Said {
    code: &'static str,
    message: String,
    more: Value,
}

impl Said {
    fn new(code: &'static str, message: impl Into<String>) -> Said {
        Said { code, message: message.into(), more: Value::Null }
    }

    fn with(mut self, more: Value) -> Said {
        self.more = more;
        self
    }

    fn answer(&self, cost: Option<Value>) -> Answer {
        let mut extensions = json!({"code": self.code});
        if let (Value::Object(extensions), Value::Object(more)) = (&mut extensions, &self.more) {
            extensions.extend(more.clone());
        }
        let mut body = json!({"errors": [{"message": self.message, "extensions": extensions}]});
        if let (Value::Object(body), Some(cost)) = (&mut body, cost) {
            body.insert("extensions".to_owned(), json!({ "cost": cost }));
        }
        Answer::failed(Reply::json(&body), format!("{}: {}", self.code, self.message))
    }
}

fn cost_of(requested: usize, actual: Option<usize>, left: f64) -> Value {
    json!({"requestedQueryCost": requested, "actualQueryCost": actual,
        "throttleStatus": {"maximumAvailable": BUCKET, "currentlyAvailable": left.floor(), "restoreRate": RESTORED}})
}

/// The answer to too many questions.
pub(super) fn throttled() -> Reply {
    Said::new("THROTTLED", "Throttled").answer(Some(cost_of(110, None, 10.0))).reply
}

/// An error that was asked for by its status; other numbers are errors within the server.
pub(super) fn api_error(code: i64) -> Reply {
    match u16::try_from(code).ok().filter(|status| (400..600).contains(status)) {
        Some(status) => {
            let body = json!({"errors": "the simulator was told to answer this error"});
            Reply::text(status, "application/json", body.to_string())
        }
        None => {
            Said::new("INTERNAL_SERVER_ERROR", "Internal error. Looks like something went wrong on our end.")
                .answer(None)
                .reply
        }
    }
}

/// What a token that is over is answered with.
pub(super) fn token_refused() -> Reply {
    let body =
        json!({"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"});
    Reply::text(401, "application/json", body.to_string())
}

fn document(payload: &Value) -> Result<Document, Said> {
    let text = payload.get("query").and_then(Value::as_str).unwrap_or_default();
    let none = Map::new();
    let variables = payload.get("variables").and_then(Value::as_object).unwrap_or(&none);
    graphql::parse(text, variables).map_err(|wrong| Said::new("PARSE_ERROR", wrong))
}

/// Tells what a request asks for.
pub(super) fn ask(request: &Request) -> Asked {
    let payload: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let mut asked = Asked { items: 1, interface: "api".to_owned(), ..Asked::default() };
    let version =
        request.path.strip_prefix("/admin/api/").and_then(|rest| rest.strip_suffix("/graphql.json"));
    let (operation, role) = match (request.method.as_str(), version) {
        ("POST", None) if request.path == "/admin/oauth/access_token" => ("token".to_owned(), "sign-in"),
        ("POST", Some(_)) => match document(&payload) {
            Ok(document) => told(&document, &mut asked),
            Err(_) => ("unknown".to_owned(), ""),
        },
        _ => ("unknown".to_owned(), ""),
    };
    asked.operation = operation;
    asked.roles = vec![role];
    asked.payload = payload;
    asked
}

fn told(document: &Document, asked: &mut Asked) -> (String, &'static str) {
    let Some(first) = document.fields.first() else { return ("unknown".to_owned(), "") };
    if let Some((object, deed)) = write::meant(&first.name) {
        asked.object = object.list.to_owned();
        let writes: Vec<&Field> =
            document.fields.iter().filter(|field| write::meant(&field.name).is_some()).collect();
        asked.items = writes.len();
        for field in writes {
            let input = write::input(field);
            asked.ids.extend(input.get("id").and_then(Value::as_str).map(str::to_owned));
            for name in write::names(&input) {
                if !asked.fields.contains(&name) {
                    asked.fields.push(name);
                }
            }
        }
        let role = match deed {
            "Create" => "create",
            "Update" => "update",
            _ => "delete",
        };
        return (first.name.clone(), role);
    }
    let ids = first.arguments.get("ids").and_then(Value::as_array).cloned().unwrap_or_default();
    let ids = ids.iter().chain(first.arguments.get("id")).filter_map(Value::as_str);
    asked.ids = ids.map(str::to_owned).collect();
    let role = match first.name.as_str() {
        "nodes" | "node" => "get",
        "__type" => "describe",
        name if schema::object(name).is_some() || name.ends_with("ByIdentifier") => "query",
        _ => "",
    };
    let by_id = asked.ids.first().and_then(|id| schema::object_of_id(id));
    let own = schema::object(&first.name).or(by_id).or_else(|| identified(&first.name));
    asked.object = own.map(|object| object.list.to_owned()).unwrap_or_default();
    (first.name.clone(), role)
}

/// The object of `customerByIdentifier`.
fn identified(name: &str) -> Option<&'static schema::Object> {
    let one = name.strip_suffix("ByIdentifier")?;
    schema::OBJECTS.iter().find(|object| object.one == one)
}

/// Checks the token: that of a custom app, which does not end, or one of client credentials.
pub(super) fn signed_in(state: &mut State, request: &Request, asked: &Asked) -> Result<(), Answer> {
    let token = request.header("x-shopify-access-token").unwrap_or_default();
    let good = asked.is("sign-in") || token == known::ACCESS_TOKEN || state.knows(token, LIFE_MS);
    if good { Ok(()) } else { Err(Answer::failed(token_refused(), "401")) }
}

fn token(state: &mut State, request: &Request, asked: &Asked) -> Answer {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let given = |name: &str| {
        let in_form = form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        in_form.or_else(|| asked.payload.get(name).and_then(Value::as_str)).unwrap_or_default()
    };
    let well = given("grant_type") == "client_credentials"
        && given("client_id") == known::CLIENT_ID
        && given("client_secret") == known::CLIENT_SECRET;
    if !well {
        let body = json!({"error": "invalid_client", "error_description": "Client authentication failed"});
        return Answer::failed(Reply::text(400, "application/json", body.to_string()), "invalid_client");
    }
    let value = format!("shpat_{}", uuid::Uuid::new_v4().simple());
    state.sessions.push(Session { value: value.clone(), born_ms: state.now_ms(), ended: false });
    Answer::ok(
        &json!({"access_token": value, "scope": "read_customers,write_customers", "expires_in": LIFE_MS / 1000}),
    )
}

/// Does what is asked; the caller is signed in.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    asked: &Asked,
    trouble: Option<BatchTrouble>,
) -> Answer {
    if asked.is("sign-in") {
        return token(state, request, asked);
    }
    let version =
        request.path.strip_prefix("/admin/api/").and_then(|rest| rest.strip_suffix("/graphql.json"));
    let Some(version) = version else {
        return Answer::failed(Reply::text(404, "application/json", r#"{"errors":"Not Found"}"#), "404");
    };
    let mut answer = question(state, asked, trouble);
    // A version that is over falls forward to the oldest that is served.
    let served = if version < known::API_VERSION { known::API_VERSION } else { version };
    answer.reply.headers.push(("x-shopify-api-version".to_owned(), served.to_owned()));
    answer
}

fn question(state: &mut State, asked: &Asked, trouble: Option<BatchTrouble>) -> Answer {
    let document = match document(&asked.payload) {
        Ok(document) => document,
        Err(said) => return said.answer(None),
    };
    let cost = |field: &Field| if document.mutation { MUTATION } else { read::cost(field) };
    let requested: usize = document.fields.iter().map(cost).sum();
    if requested > MOST {
        let message =
            format!("Query cost is {requested}, which exceeds the single query max cost limit ({MOST}).");
        return Said::new("MAX_COST_EXCEEDED", message)
            .with(json!({"cost": requested, "maxCost": MOST}))
            .answer(None);
    }
    // Who tells how many calls are allowed does not want points to be counted.
    let counted = state.calls_per_20s.is_none();
    let now = state.now_ms();
    let left = state.shopify.left(now);
    #[expect(clippy::cast_precision_loss, reason = "at most a thousand points")]
    let points = requested as f64;
    if counted && points > left {
        return Said::new("THROTTLED", "Throttled").answer(Some(cost_of(requested, None, left)));
    }
    let done =
        if document.mutation { write::mutate(state, &document, trouble) } else { shown(state, &document) };
    let (data, ids) = match done {
        Ok(done) => done,
        Err(said) => return said.answer(None),
    };
    if counted {
        state.shopify.taken += points;
    }
    let cost = cost_of(requested, Some(requested), if counted { left - points } else { left });
    Answer::ok(&json!({"data": data, "extensions": {"cost": cost}})).with_ids(ids)
}

fn shown(state: &mut State, document: &Document) -> Result<(Map<String, Value>, Vec<String>), Said> {
    let (mut data, mut ids) = (Map::new(), Vec::new());
    for field in &document.fields {
        let value = match field.name.as_str() {
            "shop" => json!({"id": known::SHOP_ID, "name": "Demo", "myshopifyDomain": known::SHOP}),
            "__type" => read::type_of(state, field),
            "metafieldDefinitions" => read::definitions(field),
            "node" => read::node(state, field, field.text("id").unwrap_or_default())?,
            "nodes" => {
                let mut nodes = Vec::new();
                for id in field.arguments.get("ids").and_then(Value::as_array).into_iter().flatten() {
                    nodes.push(read::node(state, field, id.as_str().unwrap_or_default())?);
                }
                Value::Array(nodes)
            }
            name => match (schema::object(name), identified(name)) {
                (Some(object), _) => {
                    let (page, of_page) = read::list(state, field, object)?;
                    ids.extend(of_page);
                    page
                }
                (None, Some(object)) => read::identified(state, field, object)?,
                (None, None) => {
                    let message = format!("Field '{name}' doesn't exist on type 'QueryRoot'");
                    return Err(Said::new("undefinedField", message));
                }
            },
        };
        data.insert(field.key.clone(), value);
    }
    Ok((data, ids))
}
