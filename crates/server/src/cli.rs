//! The command line.

mod check_config;
mod columns;
mod db;
mod doctor;
mod explain;
mod mint;
mod open;
mod revoke;
mod secrets;

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::{
    CONFIG_FILE, Config, ConfigErrors, ConfigSource, Loaded, LogFormat, Variables, reference,
};
use crate::doctor::catalogue;
use crate::handover::Inherited;
use crate::logging::Logging;
use crate::process::process;
use crate::{demo, output, serve};
use stores::Pools;

/// A gateway that opens Auth.js, NextAuth and Better Auth sessions in front of any service, and tells the service who is
/// calling.
///
/// Settings come from environment variables and a configuration file. docs/settings.md lists them; `check-config` shows the
/// ones in effect.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    /// The configuration file. By default the one that SESSIONGATE_CONFIG names, if any.
    ///
    /// An environment variable takes precedence over the same setting in the file.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The command; by default `serve`.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gate in front of the service in UPSTREAM, or the services that the routes in the configuration file name.
    Serve,
    /// Try the gate: three services, five users and a gate in one process, with nothing to install.
    Demo,
    /// Check the configuration as `serve` does, and show the settings and routes in effect, without secrets.
    CheckConfig(check_config::CheckArguments),
    /// Install, check or remove the triggers in the app's PostgreSQL that notify gates when users and sessions change.
    ///
    /// With the triggers and LISTEN_DATABASE_URL, a change takes effect at once, although gates rarely query the database.
    Db(db::DbArguments),
    /// Diagnose an app's cookies, the configuration, the database and Redis, and say what to do.
    ///
    /// Requests pages of the app at URL as a browser would, reads the configuration as `serve` does, and connects to the
    /// stores and services that it names. It writes nothing to them. Exit code 0: no problems. 1: problems, or with --strict
    /// warnings. 2: the app at URL does not answer, there is nothing to examine, or the arguments are wrong.
    Doctor(Box<doctor::DoctorArguments>),
    /// Explain a request: which route matches, how the gate reads its path, what the route requires, and how the gate
    /// answers.
    ///
    /// Decides as a gate with this configuration does. Exit code 0: the request enters. 1: it is refused. 2: the arguments
    /// or the configuration are wrong.
    Explain(Box<explain::ExplainArguments>),
    /// Check whether the gate on this machine is running, for container health checks.
    Healthcheck,
    /// Explain a cookie: the session in it, or why a gate refuses it.
    ///
    /// Reads the value of a `Cookie` header from standard input. Exit code 0: the session opens; prints its claims. 1: a
    /// gate refuses it; prints the reason and the likely cause. 2: the arguments or the configuration are wrong.
    Open(Box<open::OpenArguments>),
    /// Print reference material: an example configuration file, a JSON Schema for editors, or tables in Markdown.
    Reference {
        /// What to print.
        #[arg(value_enum)]
        part: Reference,
    },
    /// Sign users out: end sessions before they expire, on every gate that shares REVOCATION_STORE.
    ///
    /// Reads the configuration as `serve` does, and writes to the store that REVOCATION_STORE names.
    Revoke(Box<revoke::RevokeArguments>),
    /// List or remove revocations, or create the table that stores them.
    Revocations(revoke::RevocationsArguments),
    /// Mint a session cookie for tests and development. Refuses to run in production.
    ///
    /// Prints the value of a `Cookie` header. It signs the user in wherever the same secret is in use.
    Mint(Box<mint::MintArguments>),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reference {
    /// A configuration file with every key, equivalent to an empty file.
    Example,
    /// The findings of `doctor`, as tables.
    Findings,
    /// The keys that exist only in the file, as tables.
    Keys,
    /// The JSON Schema of the configuration file.
    Schema,
    /// The settings, as a table.
    Settings,
}

