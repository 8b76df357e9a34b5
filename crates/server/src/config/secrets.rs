//! The session secrets of the tools, `open` and `mint`: as given on the command line, or from the variables that the gate
//! reads them from. Unlike the gate, a tool refuses none for being weak: it warns.

use std::path::PathBuf;
use std::{error, fmt, fs};

use session::Secret;

use super::raw::{Problem, Reader, Variables, without_final_newline};
use super::sessions::{authjs_secrets, better_auth_secrets};

/// Secrets in the order in which the frameworks take them, the current one first. There is at least one.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// Those of Auth.js and NextAuth.
    pub(crate) authjs: Vec<Secret>,
    /// Those of Better Auth.
    pub(crate) better_auth: Vec<Secret>,
    /// What is weak, and why.
    pub(crate) warnings: Vec<String>,
}

impl Secrets {
    /// The secrets that `--secret` and `--secret-file` name, in this order; without any, those of the environment.
    ///
    /// # Errors
    /// [`SecretErrors`] when a file cannot be read, a variable does not hold what it should, or there is no secret.
    pub(crate) fn read(
        given: Vec<Secret>,
        files: &[PathBuf],
        variables: &Variables,
    ) -> Result<Self, SecretErrors> {
        if given.is_empty() && files.is_empty() {
            return Self::of_environment(variables);
        }
        let mut problems = Vec::new();
        let mut problem = |name: &str, what| {
            let name = name.to_owned();
            problems.push(Problem { name, what });
        };
        let mut named: Vec<_> = given
            .into_iter()
            .map(|secret| ("--secret", secret))
            .collect();
        for path in files {
            match fs::read(path) {
                Ok(bytes) => {
                    named.push(("--secret-file", Secret::new(without_final_newline(bytes))));
                }
                Err(error) => problem(
                    "--secret-file",
                    format!("cannot read `{}`: {error}", path.display()),
                ),
            }
        }
        for (name, _) in named.iter().filter(|(_, secret)| secret.is_empty()) {
            problem(name, "the secret is empty".to_owned());
        }
        if !problems.is_empty() {
            return Err(SecretErrors(problems));
        }
        let warnings = named
            .iter()
            .filter_map(|(name, secret)| warning(name, secret))
            .collect();
        let secrets: Vec<_> = named.into_iter().map(|(_, secret)| secret).collect();
        Ok(Self {
            authjs: secrets.clone(),
            better_auth: secrets,
            warnings,
        })
    }

    /// The secrets that the gate would read. Where only Better Auth's are set, they serve for everything.
    fn of_environment(variables: &Variables) -> Result<Self, SecretErrors> {
        let mut reader = Reader::new(variables);
        let mut warnings = Vec::new();
        let mut vet = |reader: &mut Reader<'_>, name: &str, secret: Secret| {
            if secret.is_empty() {
                reader.problem(name, "a secret in it is empty");
                return None;
            }
            warnings.extend(warning(name, &secret));
            Some(secret)
        };
        let authjs = authjs_secrets(&mut reader, &mut vet);
        let better_auth = better_auth_secrets(&mut reader, &authjs, &mut vet);
        if better_auth.is_empty() && reader.problems.is_empty() {
            reader.problem("AUTH_SECRET", NO_SECRET);
        }
        if !reader.problems.is_empty() {
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

/// Everything that is wrong with what was given as secrets.
#[derive(Debug)]
pub(crate) struct SecretErrors(Vec<Problem>);

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

const NO_SECRET: &str = "no secret is set; give that of your app in it, or in NEXTAUTH_SECRET, JWT_SECRET or \
                         BETTER_AUTH_SECRET, or in a file (AUTH_SECRET_FILE, --secret-file)";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<Secrets, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let variables = Variables::default().with(pairs);
        Secrets::read(Vec::new(), &[], &variables).map_err(|error| error.to_string())
    }

    fn texts(secrets: &[Secret]) -> Vec<&str> {
        secrets
            .iter()
            .map(|secret| std::str::from_utf8(secret.expose()).unwrap())
            .collect()
    }

    #[test]
    fn each_framework_has_the_secrets_that_it_would_read() {
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
    fn no_secret_at_all_is_a_problem() {
        assert!(read(&[]).unwrap_err().contains("AUTH_SECRET"));
    }
}
