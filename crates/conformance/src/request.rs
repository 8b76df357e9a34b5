//! Requests, well-formed or not.

/// A request with exactly the given parts.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    method: String,
    target: String,
    version: String,
    host: Option<String>,
    lines: Vec<String>,
    body: String,
}

impl Request {
    pub(crate) fn get(target: impl Into<String>, host: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.into(),
            version: "HTTP/1.1".to_owned(),
            host: Some(host.to_owned()),
            lines: Vec::new(),
            body: String::new(),
        }
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    pub(crate) fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub(crate) fn without_host(mut self) -> Self {
        self.host = None;
        self
    }

    /// Adds a header line, unchanged.
    pub(crate) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    pub(crate) fn lines<S: AsRef<str>>(mut self, lines: impl IntoIterator<Item = S>) -> Self {
        let lines = lines.into_iter().map(|line| line.as_ref().to_owned());
        self.lines.extend(lines);
        self
    }

    /// Sets a body, without a header that announces it.
    pub(crate) fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// Returns the request as it is sent.
    pub(crate) fn text(&self) -> String {
        let host = self.host.iter().map(|host| format!("Host: {host}\r\n"));
        let lines = self.lines.iter().map(|line| format!("{line}\r\n"));
        let fields: String = host.chain(lines).collect();
        let Self {
            method,
            target,
            version,
            body,
            ..
        } = self;
        format!("{method} {target} {version}\r\n{fields}\r\n{body}")
    }
}

impl From<Request> for String {
    fn from(request: Request) -> Self {
        request.text()
    }
}

/// Returns a chunked body of these parts.
pub(crate) fn chunks(parts: &[&str]) -> String {
    let chunk = |part: &&str| format!("{:x}\r\n{part}\r\n", part.len());
    let chunks: String = parts.iter().map(chunk).collect();
    chunks + "0\r\n\r\n"
}
