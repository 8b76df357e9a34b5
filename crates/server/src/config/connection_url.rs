//! Parses the URL of a database or a cache without interpreting its parts.
//!
//! The drivers' own parsers skip parameters that they do not know, and a skipped parameter may require TLS or name a schema. Here
//! every parameter is returned, and the caller must account for each.

use std::fmt;

use percent_encoding::percent_decode_str;

use super::host::Host;

/// A URL of the form `scheme://[user[:password]@][host[:port][,…]][/path][?name=value&…]`. All parts are percent-decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ConnectionUrl {
    pub(super) scheme: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Empty for a URL without a host, such as `postgres:///app?host=/run/postgresql`. A host that begins with a slash is
    /// the folder of a Unix socket.
    pub(super) hosts: Vec<Host>,
    /// Without the slash before it.
    pub(super) path: String,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) fragment: Option<String>,
    /// The URL in displayable form, without anything that could be a secret.
    shown: String,
}

impl ConnectionUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// If it is not a URL. The error repeats no part of the text, because any part may be the password.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("not a URL: it has no scheme followed by `://`")?;
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (rest, None),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if [path, query, fragment.unwrap_or_default()]
            .iter()
            .any(|part| part.contains('@'))
        {
            return Err(
                "there is an `@` after the host; if the password contains `/`, `?` or `#`, write them as %2F, %3F and \
                 %23, and write an `@` elsewhere as %40"
                    .to_owned(),
            );
        }
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (credentials, hosts),
            None => ("", authority),
        };
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(decode(password, "password")?)),
            None => (credentials, None),
        };
        let user = Some(decode(user, "user")?).filter(|user| !user.is_empty());
        let parameters = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(parameter)
            .collect::<Result<Vec<_>, _>>()?;
        let url = Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password: password.filter(|password| !password.is_empty()),
            hosts: hosts_of(hosts)?,
            path: decode(path, "path")?,
            parameters,
            fragment: fragment.map(str::to_owned),
            shown: String::new(),
        };
        let shown = url.show(hosts, path);
        Ok(Self { shown, ..url })
    }

    fn show(&self, hosts: &str, path: &str) -> String {
        let mut shown = format!("{}://", self.scheme);
        if let Some(user) = &self.user {
            shown += user;
        }
        if self.password.is_some() {
            shown += ":***";
        }
        if self.user.is_some() || self.password.is_some() {
            shown.push('@');
        }
        shown += hosts;
        if !path.is_empty() {
            shown = format!("{shown}/{path}");
        }
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let separator = if index == 0 { '?' } else { '&' };
            let value = if holds_secret(name) { "***" } else { value };
            shown = format!("{shown}{separator}{name}={value}");
        }
        if let Some(fragment) = &self.fragment {
            shown = format!("{shown}#{fragment}");
        }
        shown
    }
}

/// Shows the URL with secrets replaced by `***`.
impl fmt::Display for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown.escape_debug().to_string())
    }
}

impl fmt::Debug for ConnectionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionUrl({self})")
    }
}

/// Whether a parameter with this name may hold a secret, in any program that reads such URLs.
fn holds_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "credential", "auth"]
        .iter()
        .any(|part| name.contains(part))
}

/// Sets a value that is unset, or already has the same value.
///
/// # Errors
/// [`GIVEN_TWICE`] if it already has another value.
pub(super) fn set<T: PartialEq>(place: &mut Option<T>, value: T) -> Result<(), String> {
    match place {
        Some(other) if *other != value => Err(GIVEN_TWICE.to_owned()),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

/// The problem of a parameter that contradicts another part of its URL.
pub(super) const GIVEN_TWICE: &str = "it is given twice, with different values";

fn hosts_of(text: &str) -> Result<Vec<Host>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|host| {
            let name = decode(host, "host")?;
            match name.starts_with('/') {
                true => socket(host),
                false => Host::parse(&name).map_err(str::to_owned),
            }
        })
        .collect()
}

