//! Cryptographically random bytes.

use anyhow::Context;
use aws_lc_rs::rand;

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes)
        .ok()
        .context("the system returns no random bytes")?;
    Ok(bytes)
}

/// `N` random bytes in hexadecimal.
pub(crate) fn hex<const N: usize>() -> anyhow::Result<String> {
    let bytes: [u8; N] = bytes()?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
