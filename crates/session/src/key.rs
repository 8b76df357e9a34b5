//! Encryption keys: derived from a secret once, then used to open tokens.
//!
//! The frameworks derive the key with HKDF-SHA-256 (RFC 5869) from the secret's bytes. They differ in salt and `info`, and
//! in the hash with which a header names the key (`kid`, a thumbprint as in RFC 7638):
//!
//! | | salt | info | kid |
//! |---|---|---|---|
//! | Auth.js v5, `@auth/core` `src/jwt.ts` | the cookie's name | `Auth.js Generated Encryption Key (<salt>)` | SHA-512 |
//! | with A256GCM | | | SHA-256 |
//! | NextAuth v4, `src/jwt/index.ts` | empty | `NextAuth.js Generated Encryption Key`, and ` (<salt>)` if there is one | none |
//! | Better Auth, `dist/crypto/jwt.mjs` | `better-auth-session` | `BetterAuth.js Generated Encryption Key` | SHA-256 |

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{constant_time, digest, hkdf, hmac};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use zeroize::Zeroizing;

use crate::Secret;
use crate::base64url::{decode, decode_exactly};
use crate::cookie::Library;
use crate::error::{OpenError, Segment};
use crate::jwe::{Enc, Jwe};

/// How a key is derived from a secret.
#[derive(Clone, Copy)]
pub(crate) enum Derivation<'a> {
    BetterAuth,
    Encrypted {
        library: Library,
        salt: &'a str,
        enc: Enc,
    },
}

impl Derivation<'_> {
    fn enc(self) -> Enc {
        match self {
            Self::BetterAuth => Enc::A256CbcHs512,
            Self::Encrypted { enc, .. } => enc,
        }
    }

    fn salt(&self) -> &str {
        match self {
            Self::BetterAuth => "better-auth-session",
            Self::Encrypted { salt, .. } => salt,
        }
    }

    fn info(self) -> String {
        match self {
            Self::BetterAuth => "BetterAuth.js Generated Encryption Key".to_owned(),
            Self::Encrypted { library, salt, .. } => match (library, salt) {
                (Library::AuthJs, _) => format!("Auth.js Generated Encryption Key ({salt})"),
                (Library::NextAuth, "") => "NextAuth.js Generated Encryption Key".to_owned(),
                (Library::NextAuth, _) => format!("NextAuth.js Generated Encryption Key ({salt})"),
            },
        }
    }

    /// The hash of the key's thumbprint. Auth.js uses the hash that has as many bits as the key.
    fn kid_hash(self) -> &'static digest::Algorithm {
        match self {
            Self::Encrypted {
                enc: Enc::A256CbcHs512,
                ..
            } => &digest::SHA512,
            Self::BetterAuth | Self::Encrypted { .. } => &digest::SHA256,
        }
    }
}

/// The bytes of a derived key, zeroized on drop.
pub(crate) struct KeyBytes {
    enc: Enc,
    kid_hash: &'static digest::Algorithm,
    bytes: Zeroizing<[u8; 64]>,
}

impl KeyBytes {
    pub(crate) fn derive(secret: &Secret, derivation: Derivation<'_>) -> Self {
        let enc = derivation.enc();
        let mut bytes = Zeroizing::new([0; 64]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, derivation.salt().as_bytes())
            .extract(secret.expose())
            .expand(&[derivation.info().as_bytes()], OutputLen(enc.key_len()))
            .and_then(|output| output.fill(&mut bytes[..enc.key_len()]))
            .expect("32 and 64 bytes are within what HKDF-SHA-256 can give");
        Self {
            enc,
            kid_hash: derivation.kid_hash(),
            bytes,
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.enc.key_len()]
    }

