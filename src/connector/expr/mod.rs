//! Expressions: jq programs of manifests and mappings, compiled once and evaluated within bounds.
//!
//! jaq runs the programs. What it lacks is added here: errors that name a place, numbers that keep every digit,
//! filters for times, hashes and quoting, and bounds. A program that runs away is stopped by a native `!tick`
//! that every definition's body, every `.[]` and every `range` passes through (see [`bounds`]). Evaluation happens
//! on a few plain threads with large stacks (see [`pool`]), never on a thread of the async runtime.
//!
//! Not bounded: one huge string (`"a" * 1e10`), arithmetic on huge integers, and filters handed to themselves deeper
//! and deeper (`def f(g): f(g | g)`). Manifests are trusted by whoever runs the process; the bounds are there for
//! mistakes.

mod bounds;
mod compile;
pub mod csv;
mod filters;
pub mod pool;
mod value;
pub mod xml;
mod xml_bounds;

use std::sync::Arc;

use jaq_core::{Ctx, Vars, data::JustLut};
use jaq_json::Val;
use serde_json::Value;

pub use bounds::Bounds;
pub use compile::Definitions;

type Data = JustLut<Val>;

/// Why an expression was refused or did not give a value. Values of records never appear in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExprError {
    /// The text is not a program; `line` and `column` count from 1 within the expression.
    #[error("{place}:{line}:{column}: {message}")]
    Compile { place: String, line: usize, column: usize, message: String },
    /// The program failed on this input.
    #[error("{place}: the expression failed: {message}")]
    Run { place: String, message: String },
    /// The program used up its steps, its time or its stack.
    #[error("{place}: the expression was stopped: {what}; look for a loop or a recursion without an end")]
    Stopped { place: String, what: &'static str },
}

/// A compiled expression. Cheap to clone, and may be shared between threads.
#[derive(Clone)]
pub struct Expr(Arc<Inner>);

struct Inner {
    place: String,
    source: String,
    program: Program,
}

enum Program {
    /// `.a.b.c`: walked natively, without jq.
    Path(Vec<String>),
    Jq(Box<jaq_core::Filter<Data>>),
}

impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expr").field("place", &self.0.place).field("source", &self.0.source).finish()
    }
}

impl Expr {
    /// Compiles a jq program. `place` says where it stands (a file and what it is for) and opens every error.
    pub fn compile(source: &str, place: &str) -> Result<Self, ExprError> {
        Self::compile_with(&Definitions::default(), source, place)
    }

    /// Compiles a jq program that may use the definitions too.
    pub fn compile_with(definitions: &Definitions, source: &str, place: &str) -> Result<Self, ExprError> {
        let program = match compile::plain_path(source) {
            Some(path) => Program::Path(path),
            None => Program::Jq(Box::new(compile::compile(definitions, source, place)?)),
        };
        Ok(Self(Arc::new(Inner { place: place.to_owned(), source: source.to_owned(), program })))
    }

    /// The place given at compilation.
    pub fn place(&self) -> &str {
        &self.0.place
    }

    /// The text of the program.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// The first value that the program yields, `None` when it yields nothing.
    pub fn first(&self, input: &Value) -> Result<Option<Value>, ExprError> {
        Ok(self.evaluate(input, Some(1), Bounds::default())?.into_iter().next())
    }

    /// All values that the program yields.
    pub fn all(&self, input: &Value) -> Result<Vec<Value>, ExprError> {
        self.evaluate(input, None, Bounds::default())
    }

    /// Like [`Self::all`], but with bounds of one's own and at most `limit` values.
    pub fn evaluate(
        &self,
        input: &Value,
        limit: Option<usize>,
        bounds: Bounds,
    ) -> Result<Vec<Value>, ExprError> {
        if let Program::Path(path) = &self.0.program {
            return walk(input, path).map(|value| vec![value]).map_err(|message| self.failed(message));
        }
        if pool::on_pool_thread() {
            return self.evaluate_here(input, limit, bounds);
        }
        let (expr, input) = (self.clone(), input.clone());
        let answer = pool::run_and_wait(move || expr.evaluate_here(&input, limit, bounds));
        answer.unwrap_or_else(|| Err(self.failed("it broke down".to_owned())))
    }

    fn evaluate_here(
        &self,
        input: &Value,
        limit: Option<usize>,
        bounds: Bounds,
    ) -> Result<Vec<Value>, ExprError> {
        let Program::Jq(filter) = &self.0.program else {
            return self.evaluate(input, limit, bounds);
        };
        let input = value::to_jq(input);
        let _guard = bounds::start(bounds);
        let context = Ctx::<Data>::new(&filter.lut, Vars::new([]));
        let mut values = Vec::new();
        let results = filter.id.run((context, input));
        for result in results.take(limit.unwrap_or(usize::MAX)) {
            match result {
                Ok(value) => values.push(value::from_jq(&value).map_err(|message| self.failed(message))?),
                Err(exception) => return Err(self.explain(exception)),
            }
        }
        Ok(values)
    }

    fn explain(&self, exception: jaq_core::Exn<'_, Val>) -> ExprError {
        match exception.get_err() {
            Ok(error) => self.failed(value::without_values(&error)),
            Err(exception) => match exception.get_halt() {
                Ok(code) => ExprError::Stopped { place: self.0.place.clone(), what: bounds::explain(code) },
                Err(_) => self.failed("a break without its label".to_owned()),
            },
        }
    }

    fn failed(&self, message: String) -> ExprError {
        ExprError::Run { place: self.0.place.clone(), message }
    }
}

fn walk(input: &Value, path: &[String]) -> Result<Value, String> {
    let mut at = input;
    for name in path {
        match at {
            Value::Object(map) => match map.get(name) {
                Some(next) => at = next,
                None => return Ok(Value::Null),
            },
            Value::Null => return Ok(Value::Null),
            _ => return Err(format!("cannot take .{name} of a value that is not an object")),
        }
    }
    Ok(at.clone())
}

#[cfg(test)]
mod tests;
