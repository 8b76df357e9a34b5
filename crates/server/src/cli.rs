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

/// Opens Auth.js, NextAuth and Better Auth sessions in front of any service, and tells it who is calling.
///
/// Settings come from environment variables and a file; docs/settings.md lists them, and `check-config` shows what takes effect.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
struct Arguments {
    /// The configuration file. Otherwise SESSIONGATE_CONFIG names it; without both, the environment is all there is.
    ///
    /// A variable of the environment wins over the same setting in the file.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Without one, it is `serve`.
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Protect services: the one that UPSTREAM names, or those of the routes in the file of --config.
    Serve,
    /// Try it: three services, five users and the gate in one process, nothing to install.
    Demo,
    /// Check the settings as `serve` does, and show what would take effect, without secrets: settings and routes.
    CheckConfig(check_config::CheckArguments),
    /// Make, look at or remove triggers in the app's PostgreSQL that say which users and sessions have changed.
    ///
    /// With them and LISTEN_DATABASE_URL, a change counts at once, although almost nothing is asked.
    Db(db::DbArguments),
    /// Look for what is wrong with an app's cookies, the settings, the database and Redis, and say what to do.
    ///
    /// Asks the app at URL as a browser would, reads the configuration as `serve` does, and asks the stores and services
    /// that it names. Nothing is written to them. Exit code 0: no problem. 1: at least one; with --strict a warning
    /// counts too. 2: the app at URL does not answer, nothing is given to look at, or wrong usage.
    Doctor(Box<doctor::DoctorArguments>),
    /// Explain a request: which route governs it, how its path is read, what is demanded, and what the answer is.
    ///
    /// Decides as a gate with this configuration would. Exit code 0: the request enters. 1: it is refused. 2: wrong usage,
    /// or a configuration that is not valid.
    Explain(Box<explain::ExplainArguments>),
    /// Ask the running gate on this machine whether it is alive; for container health checks.
    Healthcheck,
    /// Explain a cookie: what a gate would make of it, and if it would refuse it, why.
    ///
    /// Reads the value of a `Cookie` header from standard input. Exit code 0: it opens, and its claims are printed. 1: it
    /// is refused, and the reason and its likely cause are printed. 2: wrong usage, or a configuration that cannot be read.
    Open(Box<open::OpenArguments>),
    /// Print what can be configured: an example file, a JSON Schema for editors, or tables in Markdown.
    Reference {
        /// What to print.
        #[arg(value_enum)]
        part: Reference,
    },
    /// Sign somebody out: end sessions before they expire, on every gate that shares REVOCATION_STORE.
    ///
    /// Reads the configuration as `serve` does, and writes into the store that REVOCATION_STORE names.
    Revoke(Box<revoke::RevokeArguments>),
    /// List what is revoked, take a revocation back, or make the table in which they are kept.
    Revocations(revoke::RevocationsArguments),
    /// Make a session cookie, for tests and development; never in production.
    ///
    /// Prints the value of a `Cookie` header that signs the user in wherever the secret is believed.
    Mint(Box<mint::MintArguments>),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Reference {
    /// A configuration file with every key, which says the same as an empty one.
    Example,
    /// What `doctor` can find, as tables.
    Findings,
    /// The keys that only a file has, as tables.
    Keys,
    /// The JSON Schema of the file.
    Schema,
    /// The settings, as a table.
    Settings,
}

/// Runs the command that was asked for.
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
            logged(config.log_format, filter.as_deref(), || {
                serve::run(source, config, inherited, |_| ())
            })?;
        }
        Command::Demo if config.is_some() => bail!("the demo reads no configuration file"),
        Command::Reference { .. } if config.is_some() => {
            bail!("`reference` says what a configuration file can have, and reads none")
        }
        Command::Demo => {
            logged(LogFormat::Text, environment.get("RUST_LOG"), || {
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

/// The file that the option names, or the variable.
fn config_file(option: Option<&Path>, environment: &Variables) -> Option<PathBuf> {
    let variable = || environment.get(CONFIG_FILE).map(PathBuf::from);
    option.map(Path::to_owned).or_else(variable)
}

/// The settings for a tool, which checks only those that it uses.
fn valid(loaded: Loaded) -> Result<Loaded, ConfigErrors> {
    match loaded.problems.is_empty() {
        true => Ok(loaded),
        false => Err(ConfigErrors::new(loaded.problems)),
    }
}

/// What gives errors colors, if somebody sees them at a terminal and has not said no (<https://no-color.org>).
fn colored(environment: &Variables) -> impl Fn(ConfigErrors) -> ConfigErrors + Copy + use<> {
    let is_colored = io::stderr().is_terminal() && environment.get("NO_COLOR").is_none();
    move |errors| errors.colored(is_colored)
}

/// Runs `serve`, with its log; and when it has ended, waits for the log, but not for long.
fn logged(
    format: LogFormat,
    filter: Option<&str>,
    serve: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let logging = Logging::start(format, filter.unwrap_or("info"))?;
    let served = use_aws_lc().and_then(|()| serve());
    logging.finish(LOG_FAREWELL);
    served
}

/// The word that stands for a value on the command line, and in a variable.
fn word(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

/// Every library that speaks TLS uses the same cryptography as we do.
fn use_aws_lc() -> Result<()> {
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    installed.map_err(|_| anyhow::anyhow!("another TLS provider is installed already"))
}

/// Does something with stores that are opened for it alone.
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
        tokio::time::timeout(Duration::from_secs(3), ask_health(address))
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

async fn ask_health(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(4096).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// How long the end waits for the last lines of the log. With what it waits for audit lines and, if it failed, for the last
/// words, that is three seconds where nobody reads any of them.
const LOG_FAREWELL: Duration = Duration::from_millis(200);
