//! One call: sign in, pass the gate, send, judge; repeated once where the remote wants a new sign-in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::field::Empty;
use tracing::{Instrument as _, debug_span};
use uuid::Uuid;

use crate::connector::answer::{self, Judged};
use crate::connector::compiled::{Connector, Object, SignIn, Step};
use crate::connector::error::ConnectorError;
use crate::connector::expr::{Expr, pool};
use crate::connector::manifest::OperationName;
use crate::connector::request::{self, as_text, first, object as members};
use crate::connector::settings::{self, Settings};
use crate::connector::sign_in::{Session, Signed};
use crate::model::outcome::{Outcome, OutcomeKind};
use crate::model::record::Record;
use crate::remote::gate::{CallNote, Gate, Priority};
use crate::remote::retry_after::parse_http_date;
use crate::remote::transport::{HttpRequest, HttpResponse, Transport, TransportError};

/// After so many calls in a row whose signature was refused, the secrets are taken to be wrong and the system is held:
/// going on would lock the account.
const REFUSED_IN_A_ROW: u32 = 3;

/// Sign-ins of other processes that are tried before this one makes its own.
const MOST_BORROWED: u32 = 3;

/// Time and chance held still, for cases that compare whole requests.
#[derive(Debug, Clone)]
pub(super) struct Still {
    pub(super) now_ms: i64,
    pub(super) uuid: Uuid,
}

/// What the calls of one system share.
pub(super) struct Caller {
    pub(super) system: String,
    pub(super) connector: Arc<Connector>,
    /// `.settings`.
    pub(super) plain: Value,
    pub(super) secrets: BTreeMap<String, SecretString>,
    pub(super) sign_in: Option<SignIn>,
    transport: Arc<dyn Transport>,
    pub(super) gate: Arc<dyn Gate>,
    pub(super) session: Mutex<Session>,
    /// Calls in a row that were refused with a new signature.
    refused: AtomicU32,
    pub(super) still: Option<Still>,
}

/// One call of an operation.
pub(super) struct Call {
    pub(super) operation: OperationName,
    pub(super) object: String,
    pub(super) inputs: Record,
    pub(super) records: usize,
    pub(super) priority: Priority,
}

/// An answer that was good as a whole.
pub(super) struct Answer {
    /// The call's inputs with `.status .headers .body`.
    pub(super) input: Value,
    pub(super) remote_clock_ms: Option<i64>,
}

impl Caller {
    pub(super) fn new(
        system: &str,
        connector: Arc<Connector>,
        given: &Settings,
        transport: Arc<dyn Transport>,
        gate: Arc<dyn Gate>,
    ) -> Result<Self, ConnectorError> {
        let checked = settings::check(system, &connector, given)?;
        let wrong = |reason: String| ConnectorError::Expression {
            system: system.to_owned(),
            connector: connector.name.clone(),
            reason,
        };
        let sign_in = match &connector.select {
            None => connector.sign_in.values().next().cloned(),
            Some(select) => {
                let input = Value::Object(members([("settings", checked.plain.clone())]));
                let name = as_text(&first(Some(select), &input).map_err(wrong)?);
                let kind = connector.sign_in.get(&name);
                Some(kind.cloned().ok_or_else(|| wrong(format!("there is no sign-in kind {name}")))?)
            }
        };
        Ok(Self {
            system: system.to_owned(),
            plain: checked.plain,
            secrets: checked.secrets,
            sign_in,
            connector,
            transport,
            gate,
            session: Mutex::default(),
            refused: AtomicU32::new(0),
            still: None,
        })
    }

    /// Takes a token as if a sign-in had given it.
    pub(super) fn assume_token(&mut self, token: Value) {
        self.session = Mutex::new(Session {
            signed: Some(Signed { token, identity: None, until: None, number: 1, borrowed: false }),
            count: 1,
            generation: 0,
        });
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.still.as_ref().map_or_else(|| Timestamp::now().as_millisecond(), |still| still.now_ms)
    }

    /// A new UUID, or always the same one in cases.
    pub(super) fn chance(&self) -> Uuid {
        self.still.as_ref().map_or_else(Uuid::new_v4, |still| still.uuid)
    }

    pub(super) fn common_inputs(&self, mut inputs: Record) -> Record {
        let uuid = self.chance().to_string();
        inputs.insert("settings".to_owned(), self.plain.clone());
        inputs.insert("now_ms".to_owned(), Value::from(self.now_ms()));
        inputs.insert("uuid".to_owned(), Value::from(uuid));
        inputs
    }

    pub(super) fn secret_inputs(&self) -> Value {
        self.inputs_with(&self.secrets)
    }

