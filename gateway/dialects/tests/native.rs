//! The native dialect, held against fixtures in files and against whatever bytes may come.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use jiff::tz::TimeZone;
use proptest::prelude::*;
use rollcall_dialects::{Decoded, DialectError, native};
use rollcall_domain::ids::{SessionId, StudentId};
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::ports::ScanResult;
use rollcall_domain::scan::{Direction, Method, Outcome, Unmatched};

fn dhaka() -> TimeZone {
    TimeZone::get("Asia/Dhaka").unwrap()
}

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

fn fault(payload: &str) -> String {
    let rejected = native::scan(payload.as_bytes(), &dhaka()).unwrap_err();
    format!("{:?} {}", rejected.id, rejected.error)
}

#[test]
fn the_full_form_is_read_with_its_own_offset() {
    let decoded = native::scan(include_bytes!("fixtures/native/full.json"), &TimeZone::UTC).unwrap();
    let expected = Decoded {
        claim: "S-4711".to_owned(),
        id: Some("a-17".to_owned()),
        claimed_at: at("2026-11-21T02:43:21Z"),
        method: Some(Method::Face),
        quality_milli: Some(930),
        direction: Some(Direction::In),
    };
    assert_eq!(decoded, expected);
}

#[test]
fn the_minimal_form_is_read_on_the_campus_clock() {
    let decoded = native::scan(include_bytes!("fixtures/native/minimal.json"), &dhaka()).unwrap();
    assert_eq!((decoded.claim.as_str(), decoded.id), ("120", None));
    assert_eq!(decoded.claimed_at, at("2025-11-25T02:43:21Z"));
    assert_eq!((decoded.method, decoded.quality_milli, decoded.direction), (None, None, None));
}

#[test]
fn unknown_fields_blanks_and_capitals_do_not_matter() {
    let decoded = native::scan(include_bytes!("fixtures/native/zoneless.json"), &dhaka()).unwrap();
    assert_eq!(decoded.claim, "04:a2:3f");
    assert_eq!((decoded.claimed_at, decoded.method), (at("2026-11-21T02:43:21Z"), Some(Method::Card)));
}

#[test]
fn a_bad_scan_in_an_array_costs_none_of_its_neighbours() {
    let all = native::scans(include_bytes!("fixtures/native/array.json"), &dhaka()).unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|one| match one {
            Ok(decoded) => decoded.id.clone().unwrap(),
            Err(rejected) => format!("{:?}: {}", rejected.id, rejected.error),
        })
        .collect();
    assert_eq!(
        told,
        [
            "a-1",
            "Some(\"a-2\"): field 'at' must be a time such as 2026-11-21T08:43:21+06:00",
            "None: expected a scan, one JSON object with each field once, got something else",
            "4",
        ]
    );
}

#[test]
fn more_scans_than_allowed_are_counted_and_refused_together() {
    let many = |count| format!("[{}]", vec!["{}"; count].join(","));
    assert_eq!(native::scans(many(500).as_bytes(), &dhaka()).unwrap().len(), 500);
    let refused = native::scans(many(501).as_bytes(), &dhaka());
    assert_eq!(refused, Err(DialectError::TooMany { count: 501, most: 500 }));
    assert!(native::scans(b"{}", &dhaka()).is_err());
}

