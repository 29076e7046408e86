//! Faults: what a simulator is told to do wrong, and how often.
//!
//! Written `NAME[:PARAM][@OPERATION][xCOUNT]`; the count is 1 unless given, `x*` is for ever. The operation is one
//! of the API's own (`update`, `BatchSave`) or a role that all share (`create`, `update`, `query`, `get`,
//! `delete`, `sign-in`); letter case does not matter. Without one, the next call of any kind is struck.

use std::{fmt, str::FromStr, time::Duration};

use super::SimulatorError;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// `lost-answer`: the change is made, then the connection is cut without a byte of answer.
    LostAnswer,
    /// `late-commit:2s`: the connection is cut, and the change is made only that much later (by the simulator's clock).
    LateCommit(Duration),
    /// `status:503`: this HTTP status with a plain text, nothing is done.
    Status(u16),
    /// `throttled` or `throttled:20`: the API's own answer to too many calls, nothing is done. The parameter is
    /// sent as `Retry-After` in seconds; without it no such header is sent, as the real systems do.
    Throttled(Option<u64>),
    /// `slow:500ms`: the call is looked at only after this long.
    Slow(Duration),
    /// `token-expired`: every token and session ends. Kingdee's session ends in the middle of a batch: the first half is done.
    TokenExpired,
    /// `partial-batch`: every second item of a batch is refused (the second, the fourth, …), the others are done. Where a batch
    /// is all or nothing (Odoo), all of it is refused.
    PartialBatch,
    /// `malformed`, `malformed:html|truncated|wrong-type|huge`: the work is done and the answer is mangled.
    Malformed(Mangling),
    /// `duplicate-page`: a list answers with the page that was asked for last. Waits until there is one.
    DuplicatePage,
    /// `down`: the connection is cut before anything is done.
    Down,
    /// `error:50009`: this error of the API (Fxiaoke `errorCode`, Kingdee `MsgCode`, the HTTP status of the others), nothing
    /// is done.
    Error(i64),
}

/// How an answer is mangled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mangling {
    /// Half of the answer's bytes.
    Truncated,
    /// A proxy's HTML page, with status 200.
    Html,
    /// Valid JSON of another type: a bare text.
    WrongType,
    /// Ten megabytes of valid JSON.
    Huge,
}

/// A trouble, the operation that it strikes, and how many times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub trouble: Trouble,
    /// Which operation or role is struck; any but signing in when absent (a dead server strikes that too).
    pub operation: Option<String>,
    /// How many more calls are struck; `None` is for ever.
    pub times: Option<u32>,
}

impl Fault {
    /// This trouble, once, for any call.
    pub fn once(trouble: Trouble) -> Fault {
        Fault { trouble, operation: None, times: Some(1) }
    }

    /// The same, only for this operation or role.
    pub fn at(mut self, operation: &str) -> Fault {
        self.operation = Some(operation.to_owned());
        self
    }

    /// The same, for ever.
    pub fn always(mut self) -> Fault {
        self.times = None;
        self
    }
}

impl FromStr for Fault {
    type Err = SimulatorError;

    fn from_str(text: &str) -> Result<Fault, SimulatorError> {
        let refuse = |why: &str| SimulatorError::Fault { text: text.to_owned(), why: why.to_owned() };
        let (rest, times) = split_count(text.trim()).ok_or_else(|| refuse("the count is out of range"))?;
        let (rest, operation) = match rest.split_once('@') {
            Some((_, "")) => return Err(refuse("no operation after the @")),
            Some((rest, operation)) => (rest, Some(operation.to_owned())),
            None => (rest, None),
        };
        let (name, param) = match rest.split_once(':') {
            Some((name, param)) => (name, Some(param)),
            None => (rest, None),
        };
        let trouble = trouble(name, param).map_err(|why| refuse(&why))?;
        Ok(Fault { trouble, operation, times })
    }
}

/// Splits a trailing `x3` or `x*` off; an `x` inside a word (`ExecuteBillQuery`) is left alone.
fn split_count(text: &str) -> Option<(&str, Option<u32>)> {
    match text.rsplit_once('x') {
        Some((rest, "*")) => Some((rest, None)),
        Some((rest, count)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((rest, Some(count.parse().ok()?)))
        }
        _ => Some((text, Some(1))),
    }
}

