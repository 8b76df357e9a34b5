//! `sessiongate mint`: reads the arguments and prints the cookies.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use session::CookieName;

use super::secrets::{SecretArguments, warn};
use crate::config::{Variables, production_variable};
use crate::mint::{self, MintFormat, NewSession, Random};
use crate::{clock, output, random};

#[derive(Debug, Args)]
pub(super) struct MintArguments {
    /// The format of the session.
    #[arg(long, value_enum)]
    format: MintFormat,
    /// The user's id. A `better-auth-token` does not contain it; the app's store says whose session it is.
    #[arg(long, value_name = "ID")]
    user: String,
    /// The user's e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// The user's name.
    #[arg(long)]
    name: Option<String>,
    /// Seconds until the session expires; a negative number makes an expired session. By default 3600.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    expires_in: Option<i64>,
    #[command(flatten)]
    secrets: SecretArguments,
    /// The name of the session cookie, for Better Auth that of `session_token`. By default the framework's name over plain
    /// HTTP.
    #[arg(long, value_name = "NAME")]
    cookie_name: Option<CookieName>,
    /// A further claim with a JSON value: `--claim role='"admin"'`. May be repeated. For Better Auth it becomes a member of
    /// `user`.
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// The version of Better Auth's cookie cache. By default 1.
    #[arg(long, value_name = "VERSION")]
    cache_version: Option<String>,
    /// Print Set-Cookie headers, one per line, instead of the value of a Cookie header.
    #[arg(long)]
    set_cookie: bool,
}

/// Mints the session. If the arguments are wrong, says so and returns exit code 2.
pub(super) fn run(arguments: MintArguments, variables: &Variables) -> Result<ExitCode> {
    if let Some(name) = production_variable(variables) {
        bail!(
            "`mint` must not run in production, because it signs users in, and {name} is set to production"
        );
    }
    match minted(arguments, variables) {
        Ok(text) => {
            output::print(&format!("{text}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::print_error(&format!(
                "error: {error:#}\n\nFor more information, try 'sessiongate mint --help'.\n"
            ));
            Ok(ExitCode::from(2))
        }
    }
}

fn minted(arguments: MintArguments, variables: &Variables) -> Result<String> {
    arguments.check()?;
    let secrets = arguments.secrets.read(variables, false)?;
    warn("", &secrets);
    let secrets = match arguments.format.is_better_auth() {
        true => secrets.better_auth,
        false => secrets.authjs,
    };
    let secret = secrets.first().context("there is no secret")?;
    let session = NewSession {
        format: arguments.format,
        user: arguments.user,
        email: arguments.email,
        name: arguments.name,
        cookie_name: arguments.cookie_name,
        claims: arguments.claims,
        expires_in: arguments.expires_in.unwrap_or(DEFAULT_LIFETIME),
        cache_version: arguments.cache_version.unwrap_or_else(|| "1".to_owned()),
        now: clock::now(),
    };
    let random = Random {
        iv: random::bytes()?,
        id: random::hex::<16>()?,
        token: random::hex::<16>()?,
    };
    let cookies = mint::cookies(&session, secret, &random)?;
    let consequence = match session.format.has_claims() {
        true => format!(
            "is signed in as {:?}, wherever this secret is in use",
            session.user
        ),
        // The output does not contain the user.
        false => format!(
            "has a genuine token that names no user: once the app's store has a session with this token, they are signed \
             in as the user of that session, which may be {:?} or another",
            session.user
        ),
    };
    output::print_error(&format!(
        "WARNING: anybody who has this output {consequence}. Use it for tests and development only.\n"
    ));
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    Ok(match arguments.set_cookie {
        true => {
            let lines = cookies.iter().zip(pairs).map(|((name, _), pair)| {
                let attributes = mint::attributes(name, session.expires_in);
                format!("Set-Cookie: {pair}; {attributes}")
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        false => pairs.collect::<Vec<_>>().join("; "),
    })
}

impl MintArguments {
    /// Checks that every given option has an effect, and that none is given twice.
    fn check(&self) -> Result<()> {
        let format = self.format;
        let given = [
            ("--email", self.email.is_some(), format.has_claims()),
            ("--name", self.name.is_some(), format.has_claims()),
            ("--claim", !self.claims.is_empty(), format.has_claims()),
            (
                "--expires-in",
                self.expires_in.is_some(),
                format.has_claims() || self.set_cookie,
            ),
            (
                "--cache-version",
                self.cache_version.is_some(),
                format.is_better_auth() && format.has_claims(),
            ),
        ];
        for (option, is_given, has_effect) in given {
            if is_given && !has_effect {
                let word = super::word(&format);
                let why = match (option, format.is_better_auth()) {
                    ("--cache-version", false) => "it has no cookie cache",
                    ("--expires-in", _) => {
                        "the app's store says when the session expires; it would only change the Max-Age of --set-cookie"
                    }
                    _ => "it is only a token; everything else is in the app's store",
                };
                bail!("{option} has no effect on `{word}`: {why}");
            }
        }
        if self.secrets.count() > 1 {
            bail!("a session is sealed with one secret: give --secret or --secret-file once");
        }
        for (index, (name, _)) in self.claims.iter().enumerate() {
            self.check_claim(name)?;
            if self.claims[..index].iter().any(|(other, _)| other == name) {
                bail!("--claim {name}=…: it is given twice");
            }
        }
        Ok(())
    }

    /// Checks that no other option sets this claim, because the two could contradict each other.
    fn check_claim(&self, name: &str) -> Result<()> {
        let option = match (self.format.is_better_auth(), name) {
            (_, "") => bail!("--claim: the name before the `=` is missing"),
            (false, "sub") | (true, "id") => "--user",
            (false, "exp") => "--expires-in",
            (_, "email") if self.email.is_some() => "--email",
            (_, "name") if self.name.is_some() => "--name",
            _ => return Ok(()),
        };
        bail!("--claim {name}=…: use {option} to set it");
    }
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it is not of the form NAME=JSON")?;
    let value = serde_json::from_str(value)
        .map_err(|_| format!("the value is not JSON; a text needs quotes: {name}='\"text\"'"))?;
    Ok((name.to_owned(), value))
}

/// The lifetime of a session by default, in seconds.
const DEFAULT_LIFETIME: i64 = 3600;
