//! What goes out to a client, told without sockets.

use bytes::Bytes;

use super::*;

const NOW: Duration = Duration::ZERO;

fn outbound(qos: QoS, length: usize) -> Outbound {
    let message = Message::own("t".into(), vec![b'x'; length].into());
    Outbound { message, qos, retain: false, subscriptions: vec![], fate: None }
}

fn once(length: usize) -> Outbound {
    outbound(QoS::AtLeastOnce, length)
}

fn to(version: Version, receive_maximum: u16, largest: Option<u32>, aliases: u16) -> Delivery {
    let mut delivery = Delivery::default();
    let line = Line::new(version, receive_maximum, largest, aliases);
    delivery.begin(line, NOW, &mut BytesMut::new());
    delivery
}

fn id(raw: u16) -> PacketId {
    PacketId::new(raw).unwrap()
}

/// First byte and packet id of each packet, of messages with one byte of payload on "t", v3.1.1.
fn packets(out: &mut BytesMut) -> Vec<(u8, u16)> {
    let (mut all, mut found) = (out.split(), vec![]);
    while !all.is_empty() {
        let packet = all.split_to(2 + usize::from(all[1]));
        let at = if packet[0] >> 4 == 3 { 5 } else { 2 };
        found.push((packet[0], u16::from_be_bytes([packet[at], packet[at + 1]])));
    }
    found
}

fn ids(out: &mut BytesMut) -> Vec<u16> {
    packets(out).into_iter().map(|(_, id)| id).collect()
}

#[test]
fn messages_beyond_the_receive_maximum_wait_in_order_and_leave_one_by_one() {
    let (mut delivery, mut out) = (to(Version::V311, 2, None, 0), BytesMut::new());
    for _ in 0..4 {
        delivery.send(once(1), NOW, &mut out).unwrap();
    }
    assert_eq!(ids(&mut out), [1, 2]);
    delivery.acknowledged(id(2), 0, NOW, &mut out);
    delivery.acknowledged(id(2), 0, NOW, &mut out);
    assert_eq!(ids(&mut out), [3]);
    delivery.acknowledged(id(1), 0, NOW, &mut out);
    assert_eq!(ids(&mut out), [4]);
}

#[test]
fn an_id_is_not_used_again_before_its_message_was_acknowledged() {
    let (mut delivery, mut out) = (to(Version::V311, 3, None, 0), BytesMut::new());
    delivery.send(once(1), NOW, &mut out).unwrap();
    delivery.last_id = u16::MAX - 1;
    for _ in 0..2 {
        delivery.send(once(1), NOW, &mut out).unwrap();
    }
    assert_eq!(ids(&mut out), [1, u16::MAX, 2], "neither 0 nor 1, which is under way");
}

#[test]
fn nothing_larger_than_the_client_takes_is_sent_to_it() {
    let (mut delivery, mut out) = (to(Version::V5, 9, Some(100), 0), BytesMut::new());
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        delivery.send(outbound(qos, 101), NOW, &mut out).unwrap();
        assert!(out.is_empty() && delivery.flights.is_empty());
        let fits = 100 - 2 - 2 - 1 - 1 - if qos == QoS::AtMostOnce { 0 } else { 2 };
        delivery.send(outbound(qos, fits), NOW, &mut out).unwrap();
        assert_eq!(out.split().len(), 100);
        delivery.send(outbound(qos, fits + 1), NOW, &mut out).unwrap();
        assert!(out.is_empty());
    }
}

#[test]
fn a_client_that_never_acknowledges_is_left_instead_of_being_kept_for() {
    let (mut delivery, mut out) = (to(Version::V5, 1, None, 0), BytesMut::new());
    for _ in 0..=BACKLOG {
        delivery.send(once(1), NOW, &mut out).unwrap();
    }
    assert!(delivery.is_behind());
    assert_eq!(delivery.send(once(1), NOW, &mut out), Err(Leave::Unresponsive));
    let (mut delivery, mut out) = (to(Version::V5, 1, None, 0), BytesMut::new());
    for _ in 0..3 {
        delivery.send(once(BACKLOG_BYTES / 2 - 1), NOW, &mut out).unwrap();
    }
    assert_eq!(delivery.send(once(1), NOW, &mut out), Err(Leave::Unresponsive));
}