    /// `.settings`, and these as `.secrets`.
    pub(super) fn inputs_with(&self, secrets: &BTreeMap<String, SecretString>) -> Value {
        let secrets = secrets.iter();
        let secrets = secrets.map(|(name, secret)| (name.clone(), Value::from(secret.expose_secret())));
        Value::Object(members([
            ("settings", self.plain.clone()),
            ("secrets", Value::Object(secrets.collect())),
        ]))
    }

    pub(super) async fn build(
        &self,
        step: &Step,
        input: Value,
        shared: bool,
    ) -> Result<(HttpRequest, Value), String> {
        let (connector, step) = (Arc::clone(&self.connector), step.clone());
        let work = move || {
            let mut input = input;
            request::build(&connector, &step, &mut input, shared).map(|request| (request, input))
        };
        pool::run(work).await.unwrap_or_else(|| Err("the request could not be made".to_owned()))
    }

    /// Makes a call: its answer if the call as a whole was done, else the outcome for all of it.
    pub(super) async fn exchange(&self, call: &Call, step: &Step) -> Result<Answer, Outcome> {
        let mut replayed = false;
        let mut borrowed = 0;
        loop {
            let signed = self.signed(call.priority).await?;
            let mut inputs = self.common_inputs(call.inputs.clone());
            let token = signed.as_ref().map_or(Value::Null, |signed| signed.token.clone());
            inputs.insert("token".to_owned(), token.clone());
            let misconfigured = |reason: String| Outcome::Misconfigured { reason: self.scrub(&reason, None) };
            let (mut request, input) =
                self.build(step, Value::Object(inputs), true).await.map_err(misconfigured)?;
            if let Some(sign_in) = &self.sign_in {
                let seconds = self.now_ms().div_euclid(1000);
                request::sign(&mut request, sign_in, &self.secret_inputs(), seconds)
                    .map_err(misconfigured)?;
            }
            // where nothing but the calls themselves shows whether the secrets are right, calls that are refused one
            // after the other say that they are wrong; a session that somebody else ended says nothing
            let unproven = self.sign_in.as_ref().is_some_and(|sign_in| sign_in.step.is_none());
            let wrong = unproven && replayed && self.refused.load(Relaxed) >= REFUSED_IN_A_ROW - 1;
            let meant: &(dyn Fn(Outcome) -> Outcome + Send + Sync) =
                if wrong { &refused_again } else { &|outcome| outcome };
            let answer = self.pass_and_send(call, step, (request, input), Some(&token), meant).await;
            match &answer {
                Err(Outcome::SignInAgain { .. }) if replayed => {
                    self.refused.fetch_add(1, Relaxed);
                }
                Ok(_) | Err(Outcome::Misconfigured { .. }) => self.refused.store(0, Relaxed),
                Err(_) => {}
            }
            match (answer, signed) {
                (Err(Outcome::SignInAgain { .. }), Some(signed)) if !replayed => {
                    replayed = true;
                    self.forget(signed.number).await;
                }
                // it may have ended together with ours: one of our own is to be tried before anybody is blamed
                (Err(Outcome::SignInAgain { .. }), Some(signed))
                    if signed.borrowed && borrowed < MOST_BORROWED =>
                {
                    borrowed += 1;
                    self.forget(signed.number).await;
                }
                (answer, _) => return answer.map_err(refused_again),
            }
        }
    }

    pub(super) async fn pass_and_send(
        &self,
        call: &Call,
        step: &Step,
        (request, input): (HttpRequest, Value),
        token: Option<&Value>,
        meant: &(dyn Fn(Outcome) -> Outcome + Send + Sync),
    ) -> Result<Answer, Outcome> {
        let operation = call.operation;
        let pass = self.gate.enter(operation.word(), call.priority).await?;
        // names and numbers only: a span leaves the process
        let span = debug_span!(
            "call",
            otel.kind = "client",
            system = %self.system,
            object = %call.object,
            operation = operation.word(),
            records = call.records,
            status = Empty,
            outcome = Empty,
            otel.status_code = Empty,
        );
        let started = Instant::now();
        let response = self.transport.send(request).instrument(span.clone()).await;
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = response.as_ref().map_or(0, |response| response.status);
        let clock =
            response.as_ref().ok().and_then(|response| response.header("date")).and_then(parse_http_date);
        let (result, usage) = match response {
            Ok(response) => self.judge(operation, step, input, response).await,
            Err(error) => (Err(self.of_failure(operation, &error)), None),
        };
        // the gate must learn what the answer means here: a refused sign-in holds the system, or it would be tried
        // again with every row until the account is locked
        let result = result.map_err(|outcome| meant(self.scrubbed(outcome, token)));
        let note = CallNote {
            operation: operation.word(),
            object: call.object.clone(),
            priority: call.priority,
            records: call.records,
            status,
            outcome: result.as_ref().err().map_or(OutcomeKind::Ok, Outcome::kind),
            millis,
            retry_after: match &result {
                Err(Outcome::Retry { after, .. } | Outcome::Throttled { after, .. }) => *after,
                _ => None,
            },
            usage,
            misconfigured: match &result {
                Err(Outcome::Misconfigured { reason }) => Some(reason.clone()),
                _ => None,
            },
        };
        span.record("status", status);
        span.record("outcome", note.outcome.word());
        if result.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        drop(span);
        self.gate.leave(pass, note).await;
        result.map(|input| Answer { input, remote_clock_ms: clock })
    }