/// Parses the command line and runs its command.
pub(crate) fn run() -> Result<ExitCode> {
    let Arguments { config, command } = Arguments::parse();
    let environment = Variables::of_process();
    let load = || match config_file(config.as_deref(), &environment) {
        Some(file) => crate::config::load(&file, &environment),
        None => Loaded::without_file(environment.clone()),
    };
    let colored = colored(&environment);
    match command.unwrap_or(Command::Serve) {
        Command::Serve => {
            let inherited = Inherited::of_process(&environment)?;
            let file = config_file(config.as_deref(), &environment);
            let mut source = ConfigSource::new(file, environment);
            let config = source.read().map_err(colored)?;
            let filter = config.log_filter.clone();
            with_log(config.log_format, filter.as_deref(), || {
                serve::run(source, config, inherited, |_| ())
            })?;
        }
        Command::Demo if config.is_some() => bail!("`demo` takes no configuration file"),
        Command::Reference { .. } if config.is_some() => {
            bail!("`reference` takes no configuration file")
        }
        Command::Demo => {
            with_log(LogFormat::Text, environment.get("RUST_LOG"), || {
                demo::run(&environment)
            })?;
        }
        Command::CheckConfig(arguments) => {
            let config = Config::from_loaded(&load()).map_err(colored)?;
            check_config::run(&arguments, &config)?;
        }
        Command::Explain(arguments) => {
            let config = Config::from_loaded(&load()).map_err(colored);
            return explain::run(*arguments, config.map_err(Into::into), &environment);
        }
        Command::Db(arguments) => {
            let config = Config::from_loaded(&load()).map_err(colored)?;
            return db::run(&arguments, &config);
        }
        Command::Doctor(arguments) => return doctor::run(*arguments, &load(), &environment),
        Command::Healthcheck => healthcheck(&load().variables)?,
        Command::Reference { part } => output::print(&part.text())?,
        Command::Open(arguments) => {
            let loaded = valid(load()).map_err(colored);
            return open::run(&arguments, loaded.map_err(Into::into));
        }
        Command::Revoke(arguments) => {
            let config = Config::from_loaded(&load()).map_err(colored)?;
            revoke::revoke(*arguments, &config, &environment)?;
        }
        Command::Revocations(arguments) => {
            let config = Config::from_loaded(&load()).map_err(colored)?;
            revoke::revocations(arguments, &config)?;
        }
        Command::Mint(arguments) => {
            let loaded = valid(load()).map_err(colored)?;
            return mint::run(*arguments, &loaded.variables);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Reference {
    fn text(self) -> String {
        match self {
            Self::Example => reference::example(),
            Self::Findings => catalogue::markdown(),
            Self::Keys => reference::keys(),
            Self::Schema => format!("{:#}\n", reference::schema()),
            Self::Settings => reference::settings(),
        }
    }
}

/// The configuration file that the option names, or else the environment variable.
fn config_file(option: Option<&Path>, environment: &Variables) -> Option<PathBuf> {
    let variable = || environment.get(CONFIG_FILE).map(PathBuf::from);
    option.map(Path::to_owned).or_else(variable)
}

/// The loaded settings for a command that checks only the ones it uses.
fn valid(loaded: Loaded) -> Result<Loaded, ConfigErrors> {
    match loaded.problems.is_empty() {
        true => Ok(loaded),
        false => Err(ConfigErrors::new(loaded.problems)),
    }
}

/// A function that colors errors if standard error is a terminal and `NO_COLOR` is not set (<https://no-color.org>).
fn colored(environment: &Variables) -> impl Fn(ConfigErrors) -> ConfigErrors + Copy + use<> {
    let is_colored = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    move |errors| errors.colored(is_colored)
}

/// Starts the log, runs `serve`, and then waits a short time for the last log lines.
fn with_log(
    format: LogFormat,
    filter: Option<&str>,
    serve: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let logging = Logging::start(format, filter.unwrap_or("info"))?;
    let served = use_aws_lc().and_then(|()| serve());
    logging.finish(LOG_FLUSH_TIMEOUT);
    served
}

/// The name of a value, as it is written on the command line and in a variable.
fn word(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Makes every library that uses TLS use the same cryptography as the gate.
fn use_aws_lc() -> Result<()> {
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    installed.map_err(|_| anyhow::anyhow!("another TLS provider is installed already"))
}

/// Runs `act` with connection pools that are opened for it alone.
fn with_pools<T>(act: impl AsyncFnOnce(&Pools) -> Result<T>) -> Result<T> {
    use_aws_lc()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        let pools = Pools::new(process(runtime.handle().clone()));
        act(&pools).await
    });
    runtime.shutdown_background();
    done
}

/// Fails unless the admin listener answers `/healthz` with 200 in time.
fn healthcheck(variables: &Variables) -> Result<()> {
    let address = admin_address(variables)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let status = runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(3), request_health(address))
            .await
            .context("no answer within 3 s")?
    });
    let status = status.with_context(|| format!("http://{address}/healthz (ADMIN_LISTEN)"))?;
    if !status.starts_with("HTTP/1.1 200 ") {
        bail!(
            "http://{address}/healthz answers `{}`",
            status.lines().next().unwrap_or_default().escape_debug()
        );
    }
    Ok(())
}

fn admin_address(variables: &Variables) -> Result<SocketAddr> {
    let address =
        crate::config::admin_address(variables).context("ADMIN_LISTEN is not an address")?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    Ok(SocketAddr::new(ip, address.port()))
}

async fn request_health(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// How long the process waits for its last log lines when it ends. Together with the waits for audit lines and for the error
/// message, it ends within three seconds even if its output is not read.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_millis(200);
