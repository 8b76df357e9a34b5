//! Reads the service of the top level, and parses the URLs of servers.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use http::uri::{Authority, Scheme, Uri};

use super::ascii_host;
use super::folder::{FolderOptions, FolderSettings};
use super::reader::Reader;
use super::rules::{self, ConnectionDefaults, ServerAddress, ServiceSettings, Timeouts};

/// Reads the service. Only a gate that makes decisions for calling proxies needs none.
pub(super) fn service(
    reader: &mut Reader<'_>,
    timeouts: Timeouts,
    connections: &ConnectionDefaults,
    is_required: bool,
) -> Option<ServiceSettings> {
    let Some(text) = reader.text("UPSTREAM") else {
        if is_required {
            reader.problem(
                "UPSTREAM",
                "not set; set it to the service to protect, such as http://127.0.0.1:3000 or dir:/srv/www, or set \
                 AUTH_LISTEN to make decisions for a proxy that you already run",
            );
        }
        return None;
    };
    if let Some(located) = FolderSettings::located(&text, reader.place("UPSTREAM")) {
        let path = located
            .map_err(|what| reader.problem("UPSTREAM", what))
            .ok()?;
        return Some(ServiceSettings::Folder(FolderSettings {
            timeout: timeouts.answer,
            options: FolderOptions::read(reader, &path),
            path,
        }));
    }
    let server = server(&text)
        .map_err(|what| reader.problem("UPSTREAM", what))
        .ok()?;
    Some(rules::of_one_server(server, timeouts, connections))
}

/// Parses the URL of a server.
pub(super) fn server(text: &str) -> Result<ServerAddress, String> {
    let (scheme, authority) = authority(text)?;
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let secure = scheme == Scheme::HTTPS;
    let default = if secure { 443 } else { 80 };
    let port = authority.port_u16().unwrap_or(default);
    Ok(match OVER_HTTP2.contains(&scheme.as_str()) {
        true => ServerAddress::Http2 { host, port },
        false => ServerAddress::Tcp { host, port, secure },
    })
}

/// Parses a URL with a supported scheme into scheme, host and port.
fn authority(text: &str) -> Result<(Scheme, Authority), String> {
    let example = "give a URL such as http://127.0.0.1:3000";
    // Any part of an invalid URL may be a password.
    let shown = match text.contains('@') {
        true => "it".to_owned(),
        false => format!("`{text}`"),
    };
    // The parser drops a fragment.
    for (mark, part) in [('?', "query"), ('#', "fragment")] {
        if text.contains(mark) && !text.contains('@') {
            return Err(format!(
                "{shown} has a {part}; the gate forwards that of each request, so give only scheme, host and port"
            ));
        }
    }
    let uri: Uri = with_brackets(text).parse().map_err(|_| {
        let advice = ascii_host::advice(text);
        advice.unwrap_or_else(|| format!("{shown} is not a URL; {example}"))
    })?;
    let parts = uri.into_parts();
    let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
        return Err(format!("{shown} has no scheme or no host; {example}"));
    };
    let is_known = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
    if !is_known && !OVER_HTTP2.contains(&scheme.as_str()) {
        return Err(format!("the scheme `{scheme}` is not supported; {example}"));
    }
    if authority.as_str().contains('@') {
        return Err("credentials in the URL are not supported; remove them".to_owned());
    }
    // The parser ignores a port that is out of range, so requests would go to another service.
    let has_port = authority.as_str().len() > authority.host().len();
    if has_port && authority.port_u16().is_none() {
        return Err(format!(
            "the text after the host of `{text}` is not a port; {example}"
        ));
    }
    if parts
        .path_and_query
        .is_some_and(|path| path.as_str() != "/")
    {
        return Err(format!(
            "`{text}` has a path; the gate forwards the path of each request, so give only scheme, host and port"
        ));
    }
    Ok((scheme, authority))
}

/// The schemes of servers that use HTTP/2 without TLS, for gRPC or anything else.
const OVER_HTTP2: [&str; 2] = ["grpc", "h2c"];

/// Adds the brackets that a URL needs to an IPv6 address after the scheme, as in `http://::1`.
fn with_brackets(text: &str) -> Cow<'_, str> {
    let address = text
        .split_once("://")
        .map(|(scheme, rest)| (scheme, rest.trim_end_matches('/')));
    match address {
        Some((scheme, address)) if address.parse::<Ipv6Addr>().is_ok() => {
            format!("{scheme}://[{address}]").into()
        }
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_selects_the_http_version() {
        for (text, shown) in [
            ("http://a:3000", "http://a:3000"),
            ("h2c://a:3000/", "h2c://a:3000"),
            ("grpc://[::1]:50051", "h2c://[::1]:50051"),
            ("h2c://a", "h2c://a:80"),
            ("https://a", "https://a:443"),
        ] {
            let server = server(text).map(|server| server.to_string());
            assert_eq!(server, Ok(shown.to_owned()), "{text}");
        }
        for text in ["h2://a", "grpcs://a", "h2c://a/b", "grpc://u@a"] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