    fn of_failure(&self, operation: OperationName, error: &TransportError) -> Outcome {
        answer::of_failure(answer::effect(operation), error)
    }

    async fn judge(
        &self,
        operation: OperationName,
        step: &Step,
        input: Value,
        response: HttpResponse,
    ) -> (Result<Value, Outcome>, Option<(u64, u64)>) {
        let (connector, step, now_ms) = (Arc::clone(&self.connector), step.clone(), self.now_ms());
        let work = move || answer::judge(&connector, &step, operation, input, &response, now_ms);
        match pool::run(work).await {
            Some(Judged { input, verdict: Ok(()), usage }) => (Ok(input), usage),
            Some(Judged { verdict: Err(outcome), usage, .. }) => (Err(outcome), usage),
            None => {
                let reason = "the answer could not be worked on".to_owned();
                (Err(answer::lost(answer::effect(operation), reason)), None)
            }
        }
    }

    /// A remote may quote what it was sent: secrets and tokens are cut out of its words.
    pub(super) fn scrub(&self, reason: &str, token: Option<&Value>) -> String {
        let mut scrubbed = reason.to_owned();
        let token = match token {
            Some(Value::String(token)) => vec![token.as_str()],
            // Other parts of a token (a company's name) are short and no secret.
            Some(Value::Object(parts)) => {
                parts.values().filter_map(Value::as_str).filter(|part| part.len() >= 16).collect()
            }
            _ => Vec::new(),
        };
        for secret in self.secrets.values().map(|secret| secret.expose_secret()).chain(token) {
            if secret.len() >= 4 {
                scrubbed = scrubbed.replace(secret, "***");
            }
        }
        scrubbed
    }

    /// Outcomes of single records, with secrets cut out of the remote's words.
    pub(super) fn scrub_all(&self, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        outcomes.into_iter().map(|outcome| self.scrubbed(outcome, None)).collect()
    }

    fn scrubbed(&self, outcome: Outcome, token: Option<&Value>) -> Outcome {
        let scrub = |reason: String| self.scrub(&reason, token);
        match outcome {
            Outcome::Ok { .. } => outcome,
            Outcome::Exists { id, reason } => Outcome::Exists { id, reason: scrub(reason) },
            Outcome::Retry { after, reason } => Outcome::Retry { after, reason: scrub(reason) },
            Outcome::Throttled { after, reason } => Outcome::Throttled { after, reason: scrub(reason) },
            Outcome::SignInAgain { reason } => Outcome::SignInAgain { reason: scrub(reason) },
            Outcome::Gone { reason } => Outcome::Gone { reason: scrub(reason) },
            Outcome::Conflict { reason } => Outcome::Conflict { reason: scrub(reason) },
            Outcome::Reject { field, reason } => Outcome::Reject { field, reason: scrub(reason) },
            Outcome::Misconfigured { reason } => Outcome::Misconfigured { reason: scrub(reason) },
            Outcome::Unknown { reason } => Outcome::Unknown { reason: scrub(reason) },
        }
    }
}

impl Caller {
    pub(super) fn attempt_field(
        &self,
        object: &Object,
        name: &str,
    ) -> Result<Option<String>, ConnectorError> {
        self.named_field(object.attempt_field.as_ref(), object, name)
    }

    /// The field's name that an expression over settings and object gives; none for null or nothing.
    pub(super) fn named_field(
        &self,
        expr: Option<&Expr>,
        object: &Object,
        name: &str,
    ) -> Result<Option<String>, ConnectorError> {
        let input = Value::Object(members([("settings", self.plain.clone()), ("object", object.seen(name))]));
        let told = first(expr, &input).map_err(|reason| ConnectorError::Expression {
            system: self.system.clone(),
            connector: self.connector.name.clone(),
            reason,
        })?;
        Ok(Some(as_text(&told)).filter(|name| !told.is_null() && !name.is_empty()))
    }
}

/// What it means that a new sign-in is not taken either.
fn refused_again(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::SignInAgain { reason } => Outcome::Misconfigured {
            reason: format!(
                "the sign-in is not accepted even when it is new: {reason}; check the settings and secrets"
            ),
        },
        other => other,
    }
}
