//! What a session owes, told without sockets.

use jiff::tz::offset;
use rollcall_dialects::topics::Filter;
use rollcall_domain::mark::Mark;
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::Outcome;

use super::*;
use crate::codec::{Malformed, Named, Passed, Publish, QoS, Retained};
use crate::owed::WINDOW;

const NOW: Duration = Duration::ZERO;

fn id(raw: u16) -> PacketId {
    PacketId::new(raw).unwrap()
}

fn scan(id: u16) -> Packet {
    publish(id, "scan", br#"{"student":"120","at":"2026-11-21T08:43:21Z"}"#)
}

fn publish(id: u16, last: &str, payload: &[u8]) -> Packet {
    Packet::Publish(Publish {
        topic: Named::Whole(Topic::parse(&format!("rollcall/v1/gate/{last}")).unwrap()),
        payload: Bytes::copy_from_slice(payload),
        receipt: Receipt::Ack(PacketId::new(id).unwrap()),
        duplicate: false,
        retain: false,
        expiry_seconds: None,
        passed: Passed::default(),
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
        topic_aliases: 0,
        asks_extended_authentication: false,
    };
    let campus = Campus { zone: TimeZone::fixed(offset(6)), reserved: Reserved::default() };
    let identity = Identity::Device(DeviceId::parse("gate").unwrap());
    let mut session = Session::new(1, identity, Arc::new(campus));
    session.begin(&connect, NOW, &mut BytesMut::new());
    session
}

fn request(filter: &str, qos: QoS) -> Request {
    let filter = Filter::parse(filter).unwrap();
    let (not_own, as_published, retained, id) = (false, false, Retained::Always, None);
    Request { filter, qos, not_own, as_published, retained, id }
}

fn slots(step: Step) -> Vec<Slot> {
    let Step::Submit(scans) = step else { panic!("{step:?}") };
    scans.into_iter().map(|(slot, _)| slot).collect()
}

fn subscribe(session: &mut Session, out: &mut BytesMut) {
    let requests = vec![request("rollcall/v1/gate/result", QoS::AtLeastOnce)];
    let packet = Packet::Subscribe { id: id(1), requests };
    let Step::Subscribe { id, requests, follows: false } = session.handle(packet, now(), out) else {
        panic!("it needs no link")
    };
    assert_eq!(session.subscribe(id, requests, false, out).len(), 1);
}

#[test]
fn nothing_is_acknowledged_before_its_answer_and_then_in_order() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let first = slots(session.handle(scan(7), now(), &mut out))[0];
    let second = slots(session.handle(scan(8), now(), &mut out))[0];
    assert!(out.is_empty());
    session.answered(second, present(), NOW, &mut out);
    assert!(out.is_empty(), "the first is still open");
    session.answered(first, present(), NOW, &mut out);
    assert_eq!(&out[..], &[0x40, 2, 0, 7, 0x40, 2, 0, 8]);
}

#[test]
fn an_array_is_acknowledged_once_after_its_last_scan() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let array =
        br#"[{"student":1,"at":"2026-11-21T08:43:21Z"},{"bad":1},{"student":2,"at":"2026-11-21T08:43:22Z"}]"#;
    let open = slots(session.handle(publish(9, "scans", array), now(), &mut out));
    assert_eq!(open.len(), 2);
    session.answered(open[1], present(), NOW, &mut out);
    assert!(out.is_empty());
    session.answered(open[0], present(), NOW, &mut out);
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
    let step = session.answered(first, Err(NotTaken::StorageUnavailable), NOW, &mut out);
    assert_eq!(step, Step::Leave(Leave::StorageUnavailable));
    assert!(out.is_empty());
}

#[test]
fn results_beyond_the_receive_maximum_wait_for_the_client() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    subscribe(&mut session, &mut out);
    for number in 1..=3 {
        let open = slots(session.handle(scan(number), now(), &mut out))[0];
        session.answered(open, present(), NOW, &mut out);
    }
    out.clear();
    session.handle(Packet::PubAck { id: id(1), reason: 0 }, now(), &mut out);
    assert_eq!(out[0], 0x32);
    out.clear();
    session.handle(Packet::PubAck { id: id(2), reason: 0 }, now(), &mut out);
    assert!(out.is_empty());
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
    session.answered(open[0], present(), NOW, &mut out);
    assert!(session.takes_more());
}

#[test]
fn what_could_not_be_read_takes_up_room_until_it_is_answered() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let held = slots(session.handle(scan(1), now(), &mut out))[0];
    let nonsense = format!("[{}]", vec!["1"; 500].join(","));
    assert_eq!(session.handle(publish(2, "scans", nonsense.as_bytes()), now(), &mut out), Step::Done);
    assert!(!session.takes_more() && out.is_empty());
    session.answered(held, present(), NOW, &mut out);
    assert!(session.takes_more() && session.owes_nothing());
}

