//! QR tokens: sealed, short-lived, changing in front of everyone's eyes.
//!
//! Promises: a token is sealed with AES-256-GCM and says nothing to who cannot open it; in a period the
//! current and the previous window are accepted and no other; a token of another meeting, an older
//! period or another box is unknown; comparisons take the same time whatever they compare.
//!
//! Refuses: randomness and clocks. Keys, nonces and `now` are arguments. A nonce must never be used twice
//! with one key: hand in fresh random bytes for each token.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use crate::ids::SessionId;
use crate::moment::{Moment, minutes};
use crate::refusal::Refusal;
use crate::session::QrPeriod;

const NONCE: usize = 12;
/// Version, session, start of the period, window.
const BODY: usize = 1 + 8 + 8 + 8;
/// Version, session, moment of capture.
const CHALLENGE_BODY: usize = 1 + 8 + 8;
const VERSION: u8 = 1;
/// For how long after the page was asked for a tap still counts; signing in takes a while.
const CHALLENGE_MINUTES: u32 = 3;
const TYPED: usize = 8;
/// No letter that is read for a digit or for another letter; 32 of them, so five bits choose one.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The key that seals tokens of this box.
#[derive(Clone)]
pub struct QrKey {
    cipher: Aes256Gcm,
    typed: [u8; 32],
}

impl std::fmt::Debug for QrKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("QrKey(secret)")
    }
}

/// What a token says once opened. Whether it still counts is [`check`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub session: SessionId,
    period_from: Moment,
    window: u64,
}

/// The window of a period that `now` is in, and when it ends.
pub fn window(period: &QrPeriod, now: Moment) -> (u64, Moment) {
    let elapsed = u64::try_from(now.since(period.from).as_millis()).unwrap_or(0);
    match u64::from(period.rotate_seconds) * 1000 {
        0 => (0, period.until),
        length => {
            let window = elapsed / length;
            let ends = i64::try_from((window + 1).saturating_mul(length)).unwrap_or(i64::MAX);
            let ends = Moment::from_millis(period.from.millis().saturating_add(ends));
            (window, ends.min(period.until))
        }
    }
}

impl QrKey {
    pub fn new(secret: [u8; 32]) -> Self {
        let derive = |purpose| blake3::derive_key(purpose, &secret);
        let sealing = Key::<Aes256Gcm>::from(derive("rollcall qr token sealing v1"));
        QrKey { cipher: Aes256Gcm::new(&sealing), typed: derive("rollcall qr typed code v1") }
    }

    /// The token of a meeting's period for the window that `now` is in.
    pub fn token(&self, session: SessionId, period: &QrPeriod, now: Moment, nonce: [u8; NONCE]) -> String {
        let mut body = Vec::with_capacity(BODY);
        body.push(VERSION);
        body.extend(session.0.to_be_bytes());
        body.extend(period.from.millis().to_be_bytes());
        body.extend(window(period, now).0.to_be_bytes());
        self.seal(&body, b"qr", nonce)
    }

    /// Opens a token of ours; anything else is unknown.
    pub fn open(&self, text: &str) -> Result<Token, Refusal> {
        let body = self.unseal(text, b"qr").ok_or(Refusal::QrUnknown)?;
        let mut fields = Fields(body.get(1..).unwrap_or_default());
        let token = Token {
            session: SessionId(fields.number().ok_or(Refusal::QrUnknown)?),
            period_from: Moment::from_millis(fields.millis().ok_or(Refusal::QrUnknown)?),
            window: fields.number().ok_or(Refusal::QrUnknown)?,
        };
        if body.len() == BODY { Ok(token) } else { Err(Refusal::QrUnknown) }
    }

    /// The code to type in place of the QR code, for the window that `now` is in.
    pub fn typed(&self, session: SessionId, period: &QrPeriod, now: Moment) -> String {
        self.typed_of(session, period, window(period, now).0)
    }

