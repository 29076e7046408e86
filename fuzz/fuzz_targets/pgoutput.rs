//! Feeds the decoder of the replication stream with anything: `cargo fuzz run --sanitizer none pgoutput`.
//!
//! The input is a series of frames, each after its length in two bytes, because a frame may change how the next ones
//! are read.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowtwin::capture::pgoutput::{Decoder, Message};

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::new();
    let mut rest = input;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (frame, next) = after.split_at(length);
        rest = next;
        match decoder.decode(frame) {
            Ok(Message::Insert { new, .. }) => assert_eq!(new.values().count(), new.len()),
            Ok(Message::Update { old, new, .. }) => {
                assert_eq!(new.values().count(), new.len());
                if let Some(old) = old {
                    assert_eq!(old.tuple().values().count(), old.tuple().len());
                }
            }
            Ok(Message::Delete { old, .. }) => assert_eq!(old.tuple().values().count(), old.tuple().len()),
            Ok(Message::Relation { relation, .. }) => {
                assert_eq!(relation.columns.iter().count(), relation.columns.len());
            }
            Ok(_) => {}
            Err(error) => assert!(error.offset <= frame.len()),
        }
    }
});
