//! No bytes make the codec panic, and a whole frame is never "not enough bytes".
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use rollcall_mqtt::codec::{self, Version};

fn framed(first: u8, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(first);
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7F).unwrap();
        rest >>= 7;
        out.put_u8(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    out.put_slice(body);
    out
}

fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\0\x04MQTT\x05\xC2\0\x3c".to_vec()),
        Just(b"\0\x04MQTT\x04\xEE\0\x3c".to_vec()),
        Just(b"\0\x03a/b".to_vec()),
        Just(b"\0\x01".to_vec()),
        Just(b"\x05\x11\0\0\0\x09".to_vec()),
        Just(b"\x09\x26\0\x01a\0\x01b\x01\0".to_vec()),
        Just(vec![0]),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_whole_frame_is_a_packet_or_malformed(first: u8, body in plausible()) {
        let mut buffer = framed(first, &body);
        let frame = codec::next_frame(&mut buffer, 1 << 20).unwrap().unwrap();
        prop_assert!(buffer.is_empty());
        drop(codec::connect(frame.clone()));
        drop(codec::packet(Version::V311, frame.clone()));
        drop(codec::packet(Version::V5, frame));
    }

    #[test]
    fn connects_of_all_shapes_are_read_without_panic(body in plausible()) {
        let mut buffer = framed(0x10, &[b"\0\x04MQTT\x05".as_slice(), &body].concat());
        let frame = codec::next_frame(&mut buffer, 1 << 20).unwrap().unwrap();
        drop(codec::connect(frame));
    }

    #[test]
    fn a_stream_of_noise_ends_in_frames_or_an_error(noise in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut buffer = BytesMut::from(&noise[..]);
        while let Ok(Some(_)) = codec::next_frame(&mut buffer, 1 << 20) {}
    }
}
