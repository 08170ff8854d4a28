//! What clients send is read as the standard says, and cut short at any byte it is refused or waited for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use bytes::BytesMut;
use rollcall_dialects::topics::Topic;
use rollcall_mqtt::codec::{
    self, ALIASES, Connect, ConnectError, Malformed, Named, Packet, QoS, Receipt, Retained, Version,
};

use Version::{V5, V311};

const LIMIT: usize = 1 << 20;

fn framed(first: u8, body: &[u8]) -> BytesMut {
    let mut out = vec![first, u8::try_from(body.len() & 0x7F).unwrap()];
    if body.len() > 0x7F {
        out = vec![first, out.pop().unwrap() | 0x80, u8::try_from(body.len() >> 7).unwrap()];
    }
    out.extend(body);
    BytesMut::from(&out[..])
}

fn read(version: Version, first: u8, body: &[u8]) -> Result<Packet, Malformed> {
    codec::packet(version, codec::next_frame(&mut framed(first, body), LIMIT).unwrap().unwrap())
}

fn topic(name: &str) -> Topic {
    Topic::parse(name).unwrap()
}

fn connect(body: &[u8]) -> Result<Connect, ConnectError> {
    codec::connect(codec::next_frame(&mut framed(0x10, body), LIMIT).unwrap().unwrap())
}

/// One of each, whole.
const PACKETS: &[(Version, u8, &[u8])] = &[
    (V311, 0x30, b"\0\x03a/bhello"),
    (V311, 0x3A, b"\0\x03a/b\0\x07hello"),
    (V5, 0x34, b"\0\x03a/b\0\x07\x07\x01\x01\x02\0\0\0\x09hello"),
    (V311, 0x40, b"\0\x07"),
    (V5, 0x40, b"\0\x07\x10\0"),
    (V311, 0x62, b"\0\x07"),
    (V311, 0x82, b"\0\x07\0\x03a/b\x01"),
    (V5, 0x82, b"\0\x07\0\0\x03a/#\x2E"),
    (V311, 0xA2, b"\0\x07\0\x03a/b"),
    (V5, 0xA2, b"\0\x07\0\0\x03a/b"),
];

const CONNECT_V5: &[u8] = b"\0\x04MQTT\x05\xC6\0\x3c\x0D\x11\0\0\0\x09\x21\0\x14\x27\0\0\x04\0\0\x01a\0\0\x03a/b\0\x02by\0\x01u\0\x01p";

#[test]
fn a_packet_that_has_not_arrived_whole_is_waited_for() {
    for (_, first, body) in PACKETS {
        let whole = framed(*first, body);
        for length in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..length]);
            assert_eq!(codec::next_frame(&mut part, LIMIT), Ok(None), "{whole:?} {length}");
            assert_eq!(part.len(), length, "nothing may be taken from it");
        }
    }
}

#[test]
fn a_packet_that_ends_in_the_middle_of_a_field_is_malformed() {
    for (version, first, body) in PACKETS {
        assert!(read(*version, *first, body).is_ok(), "{body:?}");
        // A payload may have any length, and v5 lets acknowledgements end early.
        let least = match first >> 4 {
            3 => body.len() - b"hello".len(),
            4 => 2,
            _ => body.len(),
        };
        for length in 0..least {
            assert!(read(*version, *first, &body[..length]).is_err(), "{body:?} {length}");
        }
    }
    assert!(connect(CONNECT_V5).is_ok());
    for length in 0..CONNECT_V5.len() {
        assert!(connect(&CONNECT_V5[..length]).is_err(), "{length}");
    }
    assert_eq!(connect(&[CONNECT_V5, b"x"].concat()), Err(ConnectError::Malformed(Malformed::Trailing(1))));
}

#[test]
fn connect_is_read_field_by_field() {
    let read = connect(CONNECT_V5).unwrap();
    assert_eq!((read.version, read.client_id.as_str(), read.clean_start), (V5, "a", true));
    assert_eq!((read.keep_alive_seconds, read.session_expiry_seconds), (60, 9));
    assert_eq!((read.receive_maximum, read.maximum_packet_size), (20, Some(1024)));
    assert_eq!((read.user_name.as_deref(), read.password.unwrap().0.as_ref()), (Some("u"), &b"p"[..]));
    let will = read.will.unwrap();
    assert_eq!((will.topic.as_str(), will.payload.as_ref(), will.qos), ("a/b", &b"by"[..], QoS::AtMostOnce));
    let plain = connect(b"\0\x04MQTT\x04\0\0\0\0\0").unwrap();
    assert_eq!((plain.receive_maximum, plain.clean_start, plain.will), (u16::MAX, false, None));
}

