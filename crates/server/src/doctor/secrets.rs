//! Examines secrets, and the files that contain them.

use std::fs;

use session::Weakness;

use super::catalogue::settings as checks;
use super::entropy;
use super::finding::Finding;
use super::settings::of_realm;
use crate::config::{GivenSecret, Purpose, SecretFile};

/// The findings about the secrets, one by one and compared with each other.
pub(super) fn assess(secrets: &[GivenSecret]) -> Vec<Finding> {
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
    // This value only works from this machine, and `bypass-on` reports it.
    if given.purpose == Purpose::Bypass && secret.expose() == b"true" {
        return None;
    }
    let subject = name(given);
    match secret.weakness() {
        Some(Weakness::Placeholder) => {
            let seen = "it resembles a well-known sample";
            Some(Finding::new(&checks::SECRET_KNOWN, subject, seen))
        }
        Some(Weakness::Empty | Weakness::TooShort { .. }) => {
            let seen = format!("it has {} bytes; 32 are needed", secret.len());
            Some(Finding::new(&checks::SECRET_SHORT, subject, seen))
        }
        None => {
            let bits = entropy::bits(secret.expose());
            let seen = format!(
                "it has {} bytes, with an estimated {bits:.0} bits of randomness at most; it needs at least 100",
                secret.len()
            );
            (bits < LEAST_BITS).then(|| Finding::new(&checks::SECRET_GUESSABLE, subject, seen))
        }
    }
}

/// Finds equal secrets that should differ. Within one app, several variables may have the same secret.
fn shared(one: &GivenSecret, other: &GivenSecret) -> Option<Finding> {
    let is_one_use = one.realm == other.realm && one.purpose == other.purpose;
    if is_one_use || one.secret.is_empty() || one.secret.expose() != other.secret.expose() {
        return None;
    }
    let (one, other) = (name(one), name(other));
    let seen = format!("{one} and {other} contain the same secret");
    Some(Finding::new(&checks::SECRET_SHARED, other, seen))
}

fn name(given: &GivenSecret) -> String {
    of_realm(&given.realm, &given.setting)
}

/// The findings about the permissions of these files.
pub(super) fn assess_files(files: &[SecretFile]) -> Vec<Finding> {
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

/// Other systems have no such permissions.
#[cfg(not(unix))]
fn mode(_: &SecretFile) -> Option<u32> {
    None
}

/// The fewest acceptable bits of randomness: a machine that tries 10¹² secrets per second needs longer than the age of the
/// universe.
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
            let found = assess(&[given("default", "AUTH_SECRET", Purpose::AuthJs, secret)]);
            let [finding] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_eq!(
                (finding.check.id, finding.subject.as_str()),
                (id, "AUTH_SECRET")
            );
            assert!(!format!("{finding:?}").contains(secret));
        }
        assert!(assess(&[given("default", "AUTH_SECRET", Purpose::AuthJs, STRONG)]).is_empty());
    }

    #[test]
    fn secret_may_be_reused_only_within_one_app() {
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
            let found = assess(&[first.clone(), other]);
            let subjects = found.first().map(|finding| finding.subject.as_str());
            assert_eq!(subjects, subject);
        }
    }
}
