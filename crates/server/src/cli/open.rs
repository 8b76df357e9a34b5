//! `sessiongate open`: reads the arguments and the cookie, and prints the outcome.

use std::io::{self, IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail};
use clap::{Args, ValueEnum};
use session::{CookieName, UnixTime};

use super::secrets::{SecretArguments, warn};
use super::word;
use crate::clock;
use crate::config::{DEFAULT_REALM, Loaded, OpenSettings, Secrets, Variables};
use crate::open::{Inspection, RealmOutcome};
use crate::output;

#[derive(Debug, Args)]
pub(super) struct OpenArguments {
    /// The framework that wrote the session. By default SESSION_FORMAT.
    #[arg(long, value_enum)]
    format: Option<FormatArgument>,
    #[command(flatten)]
    secrets: SecretArguments,
    /// The exact name of the session cookie, for Better Auth that of `session_token`. By default AUTH_COOKIE_NAME, or if
    /// that is unset every default name.
    #[arg(long, value_name = "NAME")]
    cookie_name: Option<CookieName>,
    /// The salt, if the app passes one of its own to `encode()`. By default JWT_SALT, or if that is unset the cookie's name
    /// for Auth.js v5 and no salt for NextAuth v4.
    #[arg(long)]
    salt: Option<String>,
    /// The strategy of Better Auth's cookie cache. By default BETTER_AUTH_CACHE_STRATEGY, or if that is unset it is detected
    /// from the value.
    #[arg(long, value_enum)]
    strategy: Option<StrategyArgument>,
    /// The required version of Better Auth's cookie cache. By default BETTER_AUTH_CACHE_VERSION, or if that is unset 1.
    #[arg(long, value_name = "VERSION")]
    cache_version: Option<String>,
    /// The value of the Authorization header, such as `Bearer eyJ…`. It is used if there is no session cookie.
    #[arg(long, value_name = "VALUE")]
    authorization: Option<String>,
    /// The realm of the configuration file to try, such as `default`. By default every realm is tried.
    #[arg(long, value_name = "NAME")]
    realm: Option<String>,
    /// The time at which to check the session, in seconds since 1970. By default now.
    #[arg(long, value_name = "EPOCH")]
    at: Option<u64>,
    /// Print the outcome as one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArgument {
    /// All of them, distinguished by the cookie's name and the shape of its value.
    Auto,
    /// Auth.js v5.
    #[value(name = "authjs")]
    AuthJs,
    /// The token of a session in the database of an Auth.js or NextAuth app.
    #[value(name = "authjs-database")]
    AuthJsDatabase,
    /// A session that an Auth.js or NextAuth app signs with an `encode()` of its own.
    #[value(name = "authjs-signed")]
    AuthJsSigned,
    /// Better Auth.
    BetterAuth,
    /// NextAuth v4.
    #[value(name = "nextauth")]
    NextAuth,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StrategyArgument {
    /// Signed JSON, Better Auth's default.
    Compact,
    /// An encrypted token.
    Jwe,
    /// A signed token.
    Jwt,
}

/// Prints the outcome. If the arguments or the configuration are wrong, says so and returns exit code 2.
pub(super) fn run(arguments: &OpenArguments, loaded: Result<Loaded>) -> Result<ExitCode> {
    let now = arguments.at.map_or_else(clock::now, UnixTime::from_secs);
    let found = match loaded.and_then(|loaded| inspect(arguments, &loaded, now)) {
        Ok(found) => found,
        Err(error) => {
            output::print_error(&format!(
                "error: {error:#}\n\nFor more information, try 'sessiongate open --help'.\n"
            ));
            return Ok(ExitCode::from(2));
        }
    };
    let text = match arguments.json {
        true => found.json(),
        false => found.text(now),
    };
    output::print(&format!("{text}\n"))?;
    Ok(match found.is_opened() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

/// Tries every realm, or the one that the arguments name.
fn inspect(arguments: &OpenArguments, loaded: &Loaded, now: UnixTime) -> Result<RealmOutcome> {
    let (ready, failed) = ready(arguments, loaded)?;
    for (index, (name, realm)) in ready.iter().enumerate() {
        match *name {
            _ if index > 0 && arguments.secrets.are_given() => {}
            DEFAULT_REALM => warn("", &realm.secrets),
            name => warn(&format!("realm {name}: "), &realm.secrets),
        }
    }
    let input = match arguments.authorization {
        Some(_) if io::stdin().is_terminal() => Vec::new(),
        Some(_) | None => read_input()?,
    };
    let cookie_header = header_value(&input)?;
    let mut answers = Vec::new();
    for (name, realm) in ready {
        let answer = realm.inspection(arguments, cookie_header, now).answer()?;
        if loaded.raw_tables.realms.is_empty() && arguments.realm.is_none() {
            return Ok(RealmOutcome::alone(answer));
        }
        answers.push((name.to_owned(), answer));
    }
    let found = RealmOutcome::of(answers).context("there is no realm")?;
    if !found.is_opened() {
        for (name, error) in failed {
            output::print_error(&format!(
                "warning: the realm {name} was not tried: {error:#}\n"
            ));
        }
    }
    Ok(found)
}

/// The realms that can be tried, and the realms that cannot, each with the reason.
type Ready<'l> = (Vec<(&'l str, RealmInspection<'l>)>, Vec<(&'l str, Error)>);

/// Reads the settings of each realm. A realm without a secret does not matter if another one opens the session.
fn ready<'l>(arguments: &OpenArguments, loaded: &'l Loaded) -> Result<Ready<'l>> {
    let (mut ready, mut failed) = (Vec::new(), Vec::new());
    for (name, variables) in realms(arguments, loaded)? {
        match RealmInspection::read(arguments, variables) {
            Ok(realm) => ready.push((name, realm)),
            Err(error) => failed.push((name, error)),
        }
    }
    if ready.is_empty() && !failed.is_empty() {
        let (name, error) = failed.swap_remove(0);
        return Err(match name {
            DEFAULT_REALM => error,
            name => error.context(format!("the realm {name}")),
        });
    }
    Ok((ready, failed))
}

