//! Everything that a simulator remembers, in memory.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{
    Kind,
    effect::{Deed, Effects},
    exchange::{Asked, Request},
    fault::{Fault, Trouble},
    jiandaoyun,
    push::{self, Push},
    shopify,
    table::{Row, Table},
    wechat, yonyou,
};

/// How many calls the log keeps; older ones are dropped, and still counted.
const CALLS_KEPT: usize = 100_000;

/// One call that the simulator saw, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Counted from 1.
    pub seq: u64,
    /// When, by the simulator's clock: epoch milliseconds.
    pub at_ms: i64,
    /// The API's own name of the operation: `create`, `query`, `BatchSave`, `token`.
    pub operation: String,
    /// The object (`AccountObj`, `BD_Customer`); empty where the operation has none.
    pub object: String,
    /// The records that the call named or made.
    pub ids: Vec<String>,
    /// The names of the fields that a write sent (never their values).
    pub fields_sent: Vec<String>,
    /// How many detail lines a write sent beside its heads.
    pub lines_sent: usize,
    /// The HTTP status of the answer; 0 where the connection was cut.
    pub status: u16,
    /// The API's error, or the fault that struck; `None` where all went well.
    pub error: Option<String>,
}

/// A change whose answer was cut off and which is made later.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) due_ms: i64,
    pub(super) request: Request,
    pub(super) asked: Asked,
}

/// A token or a session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) value: String,
    pub(super) born_ms: i64,
    pub(super) ended: bool,
}

impl Session {
    /// Whether it is good still, where sessions live for so long.
    pub(super) fn lives(&self, now_ms: i64, life_ms: i64) -> bool {
        !self.ended && now_ms - self.born_ms < life_ms
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) objects: HashMap<String, Table>,
    pub(super) sessions: Vec<Session>,
    pub(super) faults: Vec<Fault>,
    pub(super) down: bool,
    pub(super) clock: Option<i64>,
    pub(super) calls_per_20s: Option<u32>,
    pub(super) late: Vec<Late>,
    /// The last page of each object, for `duplicate-page`.
    pub(super) pages: HashMap<String, Vec<u8>>,
    /// Results of asynchronous work that wait to be fetched.
    pub(super) tasks: HashMap<String, Vec<u8>>,
    /// The refresh token in force, where they rotate; empty where the whole family was revoked. `None`: they do not.
    pub(super) refresh_token: Option<String>,
    /// Fields that are described in another way, by object and name: not at all, or as another type.
    pub(super) described: HashMap<(String, String), Option<String>>,
    windows: HashMap<String, VecDeque<i64>>,
    calls: VecDeque<Call>,
    calls_seen: u64,
    calls_counted: u64,
    /// Calls by operation and object, since the log was last emptied.
    pub(super) tally: BTreeMap<(String, String), u64>,
    pub(super) effects: Effects,
    pub(super) jiandaoyun: jiandaoyun::Memory,
    pub(super) yonyou: yonyou::Memory,
    pub(super) wechat: wechat::Memory,
    pub(super) shopify: shopify::Bucket,
    pushes: VecDeque<Push>,
    serial: u64,
}

impl State {
    pub(super) fn new(kind: Kind, calls_per_20s: Option<u32>, faults: Vec<Fault>) -> State {
        State {
            kind,
            objects: HashMap::new(),
            sessions: Vec::new(),
            faults,
            down: false,
            clock: None,
            calls_per_20s,
            late: Vec::new(),
            pages: HashMap::new(),
            tasks: HashMap::new(),
            refresh_token: None,
            described: HashMap::new(),
            windows: HashMap::new(),
            calls: VecDeque::new(),
            calls_seen: 0,
            calls_counted: 0,
            tally: BTreeMap::new(),
            effects: Effects::default(),
            jiandaoyun: jiandaoyun::Memory::default(),
            yonyou: yonyou::Memory::default(),
            wechat: wechat::Memory::default(),
            shopify: shopify::Bucket::default(),
            pushes: VecDeque::new(),
            serial: 0,
        }
    }

