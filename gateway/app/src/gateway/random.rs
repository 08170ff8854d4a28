//! Random secrets.
//!
//! Promises: from the operating system, or an error; never a weaker source.

use anyhow::{Context as _, Result};

/// No letter that is read for another of them or for a digit of them.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters of a password, and how many of them stand together.
const PASSWORD: usize = 20;
const GROUP: usize = 4;
const SECRET: usize = 32;

pub(crate) fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).context("the machine gives no random bytes")
}

/// A password to type: 100 bits, in groups such as `k3mp-...`.
pub(crate) fn password() -> Result<String> {
    let mut bytes = [0; PASSWORD];
    fill(&mut bytes)?;
    let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from);
    let groups: Vec<String> =
        bytes.chunks(GROUP).map(|group| group.iter().filter_map(letter).collect()).collect();
    Ok(groups.join("-"))
}

/// A device's secret: 256 bits, in hexadecimal.
pub(crate) fn device_secret() -> Result<String> {
    let mut bytes = [0; SECRET];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_five_groups_of_four_letters_and_digits() {
        for _ in 0..100 {
            let password = password().unwrap();
            let groups: Vec<&str> = password.split('-').collect();
            assert_eq!(groups.len(), 5, "{password}");
            let good = |group: &&str| group.len() == 4 && group.bytes().all(|byte| ALPHABET.contains(&byte));
            assert!(groups.iter().all(good), "{password}");
        }
    }
}