#[test]
fn a_connect_that_contradicts_itself_is_malformed() {
    for (why, flags) in [("reserved", 0x01), ("will qos without will", 0x08), ("will retain", 0x20)] {
        let body = [b"\0\x04MQTT\x04", &[flags][..], b"\0\0\0\0"].concat();
        assert_eq!(connect(&body), Err(ConnectError::Malformed(Malformed::Flags(flags))), "{why}");
    }
    let password_alone = b"\0\x04MQTT\x04\x40\0\0\0\0\0\x01p";
    assert_eq!(connect(password_alone), Err(ConnectError::Malformed(Malformed::Flags(0x40))));
    assert!(connect(b"\0\x04MQTT\x05\x40\0\0\0\0\0\0\x01p").is_ok(), "v5 allows it");
    assert_eq!(
        connect(b"\0\x04MQTT\x04\x1C\0\0\0\0\0\x01a\0\0"),
        Err(ConnectError::Malformed(Malformed::QoS))
    );
    assert_eq!(connect(b"\0\x04MQTT\x06\0\0\0\0\0"), Err(ConnectError::Level(6)));
}

#[test]
fn a_publish_is_read_with_its_qos_and_marks() {
    let Packet::Publish(publish) = read(V311, 0x3B, b"\0\x03a/b\0\x07hello").unwrap() else { panic!() };
    assert_eq!((publish.topic, publish.payload.as_ref()), (Named::Whole(topic("a/b")), &b"hello"[..]));
    assert!(publish.duplicate && publish.retain);
    assert!(matches!(publish.receipt, Receipt::Ack(id) if id.get() == 7));
    let Packet::Publish(second) = read(V311, 0x34, b"\0\x03a/b\0\x07").unwrap() else { panic!() };
    assert!(matches!(second.receipt, Receipt::Rec(_)) && !second.duplicate && !second.retain);
    for (why, first, body) in [
        ("qos 3", 0x36, &b"\0\x03a/b\0\x07"[..]),
        ("packet id 0", 0x32, b"\0\x03a/b\0\0"),
        ("sent before at qos 0", 0x38, b"\0\x03a/b"),
        ("wildcard", 0x30, b"\0\x03a/#"),
        ("no topic", 0x30, b"\0\0"),
        ("zero character", 0x30, b"\0\x02a\0"),
        ("not utf-8", 0x30, b"\0\x01\xFF"),
    ] {
        assert!(read(V311, first, body).is_err(), "{why}");
    }
}

#[test]
fn reserved_bits_and_packets_of_servers_are_malformed() {
    for (first, body) in [
        (0x41, &b"\0\x07"[..]),
        (0x60, b"\0\x07"),
        (0x80, b"\0\x07\0\x03a/b\x01"),
        (0xA0, b"\0\x07\0\x03a/b"),
        (0xC1, b""),
        (0xE1, b""),
        (0x20, b"\0\0"),
        (0x90, b"\0\x07\0"),
        (0xB0, b"\0\x07"),
        (0xD0, b""),
        (0xF0, b""),
        (0x10, CONNECT_V5),
    ] {
        assert!(read(V311, first, body).is_err() && read(V5, first, body).is_err(), "{first:#x}");
    }
    for options in [0x03, 0x04, 0x40] {
        assert!(read(V311, 0x82, &[b"\0\x07\0\x03a/b", &[options][..]].concat()).is_err(), "{options}");
    }
    for options in [0x03, 0x30, 0x40, 0x80] {
        assert!(read(V5, 0x82, &[b"\0\x07\0\0\x03a/b", &[options][..]].concat()).is_err(), "{options}");
    }
    assert_eq!(read(V311, 0x82, b"\0\x07"), Err(Malformed::Empty));
    assert_eq!(read(V5, 0xA2, b"\0\x07\0"), Err(Malformed::Empty));
    assert_eq!(read(V311, 0xC0, b"x"), Err(Malformed::Trailing(1)));
}

#[test]
fn a_property_stands_once_where_it_belongs_and_makes_sense() {
    let publish = |properties: &[u8]| {
        let length = u8::try_from(properties.len()).unwrap();
        read(V5, 0x30, &[b"\0\x01a", &[length][..], properties].concat())
    };
    assert!(publish(b"\x26\0\x01a\0\x01b\x26\0\x01a\0\x01b").is_ok(), "a user's own may repeat");
    assert!(publish(b"\x01\x01\x08\0\x01r").is_ok());
    for (why, properties) in [
        ("twice", &b"\x01\x01\x01\x01"[..]),
        ("of another packet", b"\x21\0\x01"),
        ("unknown", b"\x7F"),
        ("neither 0 nor 1", b"\x01\x02"),
        ("cut short", b"\x02\0"),
    ] {
        assert!(publish(properties).is_err(), "{why}");
    }
    for none in [b"\x21\0\0".as_slice(), b"\x27\0\0\0\0"] {
        let length = u8::try_from(none.len()).unwrap();
        let body = [b"\0\x04MQTT\x05\x02\0\0", &[length][..], none, b"\0\0"].concat();
        assert!(connect(&body).is_err(), "{none:?}");
    }
}

