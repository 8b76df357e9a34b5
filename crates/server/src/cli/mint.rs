//! `sessiongate mint`: reading the order, printing the cookies.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;
use session::CookieName;

use super::secrets::{SecretArguments, warn};
use crate::config::{Variables, says_production};
use crate::mint::{self, Format, Order, Random};
use crate::{clock, output, random};

#[derive(Debug, Args)]
pub(super) struct MintArguments {
    /// How the session is written.
    #[arg(long, value_enum)]
    format: Format,
    /// The user's id.
    #[arg(long, value_name = "ID")]
    user: String,
    /// The user's e-mail address.
    #[arg(long)]
    email: Option<String>,
    /// The user's name.
    #[arg(long)]
    name: Option<String>,
    /// Seconds until the session ends; a negative number makes one that has ended.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 3600,
        allow_negative_numbers = true
    )]
    expires_in: i64,
    #[command(flatten)]
    secrets: SecretArguments,
    /// The name of the session cookie; for Better Auth that of `session_token`. Otherwise the default on plain http.
    #[arg(long, value_name = "NAME")]
    cookie_name: Option<CookieName>,
    /// One more claim, its value in JSON: `--claim role='"admin"'`. For Better Auth it becomes a member of `user`.
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = claim)]
    claims: Vec<(String, Value)>,
    /// The version of Better Auth's cookie cache.
    #[arg(long, value_name = "VERSION", default_value = "1")]
    cache_version: String,
    /// Print Set-Cookie headers, one a line, instead of the value of a Cookie header.
    #[arg(long)]
    set_cookie: bool,
}

/// Mints, or says what is wrong with the order, which is exit code 2.
pub(super) fn run(arguments: MintArguments, variables: &Variables) -> Result<ExitCode> {
    if let Some(name) = says_production(variables) {
        bail!(
            "minting signs users in, so it must not happen in production, and {name} says production"
        );
    }
    match minted(arguments, variables) {
        Ok(text) => {
            output::print(&format!("{text}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            output::complain(&format!(
                "error: {error:#}\n\nFor more information, try 'sessiongate mint --help'.\n"
            ));
            Ok(ExitCode::from(2))
        }
    }
}

fn minted(arguments: MintArguments, variables: &Variables) -> Result<String> {
    let secrets = arguments.secrets.read(variables, false)?;
    warn("", &secrets);
    let secrets = match arguments.format.is_better_auth() {
        true => secrets.better_auth,
        false => secrets.authjs,
    };
    let secret = secrets.first().context("there is no secret")?;
    let order = Order {
        format: arguments.format,
        user: arguments.user,
        email: arguments.email,
        name: arguments.name,
        cookie_name: arguments.cookie_name,
        claims: arguments.claims,
        expires_in: arguments.expires_in,
        cache_version: arguments.cache_version,
        now: clock::now(),
    };
    let random = Random {
        iv: random::bytes()?,
        id: random::hex::<16>()?,
        token: random::hex::<16>()?,
    };
    let cookies = mint::cookies(&order, secret, &random)?;
    output::complain(&format!(
        "WARNING: whoever has what is printed here is signed in as {:?}, wherever this secret is believed. For tests \
         and development only.\n",
        order.user
    ));
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    Ok(match arguments.set_cookie {
        true => {
            let lines = cookies.iter().zip(pairs).map(|((name, _), pair)| {
                let attributes = mint::attributes(name, order.expires_in);
                format!("Set-Cookie: {pair}; {attributes}")
            });
            lines.collect::<Vec<_>>().join("\n")
        }
        false => pairs.collect::<Vec<_>>().join("; "),
    })
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("it is not of the form NAME=JSON")?;
    let value = serde_json::from_str(value)
        .map_err(|_| format!("the value is not JSON; a text needs quotes: {name}='\"text\"'"))?;
    Ok((name.to_owned(), value))
}
