//! Bounds: steps, time and stack of one evaluation, counted by the native filter `!tick`.
//!
//! `!tick` passes its input through. [`rewrite`] puts it where a jq program can go round or down without end: in
//! front of every definition's body (recursion), behind every `.[]`, `..` and `range` (generators). It stops the
//! program by jaq's `halt`, which `try` cannot catch.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jaq_core::box_iter::box_once;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};
use jaq_core::{Exn, Native};

use super::{Data, pool};

/// The name of the counting filter; no manifest can spell it.
pub(super) const TICK: &str = "!tick";

/// What one evaluation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub steps: u64,
    pub time: Duration,
    /// Bytes of stack.
    pub stack: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { steps: 20_000_000, time: Duration::from_secs(10), stack: pool::STACK - 8 * 1024 * 1024 }
    }
}

#[derive(Clone, Copy)]
struct Left {
    steps: u64,
    until: Option<Instant>,
    stack_start: usize,
    stack: usize,
}

const NOTHING: Left = Left { steps: 0, until: None, stack_start: 0, stack: 0 };

thread_local! {
    static LEFT: Cell<Left> = const { Cell::new(NOTHING) };
}

/// Puts the bounds of an enclosing evaluation back when an inner one ends.
pub(super) struct Guard(Left);

impl Drop for Guard {
    fn drop(&mut self) {
        LEFT.set(self.0);
    }
}

pub(super) fn start(bounds: Bounds) -> Guard {
    LEFT.replace(Left {
        steps: bounds.steps,
        until: Instant::now().checked_add(bounds.time),
        stack_start: stack_address(),
        stack: bounds.stack,
    })
    .into()
}

impl From<Left> for Guard {
    fn from(before: Left) -> Self {
        Self(before)
    }
}

#[inline(never)]
fn stack_address() -> usize {
    let here = 0u8;
    std::ptr::from_ref(std::hint::black_box(&here)) as usize
}

const OUT_OF_STEPS: i32 = 101;
const OUT_OF_TIME: i32 = 102;
const OUT_OF_STACK: i32 = 103;

/// The words for a stop.
pub(super) fn explain(code: i32) -> &'static str {
    match code {
        OUT_OF_STEPS => "it took too many steps",
        OUT_OF_TIME => "it took too long",
        OUT_OF_STACK => "it went too deep",
        _ => "it called halt",
    }
}

fn tick<'a, V>() -> Result<(), Exn<'a, V>> {
    let mut left = LEFT.get();
    if left.steps == 0 {
        return Err(Exn::halt(OUT_OF_STEPS));
    }
    left.steps -= 1;
    LEFT.set(left);
    if left.stack_start.abs_diff(stack_address()) > left.stack {
        return Err(Exn::halt(OUT_OF_STACK));
    }
    // The clock is read at the first step too, but not at each: it costs more than a step.
    if left.steps.is_multiple_of(256) && left.until.is_some_and(|until| Instant::now() > until) {
        return Err(Exn::halt(OUT_OF_TIME));
    }
    Ok(())
}

/// The native filter itself.
pub(super) fn native() -> jaq_core::native::Fun<Data> {
    let native = Native::<Data>::new(|cv| box_once(tick().map(|()| cv.1)))
        .with_paths(|cv| box_once(tick().map(|()| cv.1)))
        .with_update(|cv, update| match tick() {
            Ok(()) => update(cv.1),
            Err(stop) => box_once(Err(stop)),
        });
    (TICK, Box::new([]), native)
}

fn call_tick<'s>() -> Box<Term<&'s str>> {
    Box::new(Term::Call(TICK, Vec::new()))
}

fn ticked_after(term: Term<&str>) -> Term<&str> {
    Term::BinOp(Box::new(term), BinaryOp::Pipe(None), call_tick())
}

/// A definition whose body, and everything in it, ticks.
pub(super) fn rewrite_definition(def: Def<&str>) -> Def<&str> {
    let body = Term::BinOp(call_tick(), BinaryOp::Pipe(None), Box::new(rewrite(def.body)));
    Def { name: def.name, args: def.args, body }
}

#[expect(clippy::boxed_local, reason = "the parts of a term come boxed and go boxed")]
fn boxed(term: Box<Term<&str>>) -> Box<Term<&str>> {
    Box::new(rewrite(*term))
}

fn rewrite_all(terms: Vec<Term<&str>>) -> Vec<Term<&str>> {
    terms.into_iter().map(rewrite).collect()
}

fn rewrite_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(inner) => Pattern::Arr(inner.into_iter().map(rewrite_pattern).collect()),
        Pattern::Obj(inner) => Pattern::Obj(
            inner.into_iter().map(|(key, pattern)| (rewrite(key), rewrite_pattern(pattern))).collect(),
        ),
    }
}

/// The same program with a tick wherever it can go on without end.
pub(super) fn rewrite(term: Term<&str>) -> Term<&str> {
    match term {
        Term::Id | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
        Term::Recurse => ticked_after(Term::Recurse),
        Term::Str(format, parts) => {
            let parts = parts.into_iter().map(|part| match part {
                StrPart::Term(term) => StrPart::Term(rewrite(term)),
                other => other,
            });
            Term::Str(format, parts.collect())
        }
        Term::Arr(inner) => Term::Arr(inner.map(boxed)),
        Term::Obj(entries) => {
            Term::Obj(entries.into_iter().map(|(key, value)| (rewrite(key), value.map(rewrite))).collect())
        }
        Term::Neg(inner) => Term::Neg(boxed(inner)),
        Term::BinOp(left, BinaryOp::Pipe(Some(pattern)), right) => {
            Term::BinOp(boxed(left), BinaryOp::Pipe(Some(rewrite_pattern(pattern))), boxed(right))
        }
        Term::BinOp(left, operator, right) => Term::BinOp(boxed(left), operator, boxed(right)),
        Term::Label(name, inner) => Term::Label(name, boxed(inner)),
        Term::Fold(kind, source, pattern, arguments) => {
            Term::Fold(kind, boxed(source), rewrite_pattern(pattern), rewrite_all(arguments))
        }
        Term::TryCatch(inner, catch) => Term::TryCatch(boxed(inner), catch.map(boxed)),
        Term::IfThenElse(branches, other) => {
            let branches = branches.into_iter().map(|(test, then)| (rewrite(test), rewrite(then)));
            Term::IfThenElse(branches.collect(), other.map(boxed))
        }
        Term::Def(definitions, inner) => {
            Term::Def(definitions.into_iter().map(rewrite_definition).collect(), boxed(inner))
        }
        Term::Call("range", arguments) => ticked_after(Term::Call("range", rewrite_all(arguments))),
        Term::Call(name, arguments) => Term::Call(name, rewrite_all(arguments)),
        Term::Path(from, Path(parts)) => {
            let iterates = parts.iter().any(|(part, _)| matches!(part, Part::Range(None, None)));
            let parts = parts.into_iter().map(|(part, optional)| (rewrite_part(part), optional));
            let path = Term::Path(boxed(from), Path(parts.collect()));
            if iterates { ticked_after(path) } else { path }
        }
    }
}

fn rewrite_part(part: Part<Term<&str>>) -> Part<Term<&str>> {
    match part {
        Part::Index(index) => Part::Index(rewrite(index)),
        Part::Range(from, to) => Part::Range(from.map(rewrite), to.map(rewrite)),
    }
}
