//! The session secrets for the commands `open` and `mint`: from the command line, or from the gate's variables. Unlike the
//! gate, these commands accept weak secrets with a warning.

use std::path::PathBuf;
use std::{error, fmt};

use session::Secret;

use super::catalogue;
use super::given::{self, Given, SecretForm};
use super::reader::{Problem, Reader, Variables};
use super::sessions::{authjs_secrets, better_auth_secrets};

/// Secrets in the order in which the frameworks use them, the current one first.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// Those of Auth.js and NextAuth.
    pub(crate) authjs: Vec<Secret>,
    /// Those of Better Auth.
    pub(crate) better_auth: Vec<Secret>,
    /// Warnings about weak or odd secrets.
    pub(crate) warnings: Vec<String>,
}

impl Secrets {
    /// Reads the secrets of `--secret` and `--secret-file`, in this order; or else those of the environment. If
    /// `is_optional`, there may be none.
    ///
    /// # Errors
    /// [`SecretErrors`] if a file cannot be read, a variable is invalid, or there is no secret.
    pub(crate) fn read(
        given: Vec<Secret>,
        files: &[PathBuf],
        variables: &Variables,
        is_optional: bool,
    ) -> Result<Self, SecretErrors> {
        if given.is_empty() && files.is_empty() {
            return Self::of_environment(variables, is_optional);
        }
        let mut problems = Vec::new();
        let mut problem = |name: &str, what| problems.push(Problem::new(name, what));
        let mut named: Vec<_> = given
            .into_iter()
            .map(|secret| (SECRET, Given::new(SECRET, secret, false, SecretForm::Text)))
            .collect();
        for path in files {
            let source = format!("{SECRET_FILE} {}", path.display());
            match Given::read(&source, path, SecretForm::Text) {
                Ok(given) => named.push((SECRET_FILE, given)),
                Err(error) => problem(
                    SECRET_FILE,
                    format!("cannot read `{}`: {error}", path.display()),
                ),
            }
        }
        for (name, _) in named.iter().filter(|(_, given)| given.secret.is_empty()) {
            problem(name, "the secret is empty".to_owned());
        }
        if !problems.is_empty() {
            return Err(SecretErrors(problems));
        }
        let weak = named
            .iter()
            .filter_map(|(name, given)| warning(name, &given.secret));
        let mut warnings: Vec<_> = weak.collect();
        let given: Vec<_> = named.into_iter().map(|(_, given)| given).collect();
        warnings.extend(given::warnings(&given, true));
        let secrets: Vec<_> = given.into_iter().map(|given| given.secret).collect();
        Ok(Self {
            authjs: secrets.clone(),
            better_auth: secrets,
            warnings,
        })
    }

    /// Reads the gate's secrets. If only those of Better Auth are set, they are used for all formats.
    fn of_environment(variables: &Variables, is_optional: bool) -> Result<Self, SecretErrors> {
        let mut reader = Reader::tolerant(variables);
        let mut warnings = Vec::new();
        let mut check = |reader: &mut Reader<'_>, name: &str, secret: Secret| {
            if secret.is_empty() {
                reader.problem(name, "it contains an empty secret");
                return None;
            }
            warnings.extend(warning(name, &secret));
            Some(secret)
        };
        let authjs = authjs_secrets(&mut reader, &mut check);
        let better_auth = better_auth_secrets(&mut reader, &authjs, &mut check);
        if better_auth.is_empty() && reader.problems.is_empty() && !is_optional {
            reader.problem("AUTH_SECRET", NO_SECRET);
        }
        warnings.extend(reader.warnings());
        if !reader.problems.is_empty() {
            reader.explain_problems();
            let others: Vec<_> = catalogue::entries().map(|entry| entry.name).collect();
            let probable_typos = reader.probable_typos(&others);
            for problem in &mut reader.problems {
                if problem.what == NO_SECRET {
                    let probable_typos =
                        probable_typos.iter().map(|typo| format!("; note: {typo}"));
                    problem.what.extend(probable_typos);
                }
            }
            return Err(SecretErrors(reader.problems));
        }
        let authjs = match authjs.is_empty() {
            true => better_auth.clone(),
            false => authjs,
        };
        Ok(Self {
            authjs,
            better_auth,
            warnings,
        })
    }
}

fn warning(name: &str, secret: &Secret) -> Option<String> {
    Some(format!("{name}: {}", secret.weakness()?))
}

/// The problems of secrets, or of settings that say which sessions are recognized.
#[derive(Debug)]
pub(crate) struct SecretErrors(pub(super) Vec<Problem>);

impl fmt::Display for SecretErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl error::Error for SecretErrors {}

const SECRET: &str = "--secret";
const SECRET_FILE: &str = "--secret-file";

const NO_SECRET: &str = "no secret is set; set it to the secret of your app, or set NEXTAUTH_SECRET, JWT_SECRET or \
     BETTER_AUTH_SECRET, or use a file (AUTH_SECRET_FILE, --secret-file)";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Secrets, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let variables = Variables::default().with(pairs);
        Secrets::read(Vec::new(), &[], &variables, false).map_err(|error| error.to_string())
    }

    fn texts(secrets: &[Secret]) -> Vec<&str> {
        secrets
            .iter()
            .map(|secret| std::str::from_utf8(secret.expose()).unwrap())
            .collect()
    }

    #[test]
    fn each_framework_gets_the_secrets_it_reads() {
        let secrets = read(&[
            ("AUTH_SECRET", "a"),
            ("AUTH_SECRET_1", "b"),
            ("NEXTAUTH_SECRET", "a"),
            ("BETTER_AUTH_SECRETS", "2:d, 1:c"),
            ("BETTER_AUTH_SECRET", "e"),
        ])
        .unwrap();
        assert_eq!(texts(&secrets.authjs), ["b", "a"]);
        assert_eq!(texts(&secrets.better_auth), ["d", "c", "e"]);
        let alone = read(&[("AUTH_SECRET", "a")]).unwrap();
        assert_eq!(texts(&alone.better_auth), ["a"]);
        let alone = read(&[("BETTER_AUTH_SECRET", "a")]).unwrap();
        assert_eq!(texts(&alone.authjs), ["a"]);
    }

    #[test]
    fn missing_secret_is_a_problem() {
        assert!(read(&[]).unwrap_err().contains("AUTH_SECRET"));
        let slipped = read(&[("BETTER_AUTH_SECRT", "a")]).unwrap_err();
        assert!(
            slipped.contains("did you mean BETTER_AUTH_SECRET?"),
            "{slipped}"
        );
    }
}