#[test]
fn nothing_behind_a_scan_that_was_not_taken_is_acknowledged() {
    let (mut session, mut out) = (device(Version::V311), BytesMut::new());
    let first = slots(session.handle(scan(7), now(), &mut out))[0];
    let second = slots(session.handle(scan(8), now(), &mut out))[0];
    assert_eq!(session.answered(second, Err(NotTaken::Stopping), NOW, &mut out), Step::Done);
    assert_eq!(session.answered(first, present(), NOW, &mut out), Step::Leave(Leave::Stopping));
    assert_eq!(&out[..], &[0x40, 2, 0, 7]);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_passed_over() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    assert_eq!(session.handle(Packet::PubAck { id: id(5), reason: 0 }, now(), &mut out), Step::Done);
    assert!(out.is_empty());
}

#[test]
fn a_message_of_qos_2_counts_once_until_its_id_is_let_go_of() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let twice = |session: &mut Session, out: &mut BytesMut| {
        let Packet::Publish(mut beat) = publish(7, "heartbeat", b"{}") else { panic!() };
        beat.receipt = Receipt::Rec(id(7));
        session.handle(Packet::Publish(beat), now(), out)
    };
    assert!(matches!(twice(&mut session, &mut out), Step::Heartbeat(..)));
    assert_eq!(twice(&mut session, &mut out), Step::Done);
    assert_eq!(&out.split()[..], [0x50, 2, 0, 7, 0x50, 2, 0, 7]);
    session.handle(Packet::PubRel { id: id(7), reason: 0 }, now(), &mut out);
    session.handle(Packet::PubRel { id: id(7), reason: 0 }, now(), &mut out);
    assert_eq!(&out.split()[..], [0x70, 2, 0, 7, 0x70, 3, 0, 7, 0x92]);
    assert!(matches!(twice(&mut session, &mut out), Step::Heartbeat(..)));
}

#[test]
fn more_messages_of_qos_2_at_once_than_may_be_end_a_v5_connection() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let mut next = |number: u16| {
        let Packet::Publish(mut beat) = publish(number, "heartbeat", b"{}") else { panic!() };
        beat.receipt = Receipt::Rec(id(number));
        session.handle(Packet::Publish(beat), now(), &mut out)
    };
    let window = u16::try_from(WINDOW).unwrap();
    assert!((1..=window).all(|number| matches!(next(number), Step::Heartbeat(..))));
    assert_eq!(next(window + 1), Step::Leave(Leave::TooMuchAtOnce));
}

#[test]
fn an_alias_stands_for_its_topic_until_the_connection_ends() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let named = |topic| {
        let Packet::Publish(beat) = publish(7, "heartbeat", b"{}") else { panic!() };
        Packet::Publish(Publish { topic, ..beat })
    };
    let unknown = Step::Leave(Leave::Malformed(Malformed::TopicAlias));
    assert_eq!(session.handle(named(Named::Alias(1)), now(), &mut out), unknown);
    let topic = Topic::parse("rollcall/v1/gate/heartbeat").unwrap();
    for topic in [Named::Both(topic, 1), Named::Alias(1)] {
        assert!(matches!(session.handle(named(topic), now(), &mut out), Step::Heartbeat(..)));
    }
    session.end();
    assert_eq!(session.handle(named(Named::Alias(1)), now(), &mut out), unknown);
}

#[test]
fn what_a_device_says_of_itself_is_handed_to_whoever_wants_it_and_then_acknowledged() {
    let (mut session, mut out) = (device(Version::V5), BytesMut::new());
    let Packet::Publish(mut status) = publish(7, "status", b"online") else { panic!() };
    (status.retain, status.expiry_seconds) = (true, Some(9));
    let step = session.handle(Packet::Publish(status), now(), &mut out);
    let Step::Route { topic, message, receipt } = step else { panic!("{step:?}") };
    assert_eq!((topic.as_str(), message.retain), ("rollcall/v1/gate/status", true));
    assert_eq!(message.expires, Some(Duration::from_secs(9)));
    assert!(out.is_empty());
    session.routed(receipt, 0x97, NOW, &mut out);
    assert_eq!(&out[..], [0x40, 3, 0, 7, 0x97]);
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
    let ask = |number: u16| request(&format!("rollcall/v1/{number}/scan"), QoS::AtLeastOnce);
    let id = id(1);
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
        .map(|(filter, qos)| request(filter, qos))
        .to_vec();
    session.subscribe(id(1), requests, false, &mut out);
    assert_eq!(&out[..], &[0x90, 4, 0, 1, 0, 2]);
    out.clear();
    session.own_message(Purpose::Command, Bytes::from_static(b"x"), None, NOW, &mut out).unwrap();
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
        assert!(detail.starts_with("on rollcall/v1/gate/scans: "), "{detail}");
    }
    let detail = detail_of(br#"[{"student":1,"at":"2026-11-21T08:43:21Z"},{"bad":1}]"#);
    assert!(detail.starts_with("1 of 2 on rollcall/v1/gate/scans: "), "{detail}");
}