/// The names of the realms to try, each with its settings.
fn realms<'l>(
    arguments: &OpenArguments,
    loaded: &'l Loaded,
) -> Result<Vec<(&'l str, &'l Variables)>> {
    let named = loaded.raw_tables.realms.iter();
    let named = named.map(|realm| (&*realm.name.value, &realm.settings));
    let all: Vec<_> = [(DEFAULT_REALM, &loaded.variables)]
        .into_iter()
        .chain(named)
        .collect();
    let Some(wanted) = &arguments.realm else {
        return Ok(all);
    };
    match all.iter().find(|(name, _)| name == wanted) {
        Some(realm) => Ok(vec![*realm]),
        None => {
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            bail!(
                "--realm {wanted}: there is no such realm; the realms are {}",
                names.join(", ")
            )
        }
    }
}

/// The settings and secrets of one realm.
struct RealmInspection<'v> {
    settings: OpenSettings,
    secrets: Secrets,
    variables: &'v Variables,
}

impl<'v> RealmInspection<'v> {
    fn read(arguments: &OpenArguments, variables: &'v Variables) -> Result<Self> {
        let settings = settings(arguments, variables)?;
        let is_optional = settings.needs_no_secret();
        Ok(Self {
            secrets: arguments.secrets.read(variables, is_optional)?,
            settings,
            variables,
        })
    }

    fn inspection<'q>(
        &'q self,
        arguments: &'q OpenArguments,
        cookie_header: &'q [u8],
        now: UnixTime,
    ) -> Inspection<'q> {
        Inspection {
            cookie_header,
            authorization: arguments.authorization.as_deref().map(str::as_bytes),
            recognized: self.settings.recognized.clone(),
            demands: self.settings.demands.clone(),
            issuer: self.settings.issuer.as_ref(),
            authjs_secrets: &self.secrets.authjs,
            better_auth_secrets: &self.secrets.better_auth,
            other_salt: self.variables.get("JWT_SALT"),
            now,
        }
    }
}

