//! Local stand-ins of Dynamics 365, Fxiaoke, HubSpot, Jiandaoyun, Kingdee K3Cloud, Mailchimp, NetSuite, Odoo,
//! Salesforce, SAP, Shopify, WeChat, Yonyou and Zoho CRM: servers that behave like the real APIs in sign-in, shapes,
//! limits, errors and faults, so that a mapping can be tried before it meets production.
//!
//! State is in memory and the servers bind 127.0.0.1 only. What the vendors do not document is marked
//! `(unverified)` where it is decided.
//!
//! # The door
//!
//! [`Door`] looks into the state and plays the other user of the system. Over HTTP it is `POST /_door/VERB` with a
//! JSON object, and answers a JSON object (status 400 with `{"error": …}` where it is asked wrongly):
//!
//! | verb | body | answer |
//! |---|---|---|
//! | `records`, `count` | `{"object"}` | `{"records": […]}`, `{"count"}` |
//! | `record` | `{"object", "id"}` | `{"record": {…} or null}` |
//! | `document` | `{"object", "id"}` | `{"document": {…} or null}`, the record with its lines |
//! | `insert` | `{"object", "fields": {…}}` | `{"id"}` |
//! | `insert_many` | `{"object", "records": [{…}, …]}` | `{"ids": […]}` |
//! | `edit` | `{"object", "id", "fields": {…}}` | `{"found", "was": {…} or null}`, the record as it was in that moment |
//! | `add_line` | `{"object", "id", "fields": {…}}` | `{"line": id or null}` |
//! | `edit_line` | `{"object", "id", "line", "fields": {…}}` | `{"found"}` |
//! | `remove_line` | `{"object", "id", "line"}` | `{"found"}` |
//! | `remove` | `{"object", "id"}` | `{"found"}` |
//! | `clear` | | `{"ok"}` |
//! | `calls`, `call_count` | | `{"count", "calls": […]}`, `{"count"}` |
//! | `call_counts` | | `{"counts": [{"operation", "object", "count"}, …]}` |
//! | `forget_calls` | | `{"ok"}` |
//! | `effects`, `forget_effects` | | `{"effects": [{"seq", "at_ms", "deed", "by", "object", "id"}, …]}`, `{"ok"}` |
//! | `faults`, `set_faults`, `add_fault`, `clear_faults` | `{"faults": ["lost-answer@create", …]}`, `{"fault"}` | `{"faults"}` |
//! | `set_down` | `{"down": true}` | `{"ok"}` |
//! | `set_calls_per_20s` | `{"calls": 100 or null}` | `{"ok"}` |
//! | `set_clock` | `{"ms": 1700000000000 or null}` | `{"ok"}` |
//! | `take_pushes` | | `{"pushes": [{"query", "headers", "body"}, …]}`, each once (Jiandaoyun, Shopify, WeChat, Yonyou) |
//! | `end_sessions` | | `{"ok"}` |

use std::{
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request as HttpRequest, State as Handed},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
    serve::Listener,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub mod credentials;
mod cut;
mod door;
mod door_http;
mod dynamics365;
mod effect;
mod exchange;
mod fault;
mod fxiaoke;
mod hubspot;
mod jiandaoyun;
mod kingdee;
mod mailchimp;
mod netsuite;
mod odata;
mod odoo;
mod push;
mod salesforce;
mod sap;
mod select;
mod shopify;
mod state;
mod table;
mod value;
mod wechat;
mod yonyou;
mod zoho;

pub use door::{Door, Fields};
pub use effect::{Deed, Effect};
pub use fault::{Fault, Mangling, Trouble};
pub use push::Push;
pub use state::Call;

use exchange::{Reply, Request};
use state::State;

/// The largest request that a simulator reads.
const BODY_LIMIT: usize = 64 * 1024 * 1024;

/// What can go wrong with a simulator itself.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The port could not be bound.
    #[error(
        "the simulator cannot listen on 127.0.0.1 port {port}: {source}; choose another port, or 0 for any free one"
    )]
    Listen {
        /// The port that was asked for.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no simulator of this name.
    #[error(
        "there is no simulator of {name:?}; the known ones are dynamics365, fxiaoke, hubspot, jiandaoyun, kingdee-k3cloud, mailchimp, netsuite, odoo, salesforce, sap-odata, shopify, wechat-miniprogram, yonyou and zoho-crm"
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// A fault could not be read.
    #[error("the fault {text:?} cannot be read: {why}; faults are written NAME[:PARAM][@OPERATION][xCOUNT]")]
    Fault {
        /// The fault as it was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Which system is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Fxiaoke, both generations of its open platform.
    Fxiaoke,
    /// Jiandaoyun's open API, version 5.
    Jiandaoyun,
    /// Kingdee K3Cloud's WebAPI.
    KingdeeK3cloud,
    /// Salesforce's REST API.
    Salesforce,
    /// Zoho CRM's API.
    ZohoCrm,
    /// HubSpot's CRM API.
    Hubspot,
    /// Odoo's external API: JSON-2 and JSON-RPC.
    Odoo,
    /// 用友 YonBIP's open platform.
    Yonyou,
    /// A mini program of WeChat.
    WechatMiniprogram,
    /// The Web API of Dynamics 365.
    Dynamics365,
    /// Mailchimp's Marketing API.
    Mailchimp,
    /// NetSuite's REST API and SuiteQL.
    Netsuite,
    /// Shopify's Admin API.
    Shopify,
    /// SAP Gateway: OData version 2.
    SapOdata,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Fxiaoke => "fxiaoke",
            Kind::Jiandaoyun => "jiandaoyun",
            Kind::KingdeeK3cloud => "kingdee-k3cloud",
            Kind::Salesforce => "salesforce",
            Kind::ZohoCrm => "zoho-crm",
            Kind::Hubspot => "hubspot",
            Kind::Odoo => "odoo",
            Kind::Yonyou => "yonyou",
            Kind::WechatMiniprogram => "wechat-miniprogram",
            Kind::Dynamics365 => "dynamics365",
            Kind::Mailchimp => "mailchimp",
            Kind::Netsuite => "netsuite",
            Kind::Shopify => "shopify",
            Kind::SapOdata => "sap-odata",
        })
    }
}