#[test]
fn an_absent_client_finds_the_last_messages_of_too_many() {
    let (mut delivery, mut out) = (Delivery::default(), BytesMut::new());
    for number in 0..BACKLOG + 5 {
        let mut one = once(0);
        one.message.payload = Bytes::from(number.to_string());
        delivery.send(one, NOW, &mut out).unwrap();
    }
    delivery.send(outbound(QoS::AtMostOnce, 1), NOW, &mut out).unwrap();
    assert_eq!(delivery.backlog.len(), BACKLOG);
    assert_eq!(delivery.backlog[0].message.payload, "5");
    assert!(out.is_empty());
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order_when_the_client_is_back() {
    let (mut delivery, mut out) = (to(Version::V311, 9, None, 0), BytesMut::new());
    delivery.send(outbound(QoS::ExactlyOnce, 1), NOW, &mut out).unwrap();
    delivery.send(outbound(QoS::ExactlyOnce, 1), NOW, &mut out).unwrap();
    delivery.send(once(1), NOW, &mut out).unwrap();
    delivery.received(id(1), 0, NOW, &mut out);
    assert_eq!(packets(&mut out), [(0x34, 1), (0x34, 2), (0x32, 3), (0x62, 1)]);
    delivery.end();
    delivery.send(once(1), NOW, &mut out).unwrap();
    assert!(out.is_empty());
    delivery.begin(Line::new(Version::V311, 9, None, 0), NOW, &mut out);
    assert_eq!(packets(&mut out), [(0x62, 1), (0x3C, 2), (0x3A, 3), (0x32, 4)]);
    delivery.completed(id(1), NOW, &mut out);
    delivery.received(id(2), 0, NOW, &mut out);
    delivery.completed(id(2), NOW, &mut out);
    delivery.acknowledged(id(3), 0, NOW, &mut out);
    delivery.acknowledged(id(4), 0, NOW, &mut out);
    assert_eq!(packets(&mut out), [(0x62, 2)]);
    assert!(delivery.flights.is_empty());
}

#[test]
fn the_steps_of_qos_2_are_not_mixed_up_with_those_of_qos_1() {
    let (mut delivery, mut out) = (to(Version::V311, 9, None, 0), BytesMut::new());
    delivery.send(outbound(QoS::ExactlyOnce, 1), NOW, &mut out).unwrap();
    delivery.acknowledged(id(1), 0, NOW, &mut out);
    delivery.completed(id(1), NOW, &mut out);
    assert_eq!(delivery.flights.len(), 1, "neither PUBACK nor PUBCOMP ends it");
    delivery.received(id(7), 0, NOW, &mut out);
    assert_eq!(packets(&mut out), [(0x34, 1), (0x62, 7)], "a PUBREC of nothing is released all the same");
    delivery.received(id(1), FAILED, NOW, &mut out);
    assert!(out.is_empty() && delivery.flights.is_empty(), "refused, it is over");
}

#[test]
fn a_message_that_expired_while_it_waited_is_not_sent_and_another_tells_what_is_left() {
    let (mut delivery, mut out) = (Delivery::default(), BytesMut::new());
    for seconds in [1, 6] {
        let mut one = once(1);
        one.message.expires = Some(Duration::from_secs(seconds));
        delivery.send(one, NOW, &mut out).unwrap();
    }
    delivery.begin(Line::new(Version::V5, 9, None, 0), Duration::from_secs(2), &mut out);
    assert_eq!(&out[..], b"\x32\x0C\0\x01t\0\x01\x05\x02\0\0\0\x04x");
}

#[test]
fn an_alias_is_told_once_with_its_topic_and_then_stands_for_it_until_the_connection_ends() {
    let (mut delivery, mut out) = (to(Version::V5, 9, None, 1), BytesMut::new());
    let mut send = |delivery: &mut Delivery, topic: &str| {
        let mut one = outbound(QoS::AtMostOnce, 1);
        one.message.topic = topic.into();
        delivery.send(one, NOW, &mut out).unwrap();
        out.split().to_vec()
    };
    assert_eq!(send(&mut delivery, "t"), b"\x30\x08\0\x01t\x03\x23\0\x01x");
    assert_eq!(send(&mut delivery, "t"), b"\x30\x07\0\0\x03\x23\0\x01x");
    assert_eq!(send(&mut delivery, "u"), b"\x30\x05\0\x01u\0x", "one alias is all the client takes");
    delivery.begin(Line::new(Version::V5, 9, None, 1), NOW, &mut BytesMut::new());
    assert_eq!(send(&mut delivery, "t"), b"\x30\x08\0\x01t\x03\x23\0\x01x");
}
