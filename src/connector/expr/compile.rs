//! From the text of an expression to a program, with the definitions that it needs and no others.

use std::collections::HashSet;
use std::sync::OnceLock;

use jaq_core::load::lex::{Lexer, StrPart};
use jaq_core::load::parse::{BinaryOp, Def, Parser, Pattern, Term};
use jaq_core::load::{Arena, File, Loader, span};
use jaq_core::path::{Part, Path};

use super::{Data, ExprError, bounds, filters};

/// The name under which the program itself is defined.
const MAIN: &str = "main_program";

/// Definitions and filters that reach out of the program: environment, clock, standard streams, exit.
const WITHHELD: [&str; 16] = [
    "env",
    "now",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "halt",
    "halt_error",
    "input",
    "inputs",
    "localtime",
    "strflocaltime",
    "input_filename",
    "input_line_number",
    "get_search_list",
    "repl",
];

/// What jq defines and jaq does not.
const ADDED: &str = "def IN(s): . as $x | any(s; . == $x); def IN(s; t): any(s; IN(t));";

/// jq definitions that the expressions of one manifest share.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    text: String,
}

impl Definitions {
    /// Checks that the text is a list of definitions.
    pub fn new(text: &str, place: &str) -> Result<Self, ExprError> {
        parse(text, place, |parser| parser.defs())?;
        Ok(Self { text: text.to_owned() })
    }

    fn parse(&self) -> Vec<Def<&str>> {
        parse(&self.text, "", |parser| parser.defs()).unwrap_or_default()
    }
}

/// `.a.b.c` as its names.
pub(super) fn plain_path(source: &str) -> Option<Vec<String>> {
    let names: Vec<String> = source.trim().strip_prefix('.')?.split('.').map(str::to_owned).collect();
    let plain = |name: &String| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
    };
    names.iter().all(plain).then_some(names)
}

fn position(source: &str, part: &str) -> (usize, usize) {
    let start = source.as_ptr() as usize;
    let at = part.as_ptr() as usize;
    if at < start || at > start + source.len() {
        return (1, 1);
    }
    let before = source.get(..span(source, part).start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn refused(place: &str, source: &str, part: &str, message: String) -> ExprError {
    let (line, column) = position(source, part);
    ExprError::Compile { place: place.to_owned(), line, column, message }
}

fn parse<'s, T: Default>(
    source: &'s str,
    place: &str,
    what: impl for<'t> FnOnce(&mut Parser<'s, 't>) -> jaq_core::load::parse::Result<'s, 't, T>,
) -> Result<T, ExprError> {
    let tokens = Lexer::new(source).lex().map_err(|errors| match errors.into_iter().next() {
        Some((expected, found)) => refused(place, source, found, format!("expected a {}", expected.as_str())),
        None => refused(place, source, source, "cannot be read".to_owned()),
    })?;
    Parser::new(&tokens).parse(what).map_err(|errors| match errors.into_iter().next() {
        Some((expected, found)) => {
            let (part, found) = match found {
                Some(token) => (token.0, format!("`{}`", first_line(token.0))),
                None => (source.get(source.len()..).unwrap_or_default(), "the end".to_owned()),
            };
            refused(place, source, part, format!("expected {}, found {found}", expected.as_str()))
        }
        None => refused(place, source, source, "cannot be read".to_owned()),
    })
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(30).collect()
}

fn standard() -> &'static [Def<&'static str>] {
    static STANDARD: OnceLock<Vec<Def<&'static str>>> = OnceLock::new();
    STANDARD.get_or_init(|| {
        let added = parse(ADDED, "", |parser| parser.defs()).unwrap_or_default();
        let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(added);
        all.filter(|def| !WITHHELD.contains(&def.name)).map(bounds::rewrite_definition).collect()
    })
}

