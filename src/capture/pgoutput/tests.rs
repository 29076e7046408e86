//! The decoder against real bytes, and against bytes that are nothing.

use proptest::prelude::*;

use super::*;

/// Recorded from Postgres with `pg_logical_slot_peek_binary_changes`; `tests/pgoutput_recording.rs` makes it anew.
fn recording(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| hex::decode(line.trim()).unwrap()).collect()
}

fn version_1() -> Vec<Vec<u8>> {
    recording(include_str!("../../../tests/recordings/pgoutput_v1.hex"))
}

fn version_2() -> Vec<Vec<u8>> {
    recording(include_str!("../../../tests/recordings/pgoutput_v2.hex"))
}

/// One word per message, as a test can state it.
fn word(message: &Message<'_>) -> &'static str {
    match message {
        Message::Begin { .. } => "begin",
        Message::Commit { .. } => "commit",
        Message::Origin { .. } => "origin",
        Message::Relation { .. } => "relation",
        Message::Type { .. } => "type",
        Message::Insert { .. } => "insert",
        Message::Update { .. } => "update",
        Message::Delete { .. } => "delete",
        Message::Truncate { .. } => "truncate",
        Message::Logical { .. } => "message",
        Message::StreamStart { .. } => "start",
        Message::StreamStop => "stop",
        Message::StreamCommit { .. } => "stream commit",
        Message::StreamAbort { .. } => "abort",
    }
}

fn decode_all(frames: &[Vec<u8>]) -> Vec<Message<'_>> {
    let mut decoder = Decoder::new();
    frames.iter().map(|frame| decoder.decode(frame).unwrap()).collect()
}

fn texts<'a>(tuple: Tuple<'a>) -> Vec<Option<&'a str>> {
    let text = |value| match value {
        TupleValue::Text(bytes) => Some(std::str::from_utf8(bytes).unwrap()),
        _ => None,
    };
    tuple.values().map(text).collect()
}

#[test]
fn a_recorded_transaction_is_read_as_it_was_written() {
    let frames = version_1();
    let messages = decode_all(&frames);
    let words: Vec<&str> = messages.iter().map(word).collect();
    let expected = [
        "message", "begin", "origin", "type", "relation", "insert", "update", "update", "update", "delete",
        "relation", "insert", "update", "delete", "type", "relation", "relation", "truncate", "message",
        "commit",
    ];
    assert_eq!(words, expected);

    let (mut tuples, mut olds) = (Vec::new(), Vec::new());
    for message in &messages {
        match message {
            Message::Relation { relation, xid } => {
                assert_eq!(*xid, None);
                assert_eq!(relation.schema, "public");
                let columns: Vec<(&str, bool)> =
                    relation.columns.iter().map(|column| (column.name, column.in_key)).collect();
                match relation.name {
                    "customer" => {
                        assert_eq!(relation.identity, ReplicaIdentity::Default);
                        assert_eq!(
                            columns,
                            [("id", true), ("name", false), ("mood", false), ("note", false)]
                        );
                    }
                    other => {
                        assert_eq!((other, relation.identity), ("whole", ReplicaIdentity::Full));
                        assert_eq!(columns, [("a", true), ("b", true)]);
                    }
                }
            }
            Message::Insert { new, .. } => tuples.push(*new),
            Message::Update { old, new, .. } => {
                olds.push(old.map(|old| (matches!(old, OldTuple::Full(_)), texts(old.tuple()))));
                tuples.push(*new);
            }
            Message::Delete { old, .. } => {
                olds.push(Some((matches!(old, OldTuple::Full(_)), texts(old.tuple()))));
            }
            Message::Origin { name, .. } => assert_eq!(*name, "elsewhere"),
            Message::Type { name, .. } => assert_eq!(*name, "mood"),
            Message::Truncate { relations, cascade, restart_identity, .. } => {
                assert_eq!(relations.iter().count(), 2);
                assert!(*cascade && *restart_identity);
            }
            _ => {}
        }
    }
    assert_eq!(texts(tuples[0])[..3], [Some("1"), Some("李雷"), Some("good")]);
    assert_eq!(
        tuples[0].get(3).map(|v| matches!(v, TupleValue::Text(note) if note.len() == 8000)),
        Some(true)
    );
    assert_eq!(tuples[1].get(3), Some(TupleValue::UnchangedToast));
    assert_eq!(tuples[2].get(2), Some(TupleValue::Null));
    assert_eq!(olds[0], None);
    assert_eq!(olds[2], Some((false, vec![Some("1"), None, None, None])), "a changed key sends the old one");
    assert_eq!(olds[3], Some((false, vec![Some("2"), None, None, None])));
    assert_eq!(olds[4], Some((true, vec![Some("1"), Some("x")])));
    assert_eq!(olds[5], Some((true, vec![Some("1"), Some("y")])));

    let logical: Vec<(bool, &str, &[u8])> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Logical { transactional, prefix, content, .. } => {
                Some((*transactional, *prefix, *content))
            }
            _ => None,
        })
        .collect();
    assert_eq!(logical, [(false, "rowtwin", b"beside".as_slice()), (true, "rowtwin", b"within".as_slice())]);

    let (Message::Begin { final_lsn, commit_time_us, .. }, Message::Commit { commit_lsn, end_lsn, .. }) =
        (messages[1], messages[19])
    else {
        panic!("begin and commit are where they were")
    };
    assert_eq!(final_lsn, commit_lsn);
    assert!(end_lsn > commit_lsn);
    // 2025 to 2035: an epoch mistaken by 30 years would show.
    assert!((1_735_689_600_000_000..2_051_222_400_000_000).contains(&commit_time_us), "{commit_time_us}");
}

