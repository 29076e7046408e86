//! Feeds everything that reads a text from the command line, a configuration or a header with anything. The first byte
//! says which one.

#![no_main]

use std::str::FromStr;

use libfuzzer_sys::{Corpus, fuzz_target};
use rowtwin::config::duration::{parse_allowance, parse_duration, parse_share, parse_size};
use rowtwin::connector::expr::csv::from_csv;
use rowtwin::connector::expr::xml::{from_xml, to_xml};
use rowtwin::model::key::{decode_key, encode_key};
use rowtwin::model::lsn::Lsn;
use rowtwin::postgres::connect_options;
use rowtwin::remote::retry_after::{parse_http_date, parse_retry_after};
use rowtwin::simulator::{Fault, Kind};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((which, rest)) = input.split_first() else { return Corpus::Reject };
    let Ok(text) = std::str::from_utf8(rest) else { return Corpus::Reject };
    match which % 13 {
        0 => drop(parse_duration(text)),
        1 => {
            if let Ok(share) = parse_share(text) {
                assert!((0.0..1.0).contains(&share), "{share}");
            }
        }
        2 => {
            if let Ok(size) = parse_size(text) {
                assert!(size > 0, "{size}");
            }
        }
        3 => {
            drop(parse_allowance(&serde_json::Value::from(text)));
            if let Ok(value) = serde_json::from_str(text) {
                drop(parse_allowance(&value));
            }
        }
        4 => {
            if let Ok(lsn) = Lsn::from_str(text) {
                assert_eq!(Lsn::from_str(&lsn.to_string()), Ok(lsn), "an LSN survives the round trip");
            }
        }
        5 => {
            if let Ok(fault) = Fault::from_str(text) {
                assert_eq!(Fault::from_str(&fault.to_string()).ok(), Some(fault), "a fault survives the round trip");
            }
        }
        6 => {
            if let Ok(kind) = Kind::from_str(text) {
                assert_eq!(kind.to_string(), text);
            }
        }
        7 => {
            for columns in 1..4 {
                if let Some(parts) = decode_key(text, columns) {
                    assert_eq!(decode_key(&encode_key(&parts), columns), Some(parts));
                }
            }
        }
        8 => {
            if let Err(error) = connect_options(text) {
                assert!(!error.to_string().is_empty());
            }
        }
        9 => drop(parse_retry_after(text, 1_767_268_800_000)),
        10 => drop(parse_http_date(text)),
        11 => {
            if let Ok(document) = from_xml(text) {
                if let Ok(written) = to_xml(&document) {
                    assert_eq!(from_xml(&written), Ok(document), "a document survives the round trip");
                }
            }
        }
        _ => {
            if let Ok(table) = from_csv(text) {
                assert!(table.is_array(), "a table is a list of rows");
            }
        }
    }
    Corpus::Keep
});
