//! What a session owes, told without sockets.

use jiff::tz::offset;
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::Outcome;

use super::*;
use crate::codec::QoS;

fn scan(id: u16) -> Packet {
    publish(id, "scan", br#"{"student":"120","at":"2026-11-21T08:43:21Z"}"#)
}

fn publish(id: u16, last: &str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish {
        topic: Topic::parse(&format!("rollcall/v1/gate/{last}")).unwrap(),
        payload: Bytes::copy_from_slice(payload),
        receipt: Receipt::Ack(PacketId::new(id).unwrap()),
        duplicate: false,
        retain: false,
    })
}

fn present() -> Result<ScanResult, NotTaken> {
    Ok(ScanResult {
        outcome: Outcome::Present,
        student: None,
        session: None,
        mark: Some(Mark::Present),
        name: None,
        replayed: false,
    })
}

fn now() -> Received {
    Received { at: Moment::from_millis(0), after: Duration::ZERO, is_watched: false }
}

fn device(version: Version) -> Session {
    let connect = Connect {
        version,
        client_id: "any".into(),
        clean_start: true,
        keep_alive_seconds: 60,
        user_name: None,
        password: None,
        will: None,
        receive_maximum: 2,
        session_expiry_seconds: 0,
        maximum_packet_size: None,
        asks_extended_authentication: false,
    };
    Session::new(&connect, Identity::Device(DeviceId::parse("gate").unwrap()), TimeZone::fixed(offset(6)))
}

fn slots(step: Step) -> Vec<Slot> {
    let Step::Submit(scans) = step else { panic!("{step:?}") };
    scans.into_iter().map(|(slot, _)| slot).collect()
}

fn subscribe(session: &mut Session, out: &mut BytesMut) {
    let own = Filter::parse("rollcall/v1/gate/result").unwrap();
    let requests = vec![Request { filter: own, qos: QoS::AtLeastOnce }];
    let packet = Packet::Subscribe { id: PacketId::new(1).unwrap(), requests };
    assert_eq!(session.handle(packet, now(), out), Step::Done);
}

#[test]
fn nothing_is_acknowledged_before_its_answer_and_then_in_order() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let first = slots(session.handle(scan(7), now(), &mut out))[0];
    let second = slots(session.handle(scan(8), now(), &mut out))[0];
    assert!(out.is_empty());
    session.answered(second, present(), &mut out);
    assert!(out.is_empty(), "the first is still open");
    session.answered(first, present(), &mut out);
    assert_eq!(&out[..], &[0x40, 2, 0, 7, 0x40, 2, 0, 8]);
}

#[test]
fn an_array_is_acknowledged_once_after_its_last_scan() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let array =
        br#"[{"student":1,"at":"2026-11-21T08:43:21Z"},{"bad":1},{"student":2,"at":"2026-11-21T08:43:22Z"}]"#;
    let open = slots(session.handle(publish(9, "scans", array), now(), &mut out));
    assert_eq!(open.len(), 2);
    session.answered(open[1], present(), &mut out);
    assert!(out.is_empty());
    session.answered(open[0], present(), &mut out);
    assert_eq!(&out[..], &[0x40, 2, 0, 9]);
    let results = session.take_effects().into_iter().filter(|effect| matches!(effect, Effect::Result(_)));
    assert_eq!(results.count(), 3, "one for each, in order, the bad one too");
}

#[test]
fn a_heartbeat_is_read_on_the_campus_clock() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let beat = publish(7, "heartbeat", br#"{"at":"1970-01-01T06:00:01","battery":80}"#);
    let Step::Heartbeat(_, heartbeat) = session.handle(beat, now(), &mut out) else {
        panic!("it was refused")
    };
    assert_eq!((heartbeat.at, heartbeat.battery_percent), (Some(Moment::from_millis(1_000)), Some(80)));
}

#[test]
fn a_scan_the_store_did_not_take_is_never_acknowledged() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let first = slots(session.handle(scan(7), now(), &mut out))[0];
    let step = session.answered(first, Err(NotTaken::StorageUnavailable), &mut out);
    assert_eq!(step, Step::Leave(Leave::StorageUnavailable));
    assert!(out.is_empty());
}

#[test]
fn results_beyond_the_receive_maximum_wait_for_the_client() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    subscribe(&mut session, &mut out);
    for number in 1..=3 {
        let open = slots(session.handle(scan(number), now(), &mut out))[0];
        session.answered(open, present(), &mut out);
    }
    assert!(session.is_behind());
    session.handle(Packet::PubAck(PacketId::new(1).unwrap()), now(), &mut out);
    assert!(!session.is_behind());
}

#[test]
fn reading_stops_when_a_window_of_scans_is_open() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let mut open = Vec::new();
    for number in 1..=256 {
        assert!(session.takes_more());
        open.extend(slots(session.handle(scan(number), now(), &mut out)));
    }
    assert!(!session.takes_more());
    session.answered(open[0], present(), &mut out);
    assert!(session.takes_more());
}