#[test]
fn what_is_wrong_is_named_by_its_field_and_answered_under_its_id() {
    for (payload, said) in [
        ("{\"id\":\"x\"", "None not JSON (line 1, column 9)"),
        ("[1]", "None expected a scan, one JSON object with each field once, got something else"),
        (r#"{"id":"x","id":"y"}"#, "None expected a scan, one JSON object with each field once"),
        (r#"{"id":"x","at":"2026-11-21T08:43:21Z"}"#, "Some(\"x\") field 'student' is missing"),
        (r#"{"student":" ","at":"2026-11-21T08:43:21Z"}"#, "None field 'student' is missing"),
        (r#"{"student":1.5}"#, "None field 'student' must be a text"),
        (r#"{"student":-1}"#, "None field 'student' must be a text"),
        (r#"{"id":["x"],"student":1}"#, "None field 'id' must be a text"),
        (r#"{"student":1}"#, "None field 'at' is missing"),
        (r#"{"student":1,"at":"2026-11-21"}"#, "None field 'at' must be a time"),
        (r#"{"student":1,"date":"2026-11-21"}"#, "None field 'time' is missing"),
        (r#"{"student":1,"date":"21.11.2026","time":"08:43"}"#, "None field 'date' must be a day"),
        (r#"{"student":1,"date":"2026-11-21","time":"25:00"}"#, "None field 'time' must be a time of day"),
        (r#"{"student":1,"at":"2026-11-21T08:43:21Z","method":"nose"}"#, "None field 'method' must be face"),
        (
            r#"{"student":1,"at":"2026-11-21T08:43:21Z","quality":93}"#,
            "None field 'quality' must be a number",
        ),
        (
            r#"{"student":1,"at":"2026-11-21T08:43:21Z","direction":1}"#,
            "None field 'direction' must be in or",
        ),
    ] {
        assert!(fault(payload).starts_with(said), "{payload}: {}", fault(payload));
    }
    let long = format!(r#"{{"student":"{}"}}"#, "x".repeat(65));
    assert!(fault(&long).contains("'student' must be a text of at most 64"), "{}", fault(&long));
}

#[test]
fn a_number_and_the_same_number_as_text_are_one_scan() {
    let read = |student: &str| {
        let payload = format!(r#"{{"student":{student},"at":"2026-11-21T08:43:21Z"}}"#);
        native::scan(payload.as_bytes(), &dhaka()).unwrap()
    };
    assert_eq!(read("120"), read("\" 120\""));
    assert_ne!(read("120"), read("121"));
}

#[test]
fn results_are_spelt_as_the_golden_file_has_them() {
    let accepted = ScanResult {
        outcome: Outcome::Late { minutes: 12 },
        student: Some(StudentId(120)),
        session: Some(SessionId(7)),
        mark: Some(Mark::Late),
        name: Some("Anna Berg".to_owned()),
        replayed: false,
    };
    let unmatched = ScanResult {
        outcome: Outcome::Unmatched(Unmatched::NotEnrolled),
        student: None,
        session: None,
        mark: None,
        name: None,
        replayed: true,
    };
    let rejected = native::scan(br#"{"id":"a-2","student":1,"at":"x"}"#, &dhaka()).unwrap_err();
    let lines = [
        native::result(Some("a-17"), &accepted),
        native::result(None, &unmatched),
        native::bad_payload(&rejected),
        native::device_disabled(Some("a-3")),
    ];
    let told: String = lines.iter().map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    assert_eq!(told, include_str!("fixtures/native/results.jsonl"));
    for line in &lines {
        serde_json::from_slice::<native::ResultMessage<'_>>(line).unwrap();
    }
}

fn decoded() -> impl Strategy<Value = Decoded> {
    let methods = prop::sample::select(vec![Method::Face, Method::Palm, Method::Card, Method::Pin]);
    let directions = prop::sample::select(vec![Direction::In, Direction::Out]);
    (
        "[^\\p{C}\\s]{1,64}",
        prop::option::of("[^\\p{C}\\s]{1,64}"),
        -60_000_000_000_000_i64..200_000_000_000_000,
        prop::option::of(methods),
        prop::option::of(0..=1000_u16),
        prop::option::of(directions),
    )
        .prop_map(|(claim, id, millis, method, quality_milli, direction)| Decoded {
            claim,
            id,
            claimed_at: Moment::from_millis(millis),
            method,
            quality_milli,
            direction,
        })
}

proptest! {
    #[test]
    fn what_a_terminal_writes_is_read_back(decoded in decoded()) {
        prop_assert_eq!(native::scan(&native::encode(&decoded), &dhaka()), Ok(decoded));
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        native::scan(&bytes, &dhaka()).ok();
        native::scans(&bytes, &dhaka()).ok();
    }

    #[test]
    fn no_values_in_known_fields_bring_the_reader_down(
        field in prop::sample::select(vec!["id", "student", "student_id", "at", "date", "time", "quality"]),
        value in prop_oneof![
            "\\PC{0,80}".prop_map(|text| serde_json::Value::from(text).to_string()),
            any::<f64>().prop_map(|number| serde_json::Value::from(number).to_string()),
            "-?[0-9]{1,80}(T[0-9:.]{0,20})?(Z|[+-][0-9:]{0,6})?".prop_map(|text| format!("{text:?}")),
        ],
    ) {
        let payload = format!(r#"{{"student":1,"at":"2026-11-21T08:43:21Z","{field}":{value}}}"#)
            .replacen(&format!(r#""{field}":"2026-11-21T08:43:21Z","#), "", 1);
        native::scan(payload.as_bytes(), &dhaka()).ok();
    }
}