#[test]
fn a_streamed_transaction_names_itself_in_every_change() {
    let frames = version_2();
    let messages = decode_all(&frames);
    let words: Vec<&str> = messages.iter().map(word).collect();
    assert_eq!(words.first(), Some(&"start"));
    for needed in ["stop", "relation", "insert", "stream commit", "abort"] {
        assert!(words.contains(&needed), "{needed} is not in the recording");
    }
    let mut current = None;
    for message in &messages {
        match message {
            Message::StreamStart { xid, .. } => current = Some(*xid),
            Message::StreamStop => current = None,
            Message::Insert { xid, .. } | Message::Relation { xid, .. } => {
                assert!(xid.is_some() && current.is_some());
            }
            _ => {}
        }
    }
}

#[test]
fn errors_name_the_message_and_the_place() {
    let mut decoder = Decoder::new();
    let cut = decoder.decode(b"B\0\0").unwrap_err();
    assert_eq!((cut.message, cut.offset), ("begin", 1));
    let unknown = decoder.decode(b"?").unwrap_err();
    assert_eq!((unknown.message, unknown.offset), ("unnamed", 0));
    let long = decoder.decode(b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xffab").unwrap_err();
    assert_eq!((long.message, long.offset, long.problem), ("insert", 13, "a length reaches beyond the end"));
    let more = decoder.decode(b"Eab").unwrap_err();
    assert_eq!((more.message, more.offset), ("stream stop", 1));
    assert!(decoder.decode(b"").is_err());
}

/// Reads everything that a message offers.
fn drain(message: &Message<'_>) -> usize {
    match message {
        Message::Insert { new, .. } => new.values().count(),
        Message::Update { old, new, .. } => {
            new.values().count() + old.map_or(0, |old| old.tuple().values().count())
        }
        Message::Delete { old, .. } => old.tuple().values().count(),
        Message::Relation { relation, .. } => relation.columns.iter().count(),
        Message::Truncate { relations, .. } => relations.iter().count(),
        _ => 0,
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_message_or_an_error(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8)) {
        let mut decoder = Decoder::new();
        for frame in &frames {
            if let Ok(message) = decoder.decode(frame) {
                drain(&message);
            }
        }
    }

    #[test]
    fn changed_recordings_give_a_message_or_an_error(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        second in any::<bool>(),
    ) {
        let mut decoder = Decoder::new();
        for frame in if second { version_2() } else { version_1() }.iter_mut().take(60) {
            for (place, byte) in &changes {
                let place = place.index(frame.len());
                frame[place] = *byte;
            }
            frame.truncate(cut.index(frame.len()) + 1);
            match decoder.decode(frame) {
                Ok(message) => { drain(&message); }
                Err(error) => prop_assert!(error.offset <= frame.len()),
            }
        }
    }

    #[test]
    fn a_row_has_as_many_values_as_it_says(values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..9)), 0..20)) {
        let mut frame = b"I\0\0\0\x07N".to_vec();
        frame.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
        for value in &values {
            match value {
                None => frame.push(b'n'),
                Some(text) => {
                    frame.push(b't');
                    frame.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
                    frame.extend(text);
                }
            }
        }
        let Message::Insert { new, relation: 7, xid: None } = Decoder::new().decode(&frame).unwrap() else { panic!() };
        let read: Vec<Option<Vec<u8>>> = new.values().map(|value| match value {
            TupleValue::Text(text) => Some(text.to_vec()),
            _ => None,
        }).collect();
        prop_assert_eq!(read, values);
    }
}