#[test]
fn what_could_not_be_read_takes_up_room_until_it_is_answered() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let held = slots(session.handle(scan(1), now(), &mut out))[0];
    let nonsense = format!("[{}]", vec!["1"; 500].join(","));
    assert_eq!(session.handle(publish(2, "scans", nonsense.as_bytes()), now(), &mut out), Step::Done);
    assert!(!session.takes_more() && out.is_empty());
    session.answered(held, present(), &mut out);
    assert!(session.takes_more() && session.owes_nothing());
}

#[test]
fn nothing_behind_a_scan_that_was_not_taken_is_acknowledged() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let first = slots(session.handle(scan(7), now(), &mut out))[0];
    let second = slots(session.handle(scan(8), now(), &mut out))[0];
    assert_eq!(session.answered(second, Err(NotTaken::Stopping), &mut out), Step::Done);
    assert_eq!(session.answered(first, present(), &mut out), Step::Leave(Leave::Stopping));
    assert_eq!(&out[..], &[0x40, 2, 0, 7]);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_passed_over() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    assert_eq!(session.handle(Packet::PubAck(PacketId::new(5).unwrap()), now(), &mut out), Step::Done);
    assert!(out.is_empty());
}

#[test]
fn a_client_that_answers_as_to_qos_2_is_in_error() {
    for packet in [Packet::PubRec, Packet::PubComp] {
        let (mut session, mut out) = (device(Version::V5), BytesMut::new());
        let step = session.handle(packet(PacketId::new(5).unwrap()), now(), &mut out);
        assert_eq!(step, Step::Leave(Leave::Protocol));
    }
}

#[test]
fn a_refusal_shows_no_more_of_a_topic_than_a_log_line_needs() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    session.handle(publish(1, &"\u{202e}".repeat(20_000), b""), now(), &mut out);
    let effects = session.take_effects();
    let [Effect::Refused(Refused::Publish, detail)] = &effects[..] else { panic!("{effects:?}") };
    assert!(detail.len() < 1_000 && detail.contains("\\u{202e}"), "{}", detail.len());
}

fn monitor() -> Session {
    let mut monitor = device(Version::V5);
    monitor.identity = Identity::Monitor(rollcall_domain::ids::UserId(1));
    monitor
}

#[test]
fn a_monitor_may_ask_for_a_few_filters_and_no_more() {
    let (mut session, mut out) = (monitor(), BytesMut::new());
    let ask = |number: u16| Request {
        filter: Filter::parse(&format!("rollcall/v1/{number}/scan")).unwrap(),
        qos: QoS::AtLeastOnce,
    };
    let id = PacketId::new(1).unwrap();
    for number in [0, 1].into_iter().chain(0..32) {
        session.subscribe(id, vec![ask(number)], true, &mut out);
    }
    assert!(session.take_effects().is_empty());
    out.clear();
    session.subscribe(id, vec![ask(32), ask(31)], true, &mut out);
    assert_eq!(&out[..], &[0x90, 5, 0, 1, 0, 0x97, 1]);
    assert!(matches!(session.take_effects()[..], [Effect::Refused(Refused::TooManyFilters, _)]));
}

#[test]
fn a_message_for_which_several_filters_ask_comes_once_at_the_best_qos() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let requests = [("rollcall/v1/gate/#", QoS::AtMostOnce), ("rollcall/v1/gate/command", QoS::ExactlyOnce)]
        .map(|(filter, qos)| Request { filter: Filter::parse(filter).unwrap(), qos })
        .to_vec();
    session.subscribe(PacketId::new(1).unwrap(), requests, false, &mut out);
    assert_eq!(&out[..], &[0x90, 4, 0, 1, 0, 1]);
    out.clear();
    session.own_message(Purpose::Command, Bytes::from_static(b"x"), &mut out).unwrap();
    assert_eq!(&out[..2], &[0x32, 29]);
    assert_eq!(out.len(), 31);
}

#[test]
fn how_many_of_an_array_are_wrong_is_told_only_if_it_could_be_read() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let mut detail_of = |array: &[u8]| {
        session.handle(publish(9, "scans", array), now(), &mut out);
        let detail = session.take_effects().into_iter().find_map(|effect| match effect {
            Effect::Refused(Refused::BadPayload, detail) => Some(detail),
            _ => None,
        });
        detail.unwrap()
    };
    let too_many = format!("[{}]", vec!["{}"; 501].join(","));
    for array in [too_many.as_bytes(), b"[{},"] {
        let detail = detail_of(array);
        assert!(detail.starts_with("on \"rollcall/v1/gate/scans\": "), "{detail}");
    }
    let detail = detail_of(br#"[{"student":1,"at":"2026-11-21T08:43:21Z"},{"bad":1}]"#);
    assert!(detail.starts_with("1 of 2 on \"rollcall/v1/gate/scans\": "), "{detail}");
}
