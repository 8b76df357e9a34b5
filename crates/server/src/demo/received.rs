//! The headers with which a permitted request reaches a service.

use std::borrow::Cow;

use http::header::{ACCEPT, COOKIE};
use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;

/// The headers of a request that the gate has forwarded.
pub(super) struct ReceivedHeaders<'a>(pub(super) &'a HeaderMap);

impl ReceivedHeaders<'_> {
    /// The user's id.
    pub(super) fn user_id(&self) -> String {
        self.decoded("x-user-id")
    }

    /// The user's name.
    pub(super) fn user_name(&self) -> String {
        self.decoded("x-user-name")
    }

    /// The headers that the gate wrote: first those about the user, then those about the request.
    pub(super) fn rows(&self) -> Vec<(String, Cow<'_, str>)> {
        let names = self.0.keys().map(HeaderName::as_str);
        let mut ranked: Vec<(usize, &str)> =
            names.filter_map(|name| Some((rank(name)?, name))).collect();
        ranked.sort_unstable();
        ranked
            .into_iter()
            .map(|(_, name)| (title_case(name), self.text(name)))
            .collect()
    }

    /// Whether to answer with a page, rather than with a few lines of text.
    pub(super) fn wants_page(&self) -> bool {
        self.text(ACCEPT.as_str()).contains("text/html")
    }

    /// A command that sends this session together with forged headers.
    pub(super) fn forgery(&self, path: &str) -> String {
        // Both are pasted into a shell, so neither may contain characters that are special there.
        let plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._:=".contains(&byte))
        };
        let cookies = self.text(COOKIE.as_str());
        let session = cookies
            .split("; ")
            .find(|pair| pair.starts_with("authjs.session-token=") && plain(pair));
        let host = self.text("x-forwarded-host");
        let host = if plain(&host) {
            &*host
        } else {
            "127.0.0.1:8080"
        };
        let session = session.unwrap_or_default();
        format!(
            "curl -b '{session}' \\\n  -H 'X-User-Id: root' -H 'X_User_Email: root@example.com' \\\n  http://{host}{path}"
        )
    }

    /// The decoded value of a header. The gate percent-encodes a value that no header can carry as it is.
    fn decoded(&self, name: &str) -> String {
        percent_decode_str(&self.text(name))
            .decode_utf8_lossy()
            .into_owned()
    }

    fn text(&self, name: &str) -> Cow<'_, str> {
        self.0.get(name).map_or(Cow::Borrowed(""), |value| {
            String::from_utf8_lossy(value.as_bytes())
        })
    }
}

fn rank(name: &str) -> Option<usize> {
    ["x-user-id", "x-user-", "x-forwarded-", "x-request-id"]
        .iter()
        .position(|family| name.starts_with(family))
}

/// `x-user-id` as people write it: `X-User-Id`.
fn title_case(name: &str) -> String {
    let mut start = true;
    let letters = name.chars().map(|letter| {
        let cased = if start {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        start = letter == '-';
        cased
    });
    letters.collect()
}
