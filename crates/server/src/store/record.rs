//! What we write to Redis about one user: `{"v":1,"of":"2c26b46b68ffc68f","user":true}`.
//!
//! `of` binds the value to the user table and to the subject. So it says nothing under another key, and nothing to
//! another deployment that shares the server, the prefix and the ids 1, 2 and 3. It is no signature: whoever can write
//! to Redis decides who exists there, and must be trusted with that.

use aws_lc_rs::digest;
use gate::User;
use serde::{Deserialize, Serialize};

/// More bytes than a record ever has: it takes 44 at most.
pub(super) const MAX_LEN: usize = 128;

/// The record that says whether `subject` is a user of `realm`.
pub(super) fn write(user: Option<User>, realm: &str, subject: &str) -> Vec<u8> {
    let record = Record {
        v: VERSION,
        of: seal(realm, subject),
        user: user.is_some(),
    };
    serde_json::to_vec(&record).expect("a number, a string and a boolean can be written as JSON")
}

/// What the value says about `subject`. The outer `None` is for whatever we would not have written about it.
pub(super) fn read(value: &[u8], realm: &str, subject: &str) -> Option<Option<User>> {
    if value.len() > MAX_LEN {
        return None;
    }
    let record: Record = serde_json::from_slice(value).ok()?;
    let ours = record.v == VERSION && record.of == seal(realm, subject);
    ours.then_some(record.user.then_some(User))
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    v: u8,
    of: String,
    user: bool,
}

/// 64 bits of a digest: no accident gets past it.
fn seal(realm: &str, subject: &str) -> String {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in [realm, subject] {
        // With its length, so that no part can be continued by the next.
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest
        .finish()
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Changes with the format, so that nodes of two versions take each other's records for misses.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const REALM: &str = "app users id";

    #[test]
    fn what_we_write_is_what_we_read() {
        for (user, len) in [(Some(User), 43), (None, 44)] {
            let value = write(user, REALM, "7");
            assert_eq!(read(&value, REALM, "7"), Some(user));
            assert_eq!(value.len(), len);
        }
    }

    #[test]
    fn a_record_about_another_table_or_user_is_a_miss() {
        for (realm, subject) in [
            ("app accounts id", "7"),
            (REALM, "8"),
            ("app users id7", ""),
            ("", "app users id7"),
        ] {
            assert_eq!(read(&write(Some(User), realm, subject), REALM, "7"), None);
        }
    }

    #[test]
    fn a_value_that_we_would_not_write_is_a_miss() {
        let ours = String::from_utf8(write(Some(User), REALM, "7")).unwrap();
        for value in [
            "",
            "1",
            "true",
            "null",
            "{}",
            "[]",
            r#"{"v":1,"user":true}"#,
            "\u{0}",
            &ours.replace("\"v\":1", "\"v\":2"),
            &ours.replace("\"v\":1", "\"v\":257"),
            &ours.replace("true", "1"),
            &ours.replace("true", "\"true\""),
            &ours.replace("\"user\":true", "\"user\":false,\"user\":true"),
            &ours.replace("true}", "true,\"admin\":true}"),
            &ours.replace("true}", "true}}"),
            &ours[..ours.len() - 1],
            &format!("{ours}{}", " ".repeat(MAX_LEN)),
        ] {
            assert_eq!(read(value.as_bytes(), REALM, "7"), None, "{value}");
        }
        assert_eq!(read(&[0xff, 0xfe], REALM, "7"), None);
    }
}