/// The settings as `serve` reads them, with command-line options in place of the corresponding variables.
fn settings(arguments: &OpenArguments, variables: &Variables) -> Result<OpenSettings> {
    let format = arguments.format.as_ref().map(word);
    let strategy = arguments.strategy.as_ref().map(word);
    let is_of_authjs = matches!(
        arguments.format,
        Some(FormatArgument::AuthJs | FormatArgument::NextAuth)
    );
    if strategy.is_some() && is_of_authjs {
        bail!("--strategy applies only to Better Auth; remove it, or give --format better-auth");
    }
    if arguments.salt.is_some() && matches!(arguments.format, Some(FormatArgument::BetterAuth)) {
        bail!("--salt applies only to Auth.js and NextAuth; remove it");
    }
    let name = arguments.cookie_name.as_ref();
    if let Some(name) = name.filter(|name| name.as_str().ends_with("session_data")) {
        bail!(
            "--cookie-name {name}: give the name of Better Auth's session_token; that of session_data follows from it"
        );
    }
    // An empty variable is treated as unset.
    let salt = arguments.salt.as_ref().map(|_| String::new());
    let options = [
        ("SESSION_FORMAT", format),
        ("AUTH_COOKIE_NAME", name.map(CookieName::to_string)),
        ("JWT_SALT", salt),
        ("BETTER_AUTH_CACHE_STRATEGY", strategy),
        ("BETTER_AUTH_CACHE_VERSION", arguments.cache_version.clone()),
    ];
    let options = options
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let mut settings = OpenSettings::read(&variables.clone().with(options))?;
    if let Some(salt) = &arguments.salt {
        settings.recognized = settings.recognized.with_salt(salt);
    }
    Ok(settings)
}

fn read_input() -> Result<Vec<u8>> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        output::print_error(
            "Paste the value of the Cookie header, then press Enter and Ctrl-D. A terminal cuts a line after 4095 \
             characters; a longer one is better given as a file: sessiongate open < cookie.txt\n",
        );
    }
    let mut input = Vec::new();
    stdin
        .lock()
        .take(MAX_INPUT + 1)
        .read_to_end(&mut input)
        .context("cannot read standard input")?;
    if input.len() as u64 > MAX_INPUT {
        bail!("standard input is longer than 1 MiB; give the value of one Cookie header");
    }
    Ok(input)
}

/// The value of the header: the input without its final newline and without the header's name.
pub(super) fn header_value(input: &[u8]) -> Result<&[u8]> {
    let mut value = input;
    while let [rest @ .., b'\n' | b'\r'] = value {
        value = rest;
    }
    if value.contains(&b'\n') || value.contains(&b'\r') {
        bail!("standard input has several lines; give the value of one Cookie header, on one line");
    }
    let name = b"cookie:";
    Ok(match value.split_at_checked(name.len()) {
        Some((start, rest)) if start.eq_ignore_ascii_case(name) => rest.trim_ascii_start(),
        Some(_) | None => value,
    })
}

/// The longest input in bytes: far more than any program accepts as a header.
const MAX_INPUT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::header_value;

    #[test]
    fn header_input_is_one_line_with_or_without_the_name() {
        for input in ["a=b", "a=b\n", "a=b\r\n\n", "Cookie: a=b", "cookie:a=b\n"] {
            assert_eq!(header_value(input.as_bytes()).unwrap(), b"a=b", "{input:?}");
        }
        assert_eq!(header_value(b"").unwrap(), b"");
        assert_eq!(header_value(b"cookies=b").unwrap(), b"cookies=b");
        for input in ["a=b\nc=d", "\na=b", "a=b\rc=d"] {
            assert!(header_value(input.as_bytes()).is_err(), "{input:?}");
        }
    }
}
