//! The bytes of one connection, in both directions.
//!
//! Promises: what was written since the last exchange leaves together, also through a stream that buffers;
//! a client that does not read stops being read; the room that a large packet took is given back; dropping
//! an exchange loses nothing.
//!
//! Refuses: knowing what the bytes mean.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use crate::codec::{self, Frame, Malformed, Version, Writer};

/// Outgoing bytes beyond which a client is not read and not forwarded to.
const HIGH_WATER: usize = 64 * 1024;
/// Smallest free space offered to a read.
const READ_SIZE: usize = 8 * 1024;
/// The most room that is kept for a client of which nothing is waiting.
const KEPT: usize = 64 * 1024;
/// How long a client gets to take the last bytes.
const FAREWELL: Duration = Duration::from_millis(300);

pub(crate) struct Wire<S> {
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
    /// Bytes were handed to the stream that it may still hold.
    unflushed: bool,
    /// The client closed its side; what it had sent is still there.
    ended: bool,
}

impl<S: AsyncRead + AsyncWrite> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        let (read, write) = split(stream);
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Wire { read, write, input, output, unflushed: false, ended: false }
    }

    /// The next whole packet that has arrived.
    ///
    /// # Errors
    /// What has arrived is no packet, or announces one larger than `limit`.
    pub(crate) fn frame(&mut self, limit: usize) -> Result<Option<Frame>, Malformed> {
        codec::next_frame(&mut self.input, limit)
    }

    pub(crate) fn writer(&mut self, version: Version) -> Writer<'_> {
        Writer { version, out: &mut self.output }
    }

    /// Where packets for the client are appended.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether bytes have arrived that were not taken yet.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Whether the client takes what it is sent.
    pub(crate) fn is_calm(&self) -> bool {
        self.output.len() < HIGH_WATER
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether everything that was written has left.
    pub(crate) fn is_done(&self) -> bool {
        self.output.is_empty() && !self.unflushed
    }

    /// Whether an exchange could move anything.
    pub(crate) fn can_move(&self, may_read: bool) -> bool {
        !self.is_done() || self.reads(may_read)
    }

    fn reads(&self, may_read: bool) -> bool {
        may_read && !self.ended && self.is_calm()
    }

    /// Waits until some bytes went out or, if `may_read`, some came in. Safe to cancel.
    ///
    /// # Errors
    /// The client takes nothing any more.
    pub(crate) async fn exchange(&mut self, may_read: bool) -> io::Result<()> {
        let (reads, writes) = (self.reads(may_read), !self.is_done());
        if reads {
            self.input.reserve(READ_SIZE);
            if self.input.is_empty() && self.input.capacity() > KEPT {
                self.input = BytesMut::with_capacity(READ_SIZE);
            }
        }
        tokio::select! {
            biased;
            written = write_on(&mut self.write, &mut self.output, &mut self.unflushed), if writes => written,
            got = self.read.read_buf(&mut self.input), if reads => {
                // A broken connection is noticed again by whoever writes to it.
                self.ended = !matches!(got, Ok(1..));
                Ok(())
            }
            else => Ok(()),
        }
    }

    /// Gives the client some time to take the last bytes, and closes. What it still sends is read meanwhile: a
    /// socket that is closed over unread bytes takes back what it had sent.
    pub(crate) async fn farewell(mut self) {
        let last = async {
            self.write.write_all(&self.output).await?;
            self.write.shutdown().await?;
            let mut unread = [0; 1024];
            while !self.ended && self.read.read(&mut unread).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        if !matches!(timeout(FAREWELL, last).await, Ok(Ok(()))) {
            tracing::debug!("the client left before its last answer");
        }
    }
}

/// A stream that encrypts or frames may hold back what it was given until it is told to flush.
async fn write_on<W: AsyncWrite>(
    write: &mut WriteHalf<W>,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if !output.is_empty() {
        *unflushed = true;
        if write.write_buf(output).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    if output.is_empty() {
        *output = BytesMut::new();
        write.flush().await?;
        *unflushed = false;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_room_that_a_large_packet_took_is_given_back() {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let mut wire = Wire::new(far);
        let large = async {
            near.write_all(&[0x30, 0x80, 0x80, 0x40]).await.unwrap();
            near.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
            near.write_all(&[0xC0]).await.unwrap();
        };
        let taken = async {
            loop {
                wire.exchange(true).await.unwrap();
                if wire.frame(1 << 24).unwrap().is_some() {
                    return;
                }
            }
        };
        tokio::join!(large, taken);
        while wire.has_input() {
            near.write_all(&[0]).await.unwrap();
            wire.exchange(true).await.unwrap();
            wire.frame(1 << 24).unwrap();
        }
        near.write_all(&[0xC0]).await.unwrap();
        wire.exchange(true).await.unwrap();
        assert!(wire.has_input() && wire.input.capacity() <= KEPT, "{}", wire.input.capacity());
    }

    #[tokio::test]
    async fn what_is_written_goes_out_also_through_a_stream_that_buffers() {
        let (mut near, far) = tokio::io::duplex(1024);
        let mut wire = Wire::new(tokio::io::BufStream::new(far));
        wire.writer(Version::V311).pingresp();
        while !wire.is_done() {
            wire.exchange(false).await.unwrap();
        }
        let mut got = [0; 2];
        timeout(Duration::from_secs(10), near.read_exact(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, [0xD0, 0]);
    }

    #[tokio::test]
    async fn a_client_that_goes_on_sending_still_gets_the_last_word() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        near.write_all(&[0xC0; 5_000]).await.unwrap();
        wire.writer(Version::V5).disconnect(0x93);
        let sending = async {
            near.write_all(&[0xC0; 5_000]).await.unwrap();
            let mut got = Vec::new();
            near.read_to_end(&mut got).await.unwrap();
            drop(near);
            got
        };
        let (got, ()) = tokio::join!(sending, wire.farewell());
        assert_eq!(got, [0xE0, 1, 0x93]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_not_read() {
        let (mut near, far) = tokio::io::duplex(16);
        let mut wire = Wire::new(far);
        near.write_all(&[0xC0]).await.unwrap();
        (0..HIGH_WATER).for_each(|_| wire.writer(Version::V311).pingresp());
        wire.exchange(true).await.unwrap();
        assert!(timeout(Duration::from_millis(1), wire.exchange(true)).await.is_err());
        assert!(!wire.has_input() && wire.can_move(true));
    }
}
