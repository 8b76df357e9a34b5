//! `sessiongate-conformance`: sends hostile requests to any auth gateway, and records what its upstream receives.

use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use conformance::{Case, Profile, Report, Target, catalogue, described, list_markdown, run};
use regex_lite::Regex;
use serde_json::Value;

/// Sends hostile requests to an auth gateway, and records what its upstream receives.
///
/// Configure the gateway to forward everything to --upstream, to make everything below --public-path public, and to demand a
/// session for everything else. Then run this program, which listens on --upstream itself.
///
/// The exit status is 1 when a case fails that must hold, and 2 when no case could run.
#[derive(Debug, Parser)]
#[command(name = "sessiongate-conformance", version)]
struct Arguments {
    /// The address on which the gateway accepts requests
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    proxy: Option<String>,
    /// The address at which the gateway expects its upstream; a recorder is started there. A port alone is a port of 127.0.0.1
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "list")]
    upstream: Option<String>,
    /// The kind of gateway: its identity headers, how its forward-auth endpoint receives the original request, and which cases
    /// apply
    #[arg(long, default_value = "sessiongate", value_parser = profile)]
    profile: &'static Profile,
    /// The folder that needs no session
    #[arg(long, value_name = "PATH", default_value = "/public/")]
    public_path: String,
    /// A path that needs a session
    #[arg(long, value_name = "PATH", default_value = "/private")]
    protected_path: String,
    /// The cookie of a session. Without it, cases that need one do not run
    #[arg(long, value_name = "NAME=VALUE")]
    valid_cookie: Option<String>,
    /// The user of that session, as the first identity header must name it
    #[arg(long, value_name = "USER")]
    expect_user: Option<String>,
    /// The headers that the gateway owns, in place of the profile's; the first one names the user
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    identity_headers: Vec<String>,
    /// The value of Host; by default, the proxy's address
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// The forward-auth endpoint, http://HOST:PORT/PATH. Without it, cases that need it do not run
    #[arg(long, value_name = "URL")]
    check_url: Option<String>,
    /// A listener for cleartext HTTP/2. Without it, the proxy is tried
    #[arg(long, value_name = "HOST:PORT")]
    http2_proxy: Option<String>,
    /// The seconds after which slow clients must have been disconnected. Without it, cases that wait for that do not run
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    slow_limit: Option<u64>,
    /// The seconds without an answer after which the gateway is considered to hang
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    /// Run only the cases whose ids match
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,
    /// List the cases, and run none
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown
    #[arg(long)]
    markdown: bool,
    /// Exit with status 1 also when a case is weak
    #[arg(long)]
    strict: bool,
    /// Test a gateway that is not on this machine. Only test gateways that you are allowed to test
    #[arg(long)]
    i_am_allowed_to_test_this_gateway: bool,
}

fn main() -> ExitCode {
    answer(&Arguments::parse()).unwrap_or_else(|error| {
        // If this fails, the error cannot be reported.
        let _ = writeln!(io::stderr(), "sessiongate-conformance: {error:#}");
        ExitCode::from(2)
    })
}

fn answer(arguments: &Arguments) -> Result<ExitCode> {
    let selects = |case: &Case| match &arguments.only {
        Some(only) => only.is_match(case.id),
        None => true,
    };
    if arguments.list {
        let cases: Vec<_> = catalogue().into_iter().filter(selects).collect();
        print(&listed(&cases, arguments))?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_table = !arguments.json && !arguments.markdown;
    let report = run(&arguments.target()?, selects, |row| {
        if is_table {
            // If the reader has gone away, printing the summary fails too.
            let _ = writeln!(io::stdout(), "{}", row.line());
        } else if io::stderr().is_terminal() {
            let _ = write!(io::stderr(), ".");
        }
    })?;
    print(&reported(&report, arguments))?;
    Ok(ExitCode::from(u8::from(report.fails(arguments.strict))))
}

fn listed(cases: &[Case], arguments: &Arguments) -> String {
    if arguments.json {
        let cases: Vec<_> = cases.iter().map(described).collect();
        return format!("{:#}\n", Value::from(cases));
    }
    if arguments.markdown {
        return list_markdown(cases);
    }
    let line = |case: &Case| {
        let Case {
            id,
            level,
            class,
            title,
            known,
            ..
        } = case;
        format!(
            "{id:<5} {level:<6} {class:<22} {title}{}{known}\n",
            if known.is_empty() { "" } else { "  " }
        )
    };
    cases.iter().map(line).collect::<String>() + &format!("{} cases\n", cases.len())
}

fn reported(report: &Report, arguments: &Arguments) -> String {
    if arguments.json {
        format!("{:#}\n", report.json())
    } else if arguments.markdown {
        report.markdown()
    } else {
        format!("{}\n", report.summary())
    }
}

impl Arguments {
    fn target(&self) -> Result<Target> {
        let proxy = self.proxy.as_deref().context("--proxy is missing")?;
        let upstream = self.upstream.as_deref().context("--upstream is missing")?;
        let upstream = match upstream.parse::<u16>() {
            Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
            Err(_) => address(upstream, "--upstream")?,
        };
        let mut target = Target::new(self.profile, address(proxy, "--proxy")?, upstream);
        target.host = self.host.clone().unwrap_or_else(|| proxy.to_owned());
        target.public_path.clone_from(&self.public_path);
        target.protected_path.clone_from(&self.protected_path);
        target.cookie.clone_from(&self.valid_cookie);
        target.user.clone_from(&self.expect_user);
        target.slow_limit = self.slow_limit.map(Duration::from_secs);
        target.timeout = Duration::from_secs(self.timeout);
        target.may_be_remote = self.i_am_allowed_to_test_this_gateway;
        if !self.identity_headers.is_empty() {
            target.identity_headers.clone_from(&self.identity_headers);
        }
        if let Some(http2) = &self.http2_proxy {
            target.http2 = Some(address(http2, "--http2-proxy")?);
        }
        target.check = self.check_url.as_deref().map(check).transpose()?;
        if target.cookie.is_some() && target.cookie_parts().is_none() {
            bail!("--valid-cookie: write it as NAME=VALUE");
        }
        for (flag, path) in [
            ("--public-path", &self.public_path),
            ("--protected-path", &self.protected_path),
        ] {
            if !path.starts_with('/') || path.trim_matches('/').is_empty() {
                bail!("{flag}: {path:?} must start with a slash, and cannot be only a slash");
            }
        }
        Ok(target)
    }
}

fn profile(name: &str) -> Result<&'static Profile, String> {
    Profile::named(name).ok_or_else(|| {
        let names: Vec<_> = Profile::names().collect();
        format!("it must be one of {}", names.join(", "))
    })
}

fn address(text: &str, flag: &str) -> Result<SocketAddr> {
    let addresses = text.to_socket_addrs();
    let mut addresses = addresses.with_context(|| format!("{flag}: {text:?} is not HOST:PORT"))?;
    addresses
        .next()
        .with_context(|| format!("{flag}: {text:?} has no address"))
}

/// Returns the address and the path of an endpoint.
fn check(url: &str) -> Result<(SocketAddr, String)> {
    let rest = url
        .strip_prefix("http://")
        .context("--check-url: it must start with http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = match authority.contains(':') {
        true => authority.to_owned(),
        false => format!("{authority}:80"),
    };
    Ok((address(&authority, "--check-url")?, format!("/{path}")))
}

fn print(text: &str) -> Result<()> {
    io::stdout()
        .write_all(text.as_bytes())
        .context("cannot print")
}