fn trouble(name: &str, param: Option<&str>) -> Result<Trouble, String> {
    let none = |trouble: Trouble| match param {
        None => Ok(trouble),
        Some(_) => Err(format!("{name} takes no parameter")),
    };
    let needed = || param.ok_or_else(|| format!("{name} needs a parameter, as in {name}:…"));
    match name {
        "lost-answer" => none(Trouble::LostAnswer),
        "late-commit" => Ok(Trouble::LateCommit(duration(needed()?)?)),
        "status" => match needed()?.parse() {
            Ok(status @ 200..=599) => Ok(Trouble::Status(status)),
            _ => Err("the status must be a number from 200 to 599".to_owned()),
        },
        "throttled" => match param.map(|seconds| seconds.trim_end_matches('s').parse()) {
            None => Ok(Trouble::Throttled(None)),
            Some(Ok(seconds)) => Ok(Trouble::Throttled(Some(seconds))),
            Some(Err(_)) => Err("the parameter must be whole seconds".to_owned()),
        },
        "slow" => Ok(Trouble::Slow(duration(needed()?)?)),
        "token-expired" => none(Trouble::TokenExpired),
        "partial-batch" => none(Trouble::PartialBatch),
        "malformed" => match param {
            None | Some("truncated") => Ok(Trouble::Malformed(Mangling::Truncated)),
            Some("html") => Ok(Trouble::Malformed(Mangling::Html)),
            Some("wrong-type") => Ok(Trouble::Malformed(Mangling::WrongType)),
            Some("huge") => Ok(Trouble::Malformed(Mangling::Huge)),
            Some(_) => Err("malformed is one of html, truncated, wrong-type, huge".to_owned()),
        },
        "duplicate-page" => none(Trouble::DuplicatePage),
        "down" => none(Trouble::Down),
        "error" => {
            needed()?.parse().map(Trouble::Error).map_err(|_| "the error must be the API's number".to_owned())
        }
        _ => Err("the known ones are lost-answer, late-commit, status, throttled, slow, token-expired, \
                  partial-batch, malformed, duplicate-page, down, error"
            .to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = match text.find(|letter: char| !letter.is_ascii_digit()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        _ => return Err("a time is written 500ms, 2s or 1m".to_owned()),
    };
    match digits.parse::<u64>().ok().and_then(|count| count.checked_mul(factor)) {
        Some(millis) if millis <= 86_400_000 => Ok(Duration::from_millis(millis)),
        _ => Err("a time is written 500ms, 2s or 1m, and is at most a day".to_owned()),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.trouble {
            Trouble::LostAnswer => f.write_str("lost-answer")?,
            Trouble::LateCommit(late) => write!(f, "late-commit:{}ms", late.as_millis())?,
            Trouble::Status(status) => write!(f, "status:{status}")?,
            Trouble::Throttled(None) => f.write_str("throttled")?,
            Trouble::Throttled(Some(seconds)) => write!(f, "throttled:{seconds}")?,
            Trouble::Slow(slow) => write!(f, "slow:{}ms", slow.as_millis())?,
            Trouble::TokenExpired => f.write_str("token-expired")?,
            Trouble::PartialBatch => f.write_str("partial-batch")?,
            Trouble::Malformed(Mangling::Truncated) => f.write_str("malformed:truncated")?,
            Trouble::Malformed(Mangling::Html) => f.write_str("malformed:html")?,
            Trouble::Malformed(Mangling::WrongType) => f.write_str("malformed:wrong-type")?,
            Trouble::Malformed(Mangling::Huge) => f.write_str("malformed:huge")?,
            Trouble::DuplicatePage => f.write_str("duplicate-page")?,
            Trouble::Down => f.write_str("down")?,
            Trouble::Error(code) => write!(f, "error:{code}")?,
        }
        if let Some(operation) = &self.operation {
            write!(f, "@{operation}")?;
        }
        match self.times {
            None => f.write_str("x*"),
            Some(times) => write!(f, "x{times}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_back_as_it_was_written() {
        for text in [
            "lost-answer@createx1",
            "status:503x5",
            "throttled:20x1",
            "throttledx*",
            "slow:500msx1",
            "token-expired@updatex1",
            "partial-batch@BatchSavex1",
            "malformed:hugex1",
            "duplicate-page@ExecuteBillQueryx*",
            "late-commit:2000ms@createx2",
            "downx3",
            "error:50009@updatex1",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_count_is_one_unless_given_and_an_x_inside_a_word_is_not_a_count() {
        let fault: Fault = "duplicate-page@ExecuteBillQuery".parse().unwrap();
        assert_eq!(fault, Fault::once(Trouble::DuplicatePage).at("ExecuteBillQuery"));
        let late: Fault = "late-commit:2s@create".parse().unwrap();
        assert_eq!(late.trouble, Trouble::LateCommit(Duration::from_secs(2)));
    }

    #[test]
    fn bad_faults_are_refused_with_the_cure() {
        for text in
            ["", "nonsense", "status:99", "status", "slow:fast", "lost-answer:1", "down@", "downx99999999999"]
        {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains("NAME[:PARAM][@OPERATION][xCOUNT]"), "{error}");
        }
    }
}
