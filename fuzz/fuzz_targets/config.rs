//! Feeds the reader of `rowtwin.yaml` with anything: it says what is wrong, or gives a configuration.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    match rowtwin::config::parse("rowtwin.yaml", text) {
        // what was read must be fit to be shown, without a secret's value
        Ok((file, _)) => drop(format!("{file:?}")),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});