    /// The key's thumbprint (RFC 7638).
    pub(crate) fn kid(&self) -> String {
        let k = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.as_slice()));
        let jwk = Zeroizing::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, *k));
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(self.kid_hash, jwk.as_bytes()))
    }

    /// The header segment that the framework writes with this key. A256CBC-HS512 came to Auth.js together with `kid`,
    /// and A256GCM never had one; Better Auth always writes one.
    pub(crate) fn usual_header(&self) -> String {
        let enc = self.enc.as_str();
        BASE64_URL_SAFE_NO_PAD.encode(match self.enc {
            Enc::A256CbcHs512 => format!(r#"{{"alg":"dir","enc":"{enc}","kid":"{}"}}"#, self.kid()),
            Enc::A256Gcm => format!(r#"{{"alg":"dir","enc":"{enc}"}}"#),
        })
    }

    /// Encrypts `plaintext` under `iv` (16 bytes for A256CBC-HS512, 12 for A256GCM) to a whole token.
    pub(crate) fn seal(&self, header: &str, iv: Iv, plaintext: &[u8]) -> String {
        let mut text = plaintext.to_vec();
        let (iv, tag) = match iv {
            Iv::Cbc(iv) => {
                let (mac, aes) = self.bytes.split_at(32);
                let aes = UnboundCipherKey::new(&AES_256, aes)
                    .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
                    .expect("32 bytes are an AES-256 key");
                aes.less_safe_encrypt(&mut text, EncryptionContext::Iv128(FixedLength::from(&iv)))
                    .expect("CBC with padding takes any length");
                let mac = hmac::Key::new(hmac::HMAC_SHA512, mac);
                let mut mac = with_header(&mac, header.as_bytes());
                finish_message(&mut mac, header.as_bytes(), &iv, &text);
                let tag = mac.sign();
                (iv.to_vec(), tag.as_ref()[..32].to_vec())
            }
            Iv::Gcm(iv) => {
                let key = gcm_key(&self.bytes[..32]);
                let nonce = Nonce::assume_unique_for_key(iv);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(header), &mut text)
                    .expect("GCM takes any length that fits in memory");
                (iv.to_vec(), tag.as_ref().to_vec())
            }
        };
        let [iv, text, tag] = [iv, text, tag].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        format!("{header}..{iv}.{text}.{tag}")
    }
}

/// The initialization vector of a token to be sealed.
#[derive(Clone, Copy)]
pub(crate) enum Iv {
    Cbc([u8; 16]),
    Gcm([u8; 12]),
}

/// A key ready for use, with everything that can be computed before a request arrives.
pub(crate) struct ContentKey {
    pub(crate) enc: Enc,
    /// The thumbprint by which a header names this key.
    pub(crate) kid: Box<str>,
    /// The header segment of nearly every token that this key opens.
    pub(crate) usual_header: Box<str>,
    cipher: Cipher,
}

enum Cipher {
    A256CbcHs512 {
        mac: Box<hmac::Key>,
        /// The HMAC context with the usual header already in it. That is the first of the five blocks that SHA-512 processes
        /// for a session of 480 characters.
        with_usual_header: Box<hmac::Context>,
        aes: Box<PaddedBlockDecryptingKey>,
    },
    A256Gcm(LessSafeKey),
}

impl ContentKey {
    pub(crate) fn new(key: &KeyBytes) -> Self {
        let usual_header = key.usual_header();
        let cipher = match key.enc {
            Enc::A256CbcHs512 => {
                let (mac, aes) = key.bytes.split_at(32);
                let mac = Box::new(hmac::Key::new(hmac::HMAC_SHA512, mac));
                let with_usual_header = Box::new(with_header(&mac, usual_header.as_bytes()));
                let aes = UnboundCipherKey::new(&AES_256, aes)
                    .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
                    .expect("32 bytes are an AES-256 key");
                Cipher::A256CbcHs512 {
                    mac,
                    with_usual_header,
                    aes: Box::new(aes),
                }
            }
            Enc::A256Gcm => Cipher::A256Gcm(gcm_key(&key.bytes[..32])),
        };
        Self {
            enc: key.enc,
            kid: key.kid().into(),
            usual_header: usual_header.into(),
            cipher,
        }
    }