impl FromStr for Kind {
    type Err = SimulatorError;

    fn from_str(name: &str) -> Result<Kind, SimulatorError> {
        match name {
            "fxiaoke" => Ok(Kind::Fxiaoke),
            "jiandaoyun" => Ok(Kind::Jiandaoyun),
            "kingdee-k3cloud" => Ok(Kind::KingdeeK3cloud),
            "salesforce" => Ok(Kind::Salesforce),
            "zoho-crm" => Ok(Kind::ZohoCrm),
            "hubspot" => Ok(Kind::Hubspot),
            "odoo" => Ok(Kind::Odoo),
            "yonyou" => Ok(Kind::Yonyou),
            "wechat-miniprogram" => Ok(Kind::WechatMiniprogram),
            "dynamics365" => Ok(Kind::Dynamics365),
            "mailchimp" => Ok(Kind::Mailchimp),
            "netsuite" => Ok(Kind::Netsuite),
            "shopify" => Ok(Kind::Shopify),
            "sap-odata" => Ok(Kind::SapOdata),
            _ => Err(SimulatorError::Unknown { name: name.to_owned() }),
        }
    }
}

/// How a simulator starts.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port on 127.0.0.1; 0 is any free one.
    pub port: u16,
    /// Calls per interface and 20 s; `None` is the API's own limit (Fxiaoke 100, the others none).
    pub calls_per_20s: Option<u32>,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

/// A running simulator. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    kind: Kind,
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// The state behind its lock. No lock is ever held across an await.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<State>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in one call must not make every later call fail.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Simulator {
    /// Starts a simulator inside the current tokio runtime.
    ///
    /// # Errors
    /// [`SimulatorError::Listen`] where the port is taken.
    pub async fn start(kind: Kind, options: Options) -> Result<Simulator, SimulatorError> {
        let refuse = |source| SimulatorError::Listen { port: options.port, source };
        let listener = cut::LoopbackListener::bind(options.port).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        let shared = Arc::new(Shared(Mutex::new(State::new(kind, options.calls_per_20s, options.faults))));
        let router = Router::new().fallback(handle).with_state(Door(Arc::clone(&shared)));
        let service = router.into_make_service_with_connect_info::<cut::Cut>();
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let server = tokio::spawn(async move {
            let serving = axum::serve(listener, service).with_graceful_shutdown(stopping.cancelled_owned());
            // axum::serve never ends in an error: it waits and tries again.
            let _ = serving.await;
        });
        Ok(Simulator { kind, address, shared, stop, server })
    }

    /// The address that a connector is given: `http://127.0.0.1:P`, `http://127.0.0.1:P/api`, or `http://127.0.0.1:P/k3cloud/`.
    pub fn base_url(&self) -> String {
        match self.kind {
            Kind::Jiandaoyun => format!("http://{}/api", self.address),
            Kind::KingdeeK3cloud => format!("http://{}/k3cloud/", self.address),
            _ => format!("http://{}", self.address),
        }
    }

    /// Where the door is over HTTP.
    pub fn door_url(&self) -> String {
        format!("http://{}{}", self.address, door_http::PATH)
    }

    /// The handle to the state.
    pub fn door(&self) -> Door {
        Door(Arc::clone(&self.shared))
    }

    /// Stops listening, and gives the port back. Open connections are cut at their next call.
    pub async fn stop(mut self) {
        self.halt();
        // Cancelled by ourselves, so there is nothing to learn from how it ended.
        let _ = (&mut self.server).await;
    }

    fn halt(&self) {
        // A client's open connection outlives the listener, and must not be answered any more.
        self.shared.lock().down = true;
        self.stop.cancel();
        self.server.abort();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.halt();
    }
}

async fn handle(
    Handed(door): Handed<Door>,
    ConnectInfo(cut): ConnectInfo<cut::Cut>,
    http: HttpRequest,
) -> Response {
    let (parts, body) = http.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return response(Reply::text(413, "text/plain", "the request is too large"));
    };
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let request = Request {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or("").to_owned(),
        headers,
        body: body.to_vec(),
    };
    if request.path == door_http::PATH || request.path.starts_with("/_door/") {
        return response(door_http::answer(&door, &request));
    }
    match exchange::exchange(&door.0, request).await {
        Some(reply) => response(reply),
        None => {
            cut.now();
            Response::new(Body::empty())
        }
    }
}

fn response(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