    /// Epoch milliseconds, by the fixed clock where one is set.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
    }

    /// Whether this token was given out, and is good still, where sessions live for so long.
    pub(super) fn knows(&self, token: &str, life_ms: i64) -> bool {
        let now = self.now_ms();
        self.sessions.iter().any(|session| session.value == token && session.lives(now, life_ms))
    }

    /// The next number of a counter that all objects share, from 1.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// The records of an object, known so far or not.
    pub(super) fn table(&mut self, object: &str) -> &mut Table {
        let kind = self.kind;
        self.objects.entry(object.to_owned()).or_insert_with(|| match kind {
            Kind::Fxiaoke => Table::new(false, &["name"]),
            Kind::Jiandaoyun => Table::new(false, &["_widget_name"]),
            Kind::KingdeeK3cloud => Table::new(true, &["FNumber", "FBillNo"]),
            Kind::Salesforce => Table::new(false, &["Name"]),
            Kind::ZohoCrm
            | Kind::Hubspot
            | Kind::Odoo
            | Kind::Yonyou
            | Kind::Netsuite
            | Kind::SapOdata
            | Kind::Shopify => Table::new(true, &[]),
            Kind::Dynamics365 | Kind::Mailchimp | Kind::WechatMiniprogram => Table::new(false, &[]),
        })
    }

    /// Puts a record into its table, and notes whether it is new.
    pub(super) fn put_record(&mut self, object: &str, row: Row) {
        let deed = if self.table(object).get(&row.id).is_some() { Deed::Changed } else { Deed::Created };
        self.effects.note(self.now_ms(), deed, object, &row.id);
        self.table(object).put(row);
    }

    /// Removes a record without a trace; false where there is none.
    pub(super) fn remove_record(&mut self, object: &str, id: &str) -> bool {
        let removed = self.table(object).remove(id).is_some();
        if removed {
            self.effects.note(self.now_ms(), Deed::Removed, object, id);
        }
        removed
    }

    /// Writes down what the system would tell by itself.
    pub(super) fn push(&mut self, push: Push) {
        if self.pushes.len() >= push::KEPT {
            self.pushes.pop_front();
        }
        self.pushes.push_back(push);
    }

    /// Takes what waits to be told.
    pub(super) fn take_pushes(&mut self) -> Vec<Push> {
        self.pushes.drain(..).collect()
    }

    /// Ends every token and session.
    pub(super) fn end_sessions(&mut self) {
        for session in &mut self.sessions {
            session.ended = true;
        }
    }

    /// The faults that strike this call; each is used up by one.
    pub(super) fn strike(&mut self, asked: &Asked) -> Vec<Trouble> {
        let mut struck = Vec::new();
        let has_page = self.pages.contains_key(&asked.object);
        for fault in &mut self.faults {
            let meant = match &fault.operation {
                Some(operation) => asked.is(operation),
                // Signing in is spared unless named, so that a fault reaches the work that it is meant for; a server
                // that does not answer at all does not answer that either.
                None => {
                    !asked.is("sign-in")
                        || matches!(fault.trouble, Trouble::Down | Trouble::Status(_) | Trouble::Slow(_))
                }
            };
            let possible = match fault.trouble {
                Trouble::DuplicatePage => asked.is("query") && has_page,
                Trouble::PartialBatch => asked.items > 1,
                _ => true,
            };
            if !meant || !possible || fault.times == Some(0) {
                continue;
            }
            if let Some(times) = &mut fault.times {
                *times -= 1;
            }
            struck.push(fault.trouble.clone());
        }
        self.faults.retain(|fault| fault.times != Some(0));
        struck
    }

    /// Counts a call of an interface; false where `limit` calls were already made within `window_ms`.
    pub(super) fn admit(&mut self, interface: &str, limit: u32, window_ms: i64) -> bool {
        let now = self.now_ms();
        let window = self.windows.entry(interface.to_owned()).or_default();
        while window.front().is_some_and(|at| now - *at >= window_ms) {
            window.pop_front();
        }
        if window.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
            return false;
        }
        window.push_back(now);
        true
    }

    /// Writes a call into the log.
    pub(super) fn log(&mut self, asked: &Asked, ids: Vec<String>, status: u16, error: Option<String>) {
        self.calls_seen += 1;
        self.calls_counted += 1;
        if self.calls.len() >= CALLS_KEPT {
            self.calls.pop_front();
        }
        *self.tally.entry((asked.operation.clone(), asked.object.clone())).or_default() += 1;
        let call = Call {
            seq: self.calls_seen,
            at_ms: self.now_ms(),
            operation: asked.operation.clone(),
            object: asked.object.clone(),
            ids,
            fields_sent: asked.fields.clone(),
            lines_sent: asked.lines,
            status,
            error,
        };
        self.calls.push_back(call);
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    /// Calls since the log was last emptied, kept or not.
    pub(super) fn call_count(&self) -> u64 {
        self.calls_counted
    }

    pub(super) fn forget_calls(&mut self) {
        self.calls.clear();
        self.calls_counted = 0;
        self.tally.clear();
    }
}
