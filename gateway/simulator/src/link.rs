//! One terminal's connection: MQTT 3.1.1 over TCP.
//!
//! Promises: what was queued goes out together, in order; reading and writing do not wait for each
//! other, so that neither side can block the other for ever; dropping a wait loses nothing.

use bytes::{Bytes, BytesMut};
use rollcall_dialects::topics::{Purpose, native};
use rollcall_domain::ids::DeviceId;
use rumqttc::mqttbytes::v4::{
    Connect, ConnectReturnCode, Disconnect, Login, Packet, PingReq, Publish, Subscribe,
};
use rumqttc::mqttbytes::{Error as CodecError, QoS};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::SimulatorError;

const SUBSCRIPTION: u16 = u16::MAX;
const MOST_BYTES: usize = 1 << 20;
const READ: usize = 16 << 10;

pub(crate) struct Link {
    stream: TcpStream,
    inbound: BytesMut,
    outbound: BytesMut,
}

impl Link {
    /// Connects, signs in, and asks for the results.
    pub(crate) async fn open(
        (host, port): (&str, u16),
        (device, secret): (&DeviceId, &str),
        keep_alive_seconds: u16,
    ) -> Result<Link, SimulatorError> {
        let stream = TcpStream::connect(format!("{host}:{port}")).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut link = Link { stream, inbound: BytesMut::new(), outbound: BytesMut::new() };
        let mut connect = Connect::new(device.as_str());
        connect.keep_alive = keep_alive_seconds;
        connect.clean_session = true;
        connect.login = Some(Login::new(device.as_str(), secret));
        connect.write(&mut link.outbound).map_err(not_mqtt)?;
        let answer = loop {
            if let Some(packet) = link.packet()? {
                break packet;
            }
            link.exchange().await?;
        };
        match answer {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => {}
            Packet::ConnAck(ack) => {
                return Err(SimulatorError::Refused { answer: format!("{:?}", ack.code) });
            }
            _ => return Err(SimulatorError::NotMqtt { fault: "no CONNACK".to_owned() }),
        }
        let mut subscribe = Subscribe::new(native(device, Purpose::Result).as_str(), QoS::AtMostOnce);
        subscribe.pkid = SUBSCRIPTION;
        subscribe.write(&mut link.outbound).map_err(not_mqtt)?;
        Ok(link)
    }

    /// Queues a scan.
    pub(crate) fn publish(
        &mut self,
        topic: &str,
        packet: u16,
        again: bool,
        payload: Bytes,
    ) -> Result<(), SimulatorError> {
        let mut publish = Publish::from_bytes(topic, QoS::AtLeastOnce, payload);
        publish.pkid = packet;
        publish.dup = again;
        publish.write(&mut self.outbound).map(drop).map_err(not_mqtt)
    }

    pub(crate) fn ping(&mut self) -> Result<(), SimulatorError> {
        PingReq.write(&mut self.outbound).map(drop).map_err(not_mqtt)
    }

    /// Writes what is queued, and returns as soon as something was read.
    pub(crate) async fn exchange(&mut self) -> Result<(), SimulatorError> {
        let (mut reader, mut writer) = self.stream.split();
        self.inbound.reserve(READ);
        loop {
            tokio::select! {
                biased;
                written = writer.write_buf(&mut self.outbound), if !self.outbound.is_empty() => {
                    written.map_err(broken)?;
                }
                read = reader.read_buf(&mut self.inbound) => {
                    return match read.map_err(broken)? {
                        0 => Err(SimulatorError::Closed),
                        _ => Ok(()),
                    };
                }
            }
        }
    }

    /// The next packet that has been read whole.
    pub(crate) fn packet(&mut self) -> Result<Option<Packet>, SimulatorError> {
        match Packet::read(&mut self.inbound, MOST_BYTES) {
            Ok(packet) => Ok(Some(packet)),
            Err(CodecError::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(not_mqtt(error)),
        }
    }

    /// Says goodbye; who does not hear it will notice the end of the connection.
    pub(crate) async fn close(mut self) -> Result<(), SimulatorError> {
        Disconnect.write(&mut self.outbound).map_err(not_mqtt)?;
        self.stream.write_all_buf(&mut self.outbound).await.map_err(broken)?;
        self.stream.shutdown().await.map_err(broken)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "stands behind map_err")]
fn broken(error: std::io::Error) -> SimulatorError {
    SimulatorError::Broken(error.kind())
}

#[expect(clippy::needless_pass_by_value, reason = "stands behind map_err")]
fn not_mqtt(error: CodecError) -> SimulatorError {
    SimulatorError::NotMqtt { fault: error.to_string() }
}
