//! Signing in: one call at a time makes a sign-in, the others wait for it; what the next one needs is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::connector::answer;
use crate::connector::call::{Call, Caller};
use crate::connector::compiled::{SignIn, Step};
use crate::connector::expr::pool;
use crate::connector::kept::{Kept, Seal};
use crate::connector::manifest::{OperationName, SignInKind};
use crate::connector::request::{as_text, first};
use crate::model::outcome::Outcome;
use crate::model::record::Record;
use crate::remote::gate::Priority;
use crate::remote::keep::{Keep, Turn};

/// The sign-in as it stands. The lock is held while signing in, so that only one call does.
#[derive(Default)]
pub(super) struct Session {
    pub(super) signed: Option<Signed>,
    pub(super) count: u64,
    /// The generation of what was kept when this process signed in last.
    pub(super) generation: i64,
}

#[derive(Clone)]
pub(super) struct Signed {
    pub(super) token: Value,
    pub(super) identity: Option<String>,
    pub(super) until: Option<Instant>,
    /// Tells this sign-in from the one after it.
    pub(super) number: u64,
    /// Another process made it, some time ago: that it is refused says nothing about the secrets.
    pub(super) borrowed: bool,
}

/// What an answer to a sign-in gave.
struct Given {
    token: Value,
    identity: Option<String>,
    /// How long the token is to be used.
    life: Option<Duration>,
    /// Secrets that replace the ones that were sent.
    replaced: BTreeMap<String, SecretString>,
}

impl Caller {
    /// Who the remote is, after signing in where that takes a request.
    pub(super) async fn identity(&self, priority: Priority) -> Result<Option<String>, Outcome> {
        Ok(self.signed(priority).await?.and_then(|signed| signed.identity))
    }

