//! Seals any bytes with a genuine key, as the session formats demand and with other libraries than the session crate uses. The
//! crate's own `seal` can only write what a framework would write.

use aes_gcm::aead::Aead;
use aes_gcm::{Aes256Gcm, KeyInit, aead::Payload};
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, Sha512};

/// A derived key of 32 (A256GCM) or 64 bytes (A256CBC-HS512).
pub struct Key(Vec<u8>);

impl Key {
    /// Derives a key of `len` bytes with HKDF-SHA-256.
    pub fn derive(secret: &str, salt: &str, info: &str, len: usize) -> Self {
        let mut key = vec![0; len];
        let hkdf = Hkdf::<Sha256>::new(Some(salt.as_bytes()), secret.as_bytes());
        hkdf.expand(info.as_bytes(), &mut key)
            .expect("a length within HKDF's reach");
        Self(key)
    }

    /// Derives the key of Auth.js v5.
    pub fn authjs(secret: &str, salt: &str, len: usize) -> Self {
        let info = format!("Auth.js Generated Encryption Key ({salt})");
        Self::derive(secret, salt, &info, len)
    }

    /// Derives the key of NextAuth v4, whose session cookies have no salt.
    pub fn nextauth(secret: &str) -> Self {
        Self::derive(secret, "", "NextAuth.js Generated Encryption Key", 32)
    }

    /// Derives the key of Better Auth's encrypted cache.
    pub fn better_auth(secret: &str) -> Self {
        let info = "BetterAuth.js Generated Encryption Key";
        Self::derive(secret, "better-auth-session", info, 64)
    }

    /// The key's thumbprint, with the hash `D`.
    pub fn kid<D: Digest>(&self) -> String {
        let jwk = format!(r#"{{"k":"{}","kty":"oct"}}"#, base64url(&self.0));
        base64url(&D::digest(jwk))
    }

    /// Seals any text as a compact JWE with a valid tag. The initialization vector is always the same.
    pub fn seal(&self, header: &[u8], text: &[u8]) -> String {
        let header = base64url(header);
        let (iv, text, tag) = match self.0.len() {
            32 => {
                let (msg, aad) = (text, header.as_bytes());
                let mut text = self
                    .gcm()
                    .encrypt(&[7; 12].into(), Payload { msg, aad })
                    .expect("a text of bounded length");
                let tag = text.split_off(text.len() - 16);
                (vec![7; 12], text, tag)
            }
            _ => {
                let (_, aes) = self.0.split_at(32);
                let cbc = cbc::Encryptor::<aes::Aes256>::new_from_slices(aes, &[7; 16]);
                let text = cbc
                    .expect("32 and 16 bytes")
                    .encrypt_padded_vec::<Pkcs7>(text);
                let tag = self.tag(header.as_bytes(), &[7; 16], &text);
                (vec![7; 16], text, tag)
            }
        };
        let [iv, text, tag] = [iv, text, tag].map(|part| base64url(&part));
        format!("{header}..{iv}.{text}.{tag}")
    }

    /// Opens a JWE; `None` when its tag is not valid.
    pub fn open(&self, header: &str, iv: &[u8], text: &[u8], tag: &[u8]) -> Option<Vec<u8>> {
        if self.0.len() == 32 {
            let msg = [text, tag].concat();
            let (msg, aad) = (&msg[..], header.as_bytes());
            let iv: [u8; 12] = iv.try_into().ok()?;
            return self.gcm().decrypt(&iv.into(), Payload { msg, aad }).ok();
        }
        if self.tag(header.as_bytes(), iv, text) != tag {
            return None;
        }
        let cbc = cbc::Decryptor::<aes::Aes256>::new_from_slices(&self.0[32..], iv).ok()?;
        cbc.decrypt_padded_vec::<Pkcs7>(text).ok()
    }

    fn gcm(&self) -> Aes256Gcm {
        Aes256Gcm::new_from_slice(&self.0).expect("32 bytes")
    }

    fn tag(&self, header: &[u8], iv: &[u8], text: &[u8]) -> Vec<u8> {
        let bits = (8 * header.len() as u64).to_be_bytes();
        let mac = Hmac::<Sha512>::new_from_slice(&self.0[..32]).expect("any length");
        let mac = mac.chain_update(header).chain_update(iv);
        let tag = mac.chain_update(text).chain_update(bits).finalize();
        tag.into_bytes()[..32].to_vec()
    }
}

/// The HMAC-SHA-256 of `text`, with the secret itself as the key.
pub fn sign(secret: &str, text: &[u8]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.chain_update(text).finalize().into_bytes().to_vec()
}

/// Signs any header and claims as a JWS.
pub fn sign_jwt(secret: &str, header: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(claims));
    let signature = base64url(&sign(secret, signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// Signs any session and expiry as Better Auth's compact cache.
pub fn sign_compact(secret: &str, session: &[u8], expires_at: &[u8]) -> String {
    let members = session.strip_suffix(b"}").unwrap_or(session);
    let signed = [members, b",\"expiresAt\":", expires_at, b"}"].concat();
    let signature = base64url(&sign(secret, &signed));
    base64url(
        &[
            b"{\"session\":",
            session,
            b",\"expiresAt\":",
            expires_at,
            b",\"signature\":\"",
            signature.as_bytes(),
            b"\"}",
        ]
        .concat(),
    )
}

/// Signs any text as Better Auth's session token.
pub fn sign_token(secret: &str, token: &str) -> String {
    let signature = base64(&sign(secret, token.as_bytes()), STANDARD);
    format!("{token}.{signature}=")
}

/// Encodes to unpadded base64url.
pub fn base64url(bytes: &[u8]) -> String {
    base64(bytes, URL_SAFE)
}

fn base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let sextets = bytes.chunks(3).flat_map(|three| {
        let number = three
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let number = number << (8 * (3 - three.len()));
        (0..=three.len()).map(move |at| number >> (18 - 6 * at) & 63)
    });
    sextets.map(|sextet| char::from(alphabet[sextet])).collect()
}

/// Decodes base64 as JavaScript does: in either alphabet, up to the first `=`, ignoring foreign characters and spare bits.
pub fn lax_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut number, mut bits) = (0_u32, 0);
    for byte in text.bytes().take_while(|byte| *byte != b'=') {
        let sextet = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        number = number << 6 | u32::from(sextet);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((number >> bits) as u8);
            number &= (1 << bits) - 1;
        }
    }
    bytes
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