#[test]
fn an_alias_stands_beside_a_topic_or_in_its_place_and_is_one_that_is_offered() {
    let named = |body: &[u8]| {
        read(V5, 0x30, body).map(|packet| match packet {
            Packet::Publish(publish) => publish.topic,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(named(b"\0\0\x03\x23\0\x01"), Ok(Named::Alias(1)));
    assert_eq!(named(b"\0\x01a\x03\x23\0\x10"), Ok(Named::Both(topic("a"), ALIASES)));
    for alias in [b"\0\x01a\x03\x23\0\0", b"\0\x01a\x03\x23\0\x11"] {
        assert_eq!(named(alias), Err(Malformed::TopicAlias));
    }
    assert_eq!(named(b"\0\0\0"), Err(Malformed::Topic), "nothing stands for it");
}

#[test]
fn what_is_passed_on_with_a_message_is_kept_in_its_order_and_nothing_else_is() {
    let passed = b"\x26\0\x01b\0\x01c\x01\x01\x26\0\x01a\0\x01b";
    let properties = [b"\x02\0\0\0\x09".as_slice(), passed, b"\x23\0\x01"].concat();
    let length = u8::try_from(properties.len()).unwrap();
    let body = [b"\0\x01a".as_slice(), &[length], &properties, b"hello"].concat();
    let Packet::Publish(publish) = read(V5, 0x30, &body).unwrap() else { panic!() };
    assert_eq!((publish.expiry_seconds, publish.payload.as_ref()), (Some(9), &b"hello"[..]));
    assert_eq!(publish.passed.0.as_ref(), passed);
}

#[test]
fn a_subscription_is_read_with_all_that_it_asks_for() {
    let body = b"\0\x07\x03\x0B\xC8\x01\0\x03a/b\x2E";
    let Packet::Subscribe { requests, .. } = read(V5, 0x82, body).unwrap() else { panic!() };
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((request.qos, request.id), (QoS::ExactlyOnce, Some(200)));
    assert_eq!((request.not_own, request.as_published), (true, true));
    assert_eq!(request.retained, Retained::Never);
}

#[test]
fn a_goodbye_tells_whether_the_will_is_wanted_and_how_long_the_session() {
    let goodbye = |version, body: &[u8]| read(version, 0xE0, body).unwrap();
    let plain = Packet::Disconnect { with_will: false, session_expiry_seconds: None };
    assert_eq!(goodbye(V311, b""), plain);
    assert_eq!(goodbye(V5, b""), plain);
    let more = Packet::Disconnect { with_will: true, session_expiry_seconds: Some(5) };
    assert_eq!(goodbye(V5, b"\x04\x05\x11\0\0\0\x05"), more);
}

#[test]
fn a_packet_names_only_so_many_filters() {
    let filters = |count| [b"\0\x07".to_vec(), b"\0\x01a\x01".repeat(count)].concat();
    assert!(read(V311, 0x82, &filters(256)).is_ok());
    assert_eq!(read(V311, 0x82, &filters(257)), Err(Malformed::TooManyFilters { most: 256 }));
    let filters = |count| [b"\0\x07".to_vec(), b"\0\x01a".repeat(count)].concat();
    assert!(read(V311, 0xA2, &filters(256)).is_ok());
    assert_eq!(read(V311, 0xA2, &filters(257)), Err(Malformed::TooManyFilters { most: 256 }));
}

#[test]
fn a_length_is_at_most_four_bytes_and_no_more_than_is_allowed() {
    let next = |bytes: &[u8], limit| codec::next_frame(&mut BytesMut::from(bytes), limit);
    assert_eq!(next(&[0x30, 0x80, 0x80, 0x80, 0x80], LIMIT), Err(Malformed::Length));
    assert_eq!(next(&[0x30, 0xFF, 0xFF, 0xFF], LIMIT), Ok(None));
    let (announced, limit) = (129 + 3, 131);
    assert_eq!(next(&[0x30, 0x81, 0x01], limit), Err(Malformed::TooLarge { announced, limit }));
    assert_eq!(next(&[0x30, 0x81, 0x01], announced), Ok(None));
}
