//! What is to be said of secrets, and of the files that hold them.

use std::fs;

use session::Weakness;

use super::catalogue::settings as checks;
use super::entropy;
use super::finding::Finding;
use super::settings::of_realm;
use crate::config::{GivenSecret, Purpose, SecretFile};

/// What is to be said of the secrets, one by one and beside each other.
pub(super) fn judge(secrets: &[GivenSecret]) -> Vec<Finding> {
    let one_by_one = secrets.iter().filter_map(weakness);
    let pairs = secrets.iter().enumerate().flat_map(|(index, one)| {
        let others = secrets[index + 1..].iter();
        others.map(move |other| (one, other))
    });
    let shared = pairs.filter_map(|(one, other)| shared(one, other));
    one_by_one.chain(shared).collect()
}

fn weakness(given: &GivenSecret) -> Option<Finding> {
    let secret = &given.secret;
    // Its value counts from this machine alone, and `bypass-on` says enough.
    if given.purpose == Purpose::Bypass && secret.expose() == b"true" {
        return None;
    }
    let subject = name(given);
    match secret.weakness() {
        Some(Weakness::Placeholder) => {
            let seen = "it reads like a sample that everybody knows";
            Some(Finding::new(&checks::SECRET_KNOWN, subject, seen))
        }
        Some(Weakness::Empty | Weakness::TooShort { .. }) => {
            let seen = format!("it has {} bytes; 32 are needed", secret.len());
            Some(Finding::new(&checks::SECRET_SHORT, subject, seen))
        }
        None => {
            let bits = entropy::bits(secret.expose());
            let seen = format!(
                "it has {} bytes, and by its looks about {bits:.0} bits of randomness at most; 100 are the least",
                secret.len()
            );
            (bits < LEAST_BITS).then(|| Finding::new(&checks::SECRET_GUESSABLE, subject, seen))
        }
    }
}

/// Two secrets that should not be the same. Within one app a secret may stand in several variables.
fn shared(one: &GivenSecret, other: &GivenSecret) -> Option<Finding> {
    let is_one_use = one.realm == other.realm && one.purpose == other.purpose;
    if is_one_use || one.secret.is_empty() || one.secret.expose() != other.secret.expose() {
        return None;
    }
    let (one, other) = (name(one), name(other));
    let seen = format!("{one} and {other} hold the same secret");
    Some(Finding::new(&checks::SECRET_SHARED, other, seen))
}

fn name(given: &GivenSecret) -> String {
    of_realm(&given.realm, &given.setting)
}

/// What is to be said of the rights to these files.
pub(super) fn judge_files(files: &[SecretFile]) -> Vec<Finding> {
    let judged = files.iter().filter_map(|file| {
        let mode = mode(file)?;
        let seen = format!("mode {:04o}, {}", mode & 0o7777, file.setting);
        let subject = format!("file {}", file.path.display());
        (mode & 0o004 != 0).then(|| Finding::new(&checks::SECRET_FILE_READABLE, subject, seen))
    });
    judged.collect()
}

#[cfg(unix)]
fn mode(file: &SecretFile) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(fs::metadata(&file.path).ok()?.mode())
}

/// Elsewhere there are no such rights.
#[cfg(not(unix))]
fn mode(_: &SecretFile) -> Option<u32> {
    None
}

/// A machine that tries a million million secrets a second needs more than the age of the universe for half of them.
const LEAST_BITS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use session::Secret;

    use super::*;

    fn given(realm: &str, setting: &str, purpose: Purpose, secret: &str) -> GivenSecret {
        GivenSecret {
            realm: realm.to_owned(),
            setting: setting.to_owned(),
            purpose,
            secret: Secret::new(secret),
        }
    }

    const STRONG: &str = "mXk3Jc0aHq9vQ2fLw7tYp5RzN8sBd1GuEoVi6xCyTnKh";

    #[test]
    fn a_weak_secret_is_named_and_not_shown() {
        for (secret, id) in [
            ("hunter2-hunter2", "secret-short"),
            ("better-auth-secret-12345678901234567890", "secret-known"),
            ("this-is-the-secret-of-our-company", "secret-guessable"),
        ] {
            let found = judge(&[given("default", "AUTH_SECRET", Purpose::AuthJs, secret)]);
            let [finding] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_eq!(
                (finding.check.id, finding.subject.as_str()),
                (id, "AUTH_SECRET")
            );
            assert!(!format!("{finding:?}").contains(secret));
        }
        assert!(judge(&[given("default", "AUTH_SECRET", Purpose::AuthJs, STRONG)]).is_empty());
    }

    #[test]
    fn a_secret_may_be_there_twice_for_one_app_only() {
        let first = given("default", "AUTH_SECRET", Purpose::AuthJs, STRONG);
        for (other, subject) in [
            (
                given("default", "NEXTAUTH_SECRET", Purpose::AuthJs, STRONG),
                None,
            ),
            (
                given("shop", "AUTH_SECRET", Purpose::AuthJs, STRONG),
                Some("AUTH_SECRET of realm shop"),
            ),
            (
                given("default", "BETTER_AUTH_SECRET", Purpose::BetterAuth, STRONG),
                Some("BETTER_AUTH_SECRET"),
            ),
            (
                given("default", "ADMIN_TOKEN", Purpose::Admin, STRONG),
                Some("ADMIN_TOKEN"),
            ),
        ] {
            let found = judge(&[first.clone(), other]);
            let subjects = found.first().map(|finding| finding.subject.as_str());
            assert_eq!(subjects, subject);
        }
    }
}