    /// Verifies the token and returns its plaintext.
    ///
    /// # Errors
    /// [`OpenError::MalformedToken`] before any cryptography, [`OpenError::RejectedTag`] for everything after.
    pub(crate) fn open(&self, jwe: &Jwe<'_>) -> Result<Vec<u8>, OpenError> {
        match &self.cipher {
            Cipher::A256CbcHs512 {
                mac,
                with_usual_header,
                aes,
            } => {
                let iv: [u8; 16] = decode_exactly(jwe.iv, Segment::Iv)?;
                let tag: [u8; 32] = decode_exactly(jwe.tag, Segment::Tag)?;
                let mut text = decode(jwe.ciphertext, Segment::Ciphertext)?;
                if text.len() % 16 != 0 {
                    return Err(OpenError::MalformedToken {
                        segment: Segment::Ciphertext,
                    });
                }
                // Verify the tag first: checking the padding of an unverified text would be a padding oracle.
                let mut mac = if jwe.header == self.usual_header.as_bytes() {
                    hmac::Context::clone(with_usual_header)
                } else {
                    with_header(mac, jwe.header)
                };
                finish_message(&mut mac, jwe.header, &iv, &text);
                constant_time::verify_slices_are_equal(&mac.sign().as_ref()[..32], &tag)
                    .map_err(|_| OpenError::RejectedTag)?;
                let len = aes
                    .decrypt(&mut text, DecryptionContext::Iv128(FixedLength::from(&iv)))
                    .map_err(|_| OpenError::RejectedTag)?
                    .len();
                text.truncate(len);
                Ok(text)
            }
            Cipher::A256Gcm(key) => {
                let iv = decode_exactly(jwe.iv, Segment::Iv)?;
                let tag: [u8; 16] = decode_exactly(jwe.tag, Segment::Tag)?;
                let mut text = decode(jwe.ciphertext, Segment::Ciphertext)?;
                let nonce = Nonce::assume_unique_for_key(iv);
                key.open_in_place_separate_tag(nonce, Aad::from(jwe.header), &tag, &mut text)
                    .map_err(|_| OpenError::RejectedTag)?;
                Ok(text)
            }
        }
    }
}

/// The longest salt, in bytes, with which HKDF's `info` stays within the 1024 bytes that the frameworks allow (`@panva/hkdf`).
pub(crate) fn max_salt_len(library: Library) -> usize {
    let one = Derivation::Encrypted {
        library,
        salt: " ",
        enc: Enc::A256Gcm,
    };
    1024 - one.info().len() + 1
}

struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

/// Starts the HMAC-SHA-512 of RFC 7518 section 5.2.2.1 with the header. The token carries the first half of the result.
fn with_header(mac: &hmac::Key, header: &[u8]) -> hmac::Context {
    let mut mac = hmac::Context::with_key(mac);
    mac.update(header);
    mac
}

/// Adds the rest of the message, after the [header](with_header), to the HMAC.
fn finish_message(mac: &mut hmac::Context, header: &[u8], iv: &[u8; 16], ciphertext: &[u8]) {
    let header_bits = 8 * header.len() as u64;
    mac.update(iv);
    mac.update(ciphertext);
    mac.update(&header_bits.to_be_bytes());
}

fn gcm_key(bytes: &[u8]) -> LessSafeKey {
    let key = UnboundKey::new(&aead::AES_256_GCM, bytes).expect("32 bytes are an AES-256 key");
    LessSafeKey::new(key)
}

/// The largest number of keys to try on a token that names none: a hostile token must not cost many times what an honest one
/// costs. The defaults of Auth.js and NextAuth need three: two for Auth.js v5, whose salt is the cookie's name, and one for
/// NextAuth v4.
pub(crate) const MAX_GUESSES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7518 appendix B.3.
    #[test]
    fn a256cbc_hs512_follows_the_rfc() {
        let mut bytes = Zeroizing::new([0; 64]);
        for (byte, value) in bytes.iter_mut().zip(0..) {
            *byte = value;
        }
        let key = KeyBytes {
            enc: Enc::A256CbcHs512,
            kid_hash: &digest::SHA512,
            bytes,
        };
        let iv = 0x1af3_8c2d_c2b9_6ffd_d866_9409_2341_bc04_u128.to_be_bytes();
        let aad = "The second principle of Auguste Kerckhoffs";
        let text = b"A cipher system must not be required to be secret, and it must be able to fall into the hands \
            of the enemy without inconvenience";
        let token = key.seal(aad, Iv::Cbc(iv), text);

        let jwe = Jwe::split(token.as_bytes()).expect("a token");
        let tag: [u8; 32] = decode_exactly(jwe.tag, Segment::Tag).expect("a tag");
        assert_eq!(
            tag[..16],
            0x4dd3_b4c0_88a7_f45c_2168_3964_5b20_12bf_u128.to_be_bytes()
        );
        assert_eq!(
            tag[16..],
            0x2e62_69a8_c56a_816d_bc1b_2677_6195_5bc5_u128.to_be_bytes()
        );
        assert_eq!(ContentKey::new(&key).open(&jwe), Ok(text.to_vec()));
    }
}