    /// The sign-in in force, made if there is none or its end is near. One call at a time makes it.
    pub(super) async fn signed(&self, priority: Priority) -> Result<Option<Signed>, Outcome> {
        let Some(sign_in) = &self.sign_in else { return Ok(None) };
        let mut session = self.session.lock().await;
        if let Some(signed) = &session.signed
            && signed.until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(Some(signed.clone()));
        }
        session.signed = None;
        let keep = if sign_in.keep.is_empty() { None } else { self.gate.keep() };
        let signed = match keep {
            Some(keep) => self.sign_in_kept(sign_in, keep, &mut session, priority).await?,
            None => self.sign_in_alone(sign_in, session.count + 1, priority).await?,
        };
        session.count = signed.number;
        session.signed = Some(signed.clone());
        Ok(Some(signed))
    }

    /// Forgets a sign-in that the remote no longer takes, unless a newer one is already there.
    pub(super) async fn forget(&self, number: u64) {
        let mut session = self.session.lock().await;
        if session.signed.as_ref().is_some_and(|signed| signed.number == number) {
            session.signed = None;
        }
    }

    /// A sign-in by the configured secrets, of which nothing is kept.
    async fn sign_in_alone(
        &self,
        sign_in: &SignIn,
        number: u64,
        priority: Priority,
    ) -> Result<Signed, Outcome> {
        let started = Instant::now();
        let given = self.ask(sign_in, &self.secrets, priority, &refused_sign_in).await?;
        if let Some(name) = given.replaced.keys().next().filter(|_| self.still.is_none()) {
            let reason = format!(
                "the sign-in gave another {name} and there is no place to keep it yet: start rowtwin once against \
                 the mirror database, so that its tables are made; sign in to the system anew for a {name} first"
            );
            return Err(Outcome::Misconfigured { reason });
        }
        let until = given.life.and_then(|life| started.checked_add(life));
        Ok(Signed { token: given.token, identity: given.identity, until, number, borrowed: false })
    }

    /// A sign-in that may replace its own secret: one at a time over all processes, and what it gives is kept before
    /// anything is done with it.
    async fn sign_in_kept(
        &self,
        sign_in: &SignIn,
        keep: Arc<dyn Keep>,
        session: &mut Session,
        priority: Priority,
    ) -> Result<Signed, Outcome> {
        let configured: Vec<(&str, &SecretString)> = sign_in
            .keep
            .keys()
            .filter_map(|name| self.secrets.get_key_value(name))
            .map(|(name, secret)| (name.as_str(), secret))
            .collect();
        let Some(seal) = Seal::new(&self.system, &configured) else {
            return self.sign_in_alone(sign_in, session.count + 1, priority).await;
        };
        let turn = keep.take().await?;
        let done = self.under_turn(sign_in, keep.as_ref(), &turn, &seal, session, priority).await;
        // an answer that is missing stays noted: whoever is refused next tells why
        let answered = match &done {
            Ok(_) => true,
            Err(Outcome::Retry { .. } | Outcome::Unknown { .. }) => false,
            Err(_) => turn.missing_since.is_none(),
        };
        keep.leave(&turn, answered).await;
        done
    }

    async fn under_turn(
        &self,
        sign_in: &SignIn,
        keep: &dyn Keep,
        turn: &Turn,
        seal: &Seal,
        session: &mut Session,
        priority: Priority,
    ) -> Result<Signed, Outcome> {
        let number = session.count + 1;
        let kept = turn.sealed.as_deref().and_then(|sealed| seal.open(sealed));
        // Another process has signed in since: its token serves here, too. Not for the first sign-in of a process,
        // which is there to see which account answers.
        let newer = session.count > 0 && turn.generation > session.generation;
        if let Some(kept) = kept.as_ref().filter(|kept| newer && !kept.is_over(self.now_ms())) {
            session.generation = turn.generation;
            return Ok(kept.signed(self.now_ms(), number));
        }
        let mut secrets = self.secrets.clone();
        secrets.extend(kept.iter().flat_map(|kept| kept.secrets.clone()));
        let why = why_refused(&self.system, sign_in, turn, turn.sealed.is_none() || kept.is_some());
        let meant = move |outcome: Outcome| match refused_sign_in(outcome) {
            Outcome::Misconfigured { reason } => {
                Outcome::Misconfigured { reason: format!("{reason}; {why}") }
            }
            other => other,
        };
        let started = Instant::now();
        let mut given = None;
        let work = async {
            given = Some(self.ask(sign_in, &secrets, priority, &meant).await?);
            Ok(())
        };
        keep.during(turn, Box::pin(work)).await?;
        let Some(given) = given else {
            return Err(Outcome::Retry { after: None, reason: "the sign-in did not end".to_owned() });
        };
        session.generation = turn.generation;
        if !given.replaced.is_empty() {
            // the ones that were not replaced go on with the others
            let mut in_force: BTreeMap<String, SecretString> =
                kept.map(|kept| kept.secrets).unwrap_or_default();
            in_force.extend(given.replaced);
            let life = given.life.and_then(|life| i64::try_from(life.as_millis()).ok());
            let kept = Kept {
                secrets: in_force,
                token: given.token.clone(),
                identity: given.identity.clone(),
                until_ms: life.map(|life| self.now_ms().saturating_add(life)),
            };
            let sealed = seal.close(&kept).ok_or_else(|| Outcome::Retry {
                after: None,
                reason: "the new secret could not be sealed".to_owned(),
            })?;
            keep.put(turn, sealed).await?;
            session.generation = turn.generation + 1;
        }
        let until = given.life.and_then(|life| started.checked_add(life));
        Ok(Signed { token: given.token, identity: given.identity, until, number, borrowed: false })
    }

    /// Makes the request, where there is one, after the one that comes before it, and reads its answer.
    async fn ask(
        &self,
        sign_in: &SignIn,
        secrets: &BTreeMap<String, SecretString>,
        priority: Priority,
        meant: &(dyn Fn(Outcome) -> Outcome + Send + Sync),
    ) -> Result<Given, Outcome> {
        let misconfigured = |reason: String| Outcome::Misconfigured { reason: self.scrub(&reason, None) };
        let mut input = self.common_inputs(Record::new());
        if let Value::Object(map) = self.inputs_with(secrets) {
            input.extend(map);
        }
        let before = match &sign_in.begins_with {
            Some(first) => Some(Box::pin(self.ask(first, secrets, priority, meant)).await?),
            None => None,
        };
        let ends_before = before.as_ref().and_then(|before| before.life);
        input.insert("before".to_owned(), before.map_or(Value::Null, |before| before.token));
        let input = Value::Object(input);
        let input = match &sign_in.step {
            None => input,
            Some(step) => self.send_sign_in(step, input, secrets, priority, meant).await?,
        };
        let (told, kind) = (sign_in.clone(), sign_in.kind);
        let work = move || {
            let one = |expr: &Option<_>| first(expr.as_ref(), &input);
            let keep = told.keep.iter().map(|(name, expr)| Ok((name.clone(), first(Some(expr), &input)?)));
            let keep: BTreeMap<String, Value> = keep.collect::<Result<_, String>>()?;
            Ok::<_, String>((one(&told.token)?, one(&told.expires_in)?, one(&told.identity)?, keep))
        };
        let told =
            pool::run(work).await.unwrap_or_else(|| Err("the answer could not be worked on".to_owned()));
        let (token, expires_in, identity, keep) = told.map_err(misconfigured)?;
        let needs_token = matches!(kind, SignInKind::Key | SignInKind::TokenExchange | SignInKind::Session);
        if needs_token && token.is_null() {
            let reason = "the sign-in gave no token; check its settings and secrets".to_owned();
            return Err(Outcome::Misconfigured { reason });
        }
        // What is left of a token's life counts from before the request. A token that is given out near its end
        // is used for a short while all the same, since asking again at once gives the same one.
        let life = answer::seconds(&expires_in)
            .map(|life| life.saturating_sub(sign_in.margin).max(life.min(Duration::from_secs(5))));
        let life = [life, ends_before].into_iter().flatten().min();
        let replaced = keep.into_iter().filter(|(name, value)| {
            let same = secrets.get(name).is_some_and(|old| old.expose_secret() == as_text(value));
            !value.is_null() && !same
        });
        Ok(Given {
            identity: Some(as_text(&identity)).filter(|text| !identity.is_null() && !text.is_empty()),
            replaced: replaced.map(|(name, value)| (name, SecretString::from(as_text(&value)))).collect(),
            token,
            life,
        })
    }

    async fn send_sign_in(
        &self,
        step: &Step,
        input: Value,
        secrets: &BTreeMap<String, SecretString>,
        priority: Priority,
        meant: &(dyn Fn(Outcome) -> Outcome + Send + Sync),
    ) -> Result<Value, Outcome> {
        let call = Call {
            operation: OperationName::SignIn,
            object: String::new(),
            inputs: Record::new(),
            records: 0,
            priority,
        };
        let misconfigured = |reason: String| Outcome::Misconfigured { reason: self.scrub(&reason, None) };
        let built = self.build(step, input, false).await.map_err(misconfigured)?;
        // a secret that is not the configured one is cut out of the remote's words, too
        let hidden = secrets.iter().map(|(name, secret)| (name.clone(), Value::from(secret.expose_secret())));
        let hidden = Value::Object(hidden.collect());
        Ok(self.pass_and_send(&call, step, built, Some(&hidden), meant).await?.input)
    }
}