/// The folder of a Unix socket, which may contain colons itself (Google's `/cloudsql/project:region:instance`), with an
/// optional port after the last colon.
fn socket(text: &str) -> Result<Host, String> {
    let (folder, port) = match text.rsplit_once(':') {
        Some((folder, port)) => (folder, port.parse().ok()),
        None => (text, None),
    };
    let folder = if port.is_some() { folder } else { text };
    Ok(Host {
        name: decode(folder, "host")?,
        port,
    })
}

fn parameter(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = decode(name, "name of a parameter")?;
    // libpq reads a plus sign as itself, and JavaScript as a space. This matters in `options`, in which libpq could not read a
    // plus sign.
    let value = match &*name {
        "options" => value.replace('+', " "),
        _ => value.to_owned(),
    };
    let value = decode(&value, "value of a parameter")?;
    Ok((name, value))
}

fn decode(text: &str, what: &str) -> Result<String, String> {
    let is_escape = |rest: &str| {
        let escape = rest.as_bytes().get(..2);
        escape.is_some_and(|escape| escape.iter().all(u8::is_ascii_hexdigit))
    };
    if !text.split('%').skip(1).all(is_escape) {
        return Err(format!(
            "the {what} contains a `%` that is not an escape; write it as %25"
        ));
    }
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| format!("the {what} is not UTF-8 text"))?;
    if decoded.contains(char::is_control) {
        return Err(format!("the {what} contains a control character"));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, port: Option<u16>) -> Host {
        Host {
            name: name.to_owned(),
            port,
        }
    }

    #[test]
    fn all_parts_are_decoded() {
        let url = ConnectionUrl::parse(
            "postgres://ga%3Ate:p%40ss:w%2Frd@a.example:1,[::1]:2,c/my%20app?sslmode=require&options=-c%20a%3Db#f",
        )
        .unwrap();
        assert_eq!(url.scheme, "postgres");
        assert_eq!(url.user.as_deref(), Some("ga:te"));
        assert_eq!(url.password.as_deref(), Some("p@ss:w/rd"));
        let hosts = [
            host("a.example", Some(1)),
            host("::1", Some(2)),
            host("c", None),
        ];
        assert_eq!(url.hosts, hosts);
        assert_eq!(url.path, "my app");
        let parameters = [("sslmode", "require"), ("options", "-c a=b")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(url.parameters, parameters);
        assert_eq!(url.fragment.as_deref(), Some("f"));
        let bare = ConnectionUrl::parse("postgres:///app?host=/run/postgresql").unwrap();
        assert_eq!((bare.hosts, &*bare.path), (vec![], "app"));
        let socket = ConnectionUrl::parse("postgres://%2Frun%2Fpostgresql/app").unwrap();
        assert_eq!(socket.hosts, [host("/run/postgresql", None)]);
        let socket =
            ConnectionUrl::parse("postgres://%2Frun%2Fpg:5433,%2Fcloudsql%2Fa:b:c/app").unwrap();
        assert_eq!(
            socket.hosts,
            [host("/run/pg", Some(5433)), host("/cloudsql/a:b:c", None)]
        );
    }

    #[test]
    fn secrets_are_hidden_and_parameters_shown() {
        for (url, shown) in [
            (
                "postgres://u:p%40ss@db:5432/app?schema=tenant&password=x",
                "postgres://u:***@db:5432/app?schema=tenant&password=***",
            ),
            (
                "redis://:pw@[::1]/1?PASS=x",
                "redis://:***@[::1]/1?PASS=***",
            ),
            ("redis://cache?auth_token=x", "redis://cache?auth_token=***"),
            ("POSTGRES://u@db,db2", "postgres://u@db,db2"),
        ] {
            let url = ConnectionUrl::parse(url).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("ConnectionUrl({shown})"));
        }
    }

    #[test]
    fn invalid_urls_are_refused_without_repeating_them() {
        for url in [
            "db:5432/hidden",
            "postgres://u:hidden/word@db/app",
            "postgres://u:hidden#word@db/app",
            "postgres://u:hidden?word@db/app",
            "postgres://u:hidden%@db/app",
            "postgres://u:hidden%ff@db/app",
            "postgres://u:hidden@db:port/app",
            "postgres://u:hidden%00@db/app",
        ] {
            let error = ConnectionUrl::parse(url).unwrap_err();
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
