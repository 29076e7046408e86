//! Feeds the compiler of connectors with anything: it says what is wrong, or gives a connector that can be asked.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use rowtwin::connector::{Connector, Settings};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    match Connector::compile(text, "fuzzed.yaml") {
        Ok(connector) => {
            let _ = connector.limits("fuzzed", &Settings::default());
            let _ = connector.http_options();
            for object in connector.objects() {
                assert!(!object.is_empty() || text.contains("\"\""), "an object has a name");
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    Corpus::Keep
});