impl Kept {
    fn is_over(&self, now_ms: i64) -> bool {
        self.until_ms.is_some_and(|until| until <= now_ms)
    }

    fn signed(&self, now_ms: i64, number: u64) -> Signed {
        let left = self.until_ms.and_then(|until| u64::try_from(until - now_ms).ok());
        Signed {
            token: self.token.clone(),
            identity: self.identity.clone(),
            until: left.and_then(|left| Instant::now().checked_add(Duration::from_millis(left))),
            number,
            borrowed: true,
        }
    }
}

/// What a person is told who has to mend a chain of sign-ins. `ours`: what is kept belongs to the configured secret.
fn why_refused(system: &str, sign_in: &SignIn, turn: &Turn, ours: bool) -> String {
    let names: Vec<&str> = sign_in.keep.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let cure = format!(
        "sign in to the system anew, put the {names} that it gives into the configured place, start rowtwin again and \
         select rowtwin.resume('{system}')"
    );
    match turn.missing_since.and_then(|since| Timestamp::try_from(since).ok()) {
        Some(since) if ours => format!(
            "the answer to the sign-in of {} was lost, and with it the {names} that it gave: {cure}",
            since.strftime("%Y-%m-%d %H:%M:%S UTC")
        ),
        _ if ours && turn.generation > 0 => format!(
            "the {names} that it gave last is no longer taken; it was revoked, or something else uses it, or the \
             mirror database was restored: {cure}"
        ),
        _ => format!("where the {names} was used before, it is over: {cure}"),
    }
}

/// What a failed sign-in means, whatever the answer was called.
pub(super) fn refused_sign_in(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::SignInAgain { reason }
        | Outcome::Reject { reason, .. }
        | Outcome::Gone { reason }
        | Outcome::Conflict { reason }
        | Outcome::Exists { reason, .. } => Outcome::Misconfigured {
            reason: format!("the sign-in was refused: {reason}; check its settings and secrets"),
        },
        other => other,
    }
}
