//! Random secrets.
//!
//! Promises: from the operating system, or an error; never a weaker source.

use anyhow::{Context as _, Result};

/// No letter that is read for another or for a digit.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789-";
const PASSWORD: usize = 20;
const SECRET: usize = 32;

pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).context("the machine gives no random bytes")
}

/// A password to type once: 100 bits.
pub(crate) fn password() -> Result<String> {
    let mut bytes = [0; PASSWORD];
    fill(&mut bytes)?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('-', char::from);
    Ok(bytes.iter().map(letter).collect())
}

/// A device's secret: 256 bits, in hexadecimal.
pub(crate) fn device_secret() -> Result<String> {
    let mut bytes = [0; SECRET];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