    fn typed_of(&self, session: SessionId, period: &QrPeriod, window: u64) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.typed);
        hasher.update(&session.0.to_be_bytes());
        hasher.update(&period.from.millis().to_be_bytes());
        hasher.update(&window.to_be_bytes());
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('0', char::from);
        hasher.finalize().as_bytes().iter().take(TYPED).map(letter).collect()
    }

    /// Whether what somebody typed is the code of the current or the previous window. Small letters,
    /// blanks and dashes do not matter; `O`, `I` and `L` are read as the digits they look like.
    pub fn check_typed(
        &self,
        typed: &str,
        session: SessionId,
        period: &QrPeriod,
        now: Moment,
    ) -> Result<(), Refusal> {
        let typed: String = typed.chars().filter(|c| !matches!(c, ' ' | '-')).map(readable).collect();
        if !(period.from <= now && now < period.until) {
            return Err(Refusal::QrExpired);
        }
        let (current, _) = window(period, now);
        let fits = |window| {
            let expected = self.typed_of(session, period, window);
            typed.as_bytes().ct_eq(expected.as_bytes())
        };
        let good = fits(current) | fits(current.saturating_sub(1));
        if bool::from(good) { Ok(()) } else { Err(Refusal::QrUnknown) }
    }

    /// Remembers, in the browser of who asked for the page, that they did so in time.
    pub fn challenge(&self, session: SessionId, captured_at: Moment, nonce: [u8; NONCE]) -> String {
        let mut body = Vec::with_capacity(CHALLENGE_BODY);
        body.push(VERSION);
        body.extend(session.0.to_be_bytes());
        body.extend(captured_at.millis().to_be_bytes());
        self.seal(&body, b"challenge", nonce)
    }

    /// The meeting, and when the page was asked for, if that is not too long ago.
    pub fn check_challenge(&self, text: &str, now: Moment) -> Result<(SessionId, Moment), Refusal> {
        let body = self.unseal(text, b"challenge").ok_or(Refusal::QrUnknown)?;
        let mut fields = Fields(body.get(1..).unwrap_or_default());
        let session = SessionId(fields.number().ok_or(Refusal::QrUnknown)?);
        let captured_at = Moment::from_millis(fields.millis().ok_or(Refusal::QrUnknown)?);
        if now > captured_at.plus(minutes(CHALLENGE_MINUTES)) {
            return Err(Refusal::QrExpired);
        }
        Ok((session, captured_at))
    }

    fn seal(&self, body: &[u8], purpose: &[u8], nonce: [u8; NONCE]) -> String {
        let payload = Payload { msg: body, aad: purpose };
        // Sealing fails only for messages of many gigabytes; an empty text opens nothing.
        let sealed = self.cipher.encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    fn unseal(&self, text: &str, purpose: &[u8]) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: purpose };
        let body = self.cipher.decrypt(&Nonce::from(*nonce), payload).ok()?;
        (body.first() == Some(&VERSION)).then_some(body)
    }
}

/// Whether an opened token counts now for the meeting whose period this is.
pub fn check(token: &Token, period: Option<&QrPeriod>, now: Moment) -> Result<(), Refusal> {
    let period = period.ok_or(Refusal::QrExpired)?;
    let running = token.period_from == period.from && period.from <= now && now < period.until;
    if !running {
        return Err(Refusal::QrExpired);
    }
    let (current, _) = window(period, now);
    let fits = token.window == current || token.window.checked_add(1) == Some(current);
    if fits { Ok(()) } else { Err(Refusal::QrExpired) }
}

fn readable(c: char) -> char {
    match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    }
}

/// Reads big-endian numbers off the front.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn eight(&mut self) -> Option<[u8; 8]> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.eight().map(u64::from_be_bytes)
    }

    fn millis(&mut self) -> Option<i64> {
        self.eight().map(i64::from_be_bytes)
    }
}
