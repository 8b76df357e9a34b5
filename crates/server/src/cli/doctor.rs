//! `sessiongate doctor`: reads the arguments and prints the report.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use http::HeaderValue;

use super::open::header_value;
use crate::config::{self, Loaded, Variables};
use crate::doctor::{self, Conclusion, Examination, Report, Site, catalogue};
use crate::output;
use crate::tls::Authorities;
use client_tls::named_file;

#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// The URL of the app, as browsers use it: `https://app.example.com`. If omitted, only the configuration is examined.
    #[arg(value_name = "URL", value_parser = Site::parse)]
    site: Option<Site>,
    /// The base path of Auth.js or Better Auth. By default /api/auth and /auth are tried.
    #[arg(long, value_name = "PATH", requires = "site", value_parser = path)]
    auth_path: Option<String>,
    /// PEM file with certificate authorities to trust for the app in addition to the public ones.
    #[arg(long, value_name = "FILE", requires = "site")]
    ca_file: Option<PathBuf>,
    /// A file with the value of a signed-in user's Cookie header, to check with the gate's settings and with the app.
    ///
    /// It is sent to the app only over HTTPS with a trusted certificate, or if the app runs on this machine.
    #[arg(long, value_name = "FILE")]
    cookie_file: Option<PathBuf>,
    /// A file with the Set-Cookie lines that the app sent at a sign-in, as `curl -i` or a browser's developer tools show
    /// them.
    #[arg(long, value_name = "FILE")]
    set_cookie_file: Option<PathBuf>,
    /// Ignore the finding with this id. May be repeated.
    #[arg(long, value_name = "ID", value_parser = known_id)]
    ignore: Vec<String>,
    /// Exit with code 1 for warnings too.
    #[arg(long)]
    strict: bool,
    /// Print the report as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the report. If nothing can be examined, says why and returns exit code 2.
pub(super) fn run(
    arguments: DoctorArguments,
    loaded: &Loaded,
    environment: &Variables,
) -> Result<ExitCode> {
    let (json, strict) = (arguments.json, arguments.strict);
    let report = match examine(arguments, loaded) {
        Ok(report) => report,
        Err(error) => {
            output::print_error(&format!(
                "error: {error:#}\n\nFor more information, try 'sessiongate doctor --help'.\n"
            ));
            return Ok(ExitCode::from(2));
        }
    };
    let is_colored = io::stdout().is_terminal() && environment.get("NO_COLOR").is_none();
    let text = match json {
        true => format!("{}\n", report.json()),
        false => doctor::text(&report, is_colored),
    };
    output::print(&text)?;
    Ok(match report.ending(strict) {
        Conclusion::NoProblems => ExitCode::SUCCESS,
        Conclusion::Problems => ExitCode::from(1),
        Conclusion::AppUnreachable => ExitCode::from(2),
    })
}

fn examine(arguments: DoctorArguments, loaded: &Loaded) -> Result<Report> {
    if let Some(file) = &loaded.main
        && loaded.files.is_empty()
    {
        let why = loaded.problems.iter().map(|problem| problem.what.as_str());
        let why = why.collect::<Vec<_>>().join("; ");
        bail!("{}: {why}", file.display());
    }
    let loaded = Some(loaded).filter(|loaded| config::is_configured(loaded));
    let (cookies, set_cookies) = (&arguments.cookie_file, &arguments.set_cookie_file);
    let has_cookies = cookies.is_some() || set_cookies.is_some();
    if loaded.is_none() && arguments.site.is_none() && !has_cookies {
        bail!(
            "there is nothing to examine: give the URL of an app, a configuration file with --config, or both"
        );
    }
    let mut authorities = Authorities::public();
    if let Some(file) = &arguments.ca_file {
        authorities.add_file(file).context("--ca-file")?;
    }
    let examination = Examination {
        loaded,
        authorities,
        session: cookies.as_deref().map(session).transpose()?,
        set_cookies: set_cookies
            .as_deref()
            .map(fields)
            .transpose()?
            .unwrap_or_default(),
        site: arguments.site,
        auth_path: arguments.auth_path,
        ignore: arguments.ignore,
    };
    super::use_aws_lc()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let report = runtime.block_on(doctor::examine(examination));
    // A DNS lookup may still be running; do not wait for it.
    runtime.shutdown_background();
    Ok(report?)
}

fn session(file: &Path) -> Result<HeaderValue> {
    let shown = file.display();
    let text = named_file::read(file, LONGEST_FILE)
        .with_context(|| format!("cannot read {shown} (--cookie-file)"))?;
    let value = header_value(&text).with_context(|| format!("{shown} (--cookie-file)"))?;
    let Ok(mut value) = HeaderValue::from_bytes(value) else {
        bail!("{shown} (--cookie-file) contains bytes that a header cannot contain");
    };
    value.set_sensitive(true);
    Ok(value)
}

/// The values of the `Set-Cookie` fields in a file, one per line. If a line has the field name, all lines without it are skipped
/// as other fields; if none has, each line is a value.
fn fields(file: &Path) -> Result<Vec<Vec<u8>>> {
    let shown = file.display();
    let text = named_file::read(file, LONGEST_FILE)
        .with_context(|| format!("cannot read {shown} (--set-cookie-file)"))?;
    let name = b"set-cookie:";
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    let is_named = |line: &&[u8]| {
        let start = line.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    let named = lines.iter().copied().filter(is_named);
    let named: Vec<_> = named
        .map(|line| line[name.len()..].trim_ascii().to_vec())
        .collect();
    let fields = match named.is_empty() {
        true => lines.into_iter().map(<[u8]>::to_vec).collect(),
        false => named,
    };
    if fields.is_empty() {
        bail!("{shown} (--set-cookie-file) is empty");
    }
    Ok(fields)
}

fn path(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && text.parse::<http::Uri>().is_ok();
    is_path
        .then(|| text.to_owned())
        .ok_or("give a path such as /api/auth")
}

fn known_id(text: &str) -> Result<String, &'static str> {
    let check = catalogue::of_id(text);
    check
        .map(|check| check.id.to_owned())
        .ok_or("there is no finding with this id; docs/doctor.md lists all ids")
}

/// The longest file in bytes, which is also the longest input of `open`.
const LONGEST_FILE: u64 = 1 << 20;