/// Compiles `source`; only what it calls, directly or not, is compiled with it.
pub(super) fn compile(
    definitions: &Definitions,
    source: &str,
    place: &str,
) -> Result<jaq_core::Filter<Data>, ExprError> {
    let main = parse(source, place, |parser| parser.term())?;
    let main = bounds::rewrite_definition(Def { name: MAIN, args: Vec::new(), body: main });
    let shared: Vec<Def<&str>> = definitions.parse().into_iter().map(bounds::rewrite_definition).collect();

    let available: Vec<&Def<&str>> = standard().iter().chain(shared.iter()).collect();
    let mut called = HashSet::new();
    collect_calls(&main.body, &mut called);
    let mut wanted = vec![false; available.len()];
    // Later definitions call earlier ones, so one pass from the end finds all that is needed.
    for (def, wanted) in available.iter().zip(wanted.iter_mut()).rev() {
        if called.contains(def.name) {
            *wanted = true;
            collect_calls(&def.body, &mut called);
        }
    }
    let prelude = available.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(def, _)| (*def).clone());
    let arena = Arena::default();
    // The loader reads only text, so what it loads is a call of the program, which stands among the definitions.
    let program = File { code: MAIN, path: () };
    let loader = Loader::new(prelude.chain([main]));
    let modules = loader
        .load(&arena, program)
        .map_err(|_| refused(place, source, source, "cannot be loaded".to_owned()))?;
    jaq_core::Compiler::default().with_funs(filters::all()).compile(modules).map_err(|errors| {
        let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
        match first {
            Some((name, undefined)) => {
                refused(place, source, name, format!("there is no {} `{name}` here", kind(&undefined)))
            }
            None => refused(place, source, source, "cannot be compiled".to_owned()),
        }
    })
}

fn kind(undefined: &jaq_core::compile::Undefined) -> String {
    match undefined {
        jaq_core::compile::Undefined::Filter(0) => "filter".to_owned(),
        jaq_core::compile::Undefined::Filter(arity) => format!("filter of {arity} arguments"),
        other => other.as_str().to_owned(),
    }
}

/// Whether a native filter may be called by programs.
pub(super) fn is_offered(name: &str) -> bool {
    !WITHHELD.contains(&name)
}

fn collect_pattern<'s>(pattern: &Pattern<&'s str>, calls: &mut HashSet<&'s str>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(inner) => inner.iter().for_each(|pattern| collect_pattern(pattern, calls)),
        Pattern::Obj(inner) => inner.iter().for_each(|(key, pattern)| {
            collect_calls(key, calls);
            collect_pattern(pattern, calls);
        }),
    }
}

fn collect_calls<'s>(term: &Term<&'s str>, calls: &mut HashSet<&'s str>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {
            // `..` stands for `recurse`, and negation and formats for filters of theirs.
        }
        Term::Str(format, parts) => {
            calls.extend(format.iter());
            for part in parts {
                if let StrPart::Term(term) = part {
                    collect_calls(term, calls);
                }
            }
        }
        Term::Arr(inner) => inner.iter().for_each(|inner| collect_calls(inner, calls)),
        Term::Obj(entries) => {
            for (key, value) in entries {
                collect_calls(key, calls);
                value.iter().for_each(|value| collect_calls(value, calls));
            }
        }
        Term::Neg(inner) | Term::Label(_, inner) => collect_calls(inner, calls),
        Term::BinOp(left, operator, right) => {
            collect_calls(left, calls);
            collect_calls(right, calls);
            match operator {
                BinaryOp::Pipe(Some(pattern)) => collect_pattern(pattern, calls),
                BinaryOp::Or | BinaryOp::And => calls.extend(["true", "false"]),
                _ => {}
            }
        }
        Term::Fold(_, source, pattern, arguments) => {
            collect_calls(source, calls);
            collect_pattern(pattern, calls);
            arguments.iter().for_each(|argument| collect_calls(argument, calls));
        }
        Term::TryCatch(inner, catch) => {
            collect_calls(inner, calls);
            catch.iter().for_each(|catch| collect_calls(catch, calls));
        }
        Term::IfThenElse(branches, other) => {
            for (test, then) in branches {
                collect_calls(test, calls);
                collect_calls(then, calls);
            }
            other.iter().for_each(|other| collect_calls(other, calls));
        }
        Term::Def(definitions, inner) => {
            definitions.iter().for_each(|def| collect_calls(&def.body, calls));
            collect_calls(inner, calls);
        }
        Term::Call(name, arguments) => {
            calls.insert(name);
            arguments.iter().for_each(|argument| collect_calls(argument, calls));
        }
        Term::Path(from, Path(parts)) => {
            collect_calls(from, calls);
            for (part, _) in parts {
                match part {
                    Part::Index(index) => collect_calls(index, calls),
                    Part::Range(from, to) => {
                        from.iter().chain(to).for_each(|bound| collect_calls(bound, calls));
                    }
                }
            }
        }
    }
}
