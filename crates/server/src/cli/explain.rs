//! `sessiongate explain`: reads the arguments and prints the explanation.

use std::io::{self, IsTerminal};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use gate::ClientCertificate;
use http::{HeaderValue, Method};
use session::UnixTime;

use super::open::header_value;
use crate::clock;
use crate::config::{Config, Variables};
use crate::explain::{
    self, ExplainRequest, Explanation, FieldLine, Interface, RequestHead, RequestTarget, Skipped,
};
use crate::live::{HandedTickets, Live, LiveContext};
use crate::output;
use crate::tls::certificate::read_chain;
use crate::tls::client_certificate;
use client_tls::named_file;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The request method, such as GET.
    #[arg(value_name = "METHOD", value_parser = explain::method)]
    method: Method,
    /// The URL as the client requests it, such as `https://app.example.com/admin/`, or a path.
    #[arg(value_name = "URL", value_parser = RequestTarget::parse)]
    target: RequestTarget,
    /// A file with the value of the request's Cookie header.
    #[arg(long, value_name = "FILE")]
    cookie_file: Option<PathBuf>,
    /// A header of the request, as `Name: value`. May be repeated.
    #[arg(long = "header", value_name = "HEADER", value_parser = FieldLine::parse)]
    headers: Vec<FieldLine>,
    /// The client's address, or that of the proxy from which the connection comes.
    #[arg(long, value_name = "IP", default_value_t = Ipv4Addr::LOCALHOST.into())]
    client: IpAddr,
    /// A PEM file with the certificate that the client presents.
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The time of the request, in seconds since 1970. By default now.
    #[arg(long, value_name = "EPOCH")]
    at: Option<u64>,
    /// Do not contact stores. Assumes that users exist, and leaves open what depends on a column or on a session in a store.
    #[arg(long)]
    no_stores: bool,
    /// Print the explanation as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the explanation. If the arguments or the configuration are wrong, says so and returns exit code 2.
pub(super) fn run(
    arguments: ExplainArguments,
    config: Result<Config>,
    environment: &Variables,
) -> Result<ExitCode> {
    let json = arguments.json;
    let explanation = match config.and_then(|config| explain_request(arguments, config)) {
        Ok(explanation) => explanation,
        Err(error) => {
            output::print_error(&format!(
                "error: {error:#}\n\nFor more information, try 'sessiongate explain --help'.\n"
            ));
            return Ok(ExitCode::from(2));
        }
    };
    let is_colored = io::stdout().is_terminal() && environment.get("NO_COLOR").is_none();
    let text = match json {
        true => explanation.json(),
        false => explanation.text(is_colored),
    };
    output::print(&format!("{text}\n"))?;
    Ok(match explanation.enters() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}

fn explain_request(arguments: ExplainArguments, mut config: Config) -> Result<Explanation> {
    let mut fields = arguments.headers;
    if let Some(file) = &arguments.cookie_file {
        let cookies = cookies(file)?;
        if !cookies.is_empty() {
            fields.push(FieldLine::cookies(cookies.as_bytes()));
        }
    }
    let asks_issuer = fields.iter().any(|field| field.is_named("authorization"));
    let request = ExplainRequest {
        head: RequestHead {
            method: arguments.method,
            target: arguments.target,
            fields,
        },
        client: arguments.client,
        certificate: arguments
            .certificate
            .as_deref()
            .map(certificate)
            .transpose()?,
        now: arguments.at.map_or_else(clock::now, UnixTime::from_secs),
        interface: Interface::Command,
        skipped: match arguments.no_stores {
            true => without_stores(&mut config),
            false => Vec::new(),
        },
    };
    let mut skipped = !request.skipped.is_empty();
    if arguments.no_stores {
        skipped |= config.revocations.take().is_some();
    }
    super::use_aws_lc()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let context = LiveContext::of(runtime.handle().clone(), HandedTickets::default())?;
    let live = Live::open(config, None, &context)?;
    let mut explanation = runtime.block_on(async {
        if asks_issuer {
            live.wait_for_issuer_keys().await;
        }
        live.wait_for_revocations().await;
        let explanation = explain::explain(&live, request).await;
        live.close().await;
        explanation
    });
    runtime.shutdown_background();
    if skipped {
        explanation.note(
            "the stores were not contacted (--no-stores): this assumes that users exist and that nothing is revoked, and \
             leaves open what depends on a user's columns or on a session in a store",
        );
    }
    Ok(explanation)
}

/// Removes the stores from the configuration, and returns what each realm would have looked up in them.
fn without_stores(config: &mut Config) -> Vec<(Arc<str>, Skipped)> {
    let realms = config.realms.iter_mut().filter_map(|realm| {
        let stores = realm.stores.take()?;
        let skipped = Skipped {
            sessions: stores.looks_up_sessions(),
            users: stores.checks_users() || stores.looks_up_sessions(),
        };
        Some((Arc::clone(&realm.name), skipped))
    });
    realms.collect()
}

fn certificate(file: &Path) -> Result<Arc<ClientCertificate>> {
    let shown = file.display();
    let chain = read_chain(file).with_context(|| format!("{shown} (--certificate)"))?;
    let own = chain.first().and_then(client_certificate::of);
    let own =
        own.with_context(|| format!("{shown} (--certificate) contains no X.509 certificate"))?;
    Ok(Arc::new(own))
}

fn cookies(file: &Path) -> Result<HeaderValue> {
    let shown = file.display();
    let text = named_file::read(file, LONGEST_COOKIES)
        .with_context(|| format!("cannot read {shown} (--cookie-file)"))?;
    let value = header_value(&text).with_context(|| format!("{shown} (--cookie-file)"))?;
    let Ok(value) = HeaderValue::from_bytes(value) else {
        bail!("{shown} (--cookie-file) contains bytes that a header cannot contain");
    };
    Ok(value)
}

/// The longest cookie file in bytes, which is also the longest input of `open`.
const LONGEST_COOKIES: u64 = 1 << 20;
