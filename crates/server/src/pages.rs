//! The pages of refusals, and their frame, which the demo shares.
//!
//! A page is self-contained: it loads nothing, runs no script, and repeats nothing that the client sent.

use http::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The style sheet of every page, in its head.
pub(crate) const STYLE: &str = include_str!("pages/style.css");

/// The `Content-Security-Policy` of every page: this style sheet, this icon, forms to their own origin, nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-3NTz9sl2jKCFGAejznWPhOqOYhp9HcJwvatzjJ4U7uM='; \
    img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page about a refused request of a browser: what happened, what to do, and the request id, under which the log has the
/// reason. The page does not show the reason, because a stranger could learn from it.
pub(crate) fn refusal(status: StatusCode, request_id: &str) -> String {
    refused(status, &RefusalText::of(status), &html! {}, request_id)
}

/// The page for a user who is not permitted, and can sign in as another user. The reason is only in the log.
pub(crate) fn forbidden(sign_in: &str, request_id: &str) -> String {
    let more = html! {
        div.actions { a.button href=(sign_in) { "Sign in with another account" } }
    };
    let status = StatusCode::FORBIDDEN;
    refused(status, &RefusalText::of(status), &more, request_id)
}

/// The page for a browser in a redirect loop. It names the usual causes; the actual one is only in the log, under the
/// request id. `sign_in` is the URL for another try.
pub(crate) fn looping(sign_in: &str, request_id: &str) -> String {
    let more = html! {
        h2 { "What usually causes this" }
        ul.causes {
            li { "The session cookie does not reach this address." " The app sets it for another host or domain, with "
                code { "Secure" } " although this address is plain http, or with a " code { "SameSite" }
                " that stops the browser from sending it." }
            li { "The app and this gate do not use the same secret, cookie name or salt." }
            li { "A clock is wrong, so the session looks expired or not yet valid." }
        }
        div.actions { a.button href=(sign_in) { "Sign in once more" } }
    };
    refused(StatusCode::UNAUTHORIZED, &LOOPING, &more, request_id)
}

fn refused(status: StatusCode, words: &RefusalText, more: &Markup, request_id: &str) -> String {
    let content = html! {
        main {
            p.status { b { (status.as_str()) } " " (status.canonical_reason().unwrap_or_default()) }
            h1 { (words.heading) }
            p.lead { (words.explanation) }
            p { (words.advice) }
            (more)
            dl.receipt {
                dt { "Request id" }
                dd.mono { (request_id) }
            }
        }
    };
    page(words.heading, &html! { header { (logo()) } (content) }).into_string()
}

/// A whole page around its header, main part and footer.
pub(crate) fn page(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href=(ICON);
                style { (PreEscaped(STYLE)) }
            }
            body { (content) }
        }
    }
}

/// The logo: an arch with bars.
pub(crate) fn logo() -> Markup {
    html! {
        svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"
            aria-hidden="true" {
            path d="M4 21V11a8 8 0 0 1 16 0v10M9.3 21v-9M14.7 21v-9" {}
        }
    }
}

/// The text of a refusal, which fits every reason with this status.
struct RefusalText {
    heading: &'static str,
    explanation: &'static str,
    advice: &'static str,
}

impl RefusalText {
    fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::BAD_REQUEST => Self {
                heading: "This address cannot be opened",
                explanation: "The request could be understood in more than one way, or not at all, so it was not passed on.",
                advice: "Check the address for stray characters. If you followed a link, please tell the people who \
                         run this site, and include the id below.",
            },
            StatusCode::UNAUTHORIZED => Self {
                heading: "Please sign in",
                explanation: "You are not signed in, or your session has ended.",
                advice: "Sign in to the app, then open this page again.",
            },
            StatusCode::FORBIDDEN => Self {
                heading: "You do not have access",
                explanation: "You do not have permission to open this page. If you are signed in, this account may not use it.",
                advice: "Try another account, or ask the people who run this site for access. The id below helps \
                    them to find \
                         this request.",
            },
            StatusCode::NOT_FOUND => Self {
                heading: "There is no such page",
                explanation: "This site has nothing at this address.",
                advice: "Check the address for typing errors, or go back to where you came from.",
            },
            StatusCode::METHOD_NOT_ALLOWED => Self {
                heading: "This cannot be done here",
                explanation: "The address exists, but it does not accept this kind of request.",
                advice: "Go back and try again from the page you came from.",
            },
            StatusCode::PAYLOAD_TOO_LARGE => Self {
                heading: "That is too large",
                explanation: "What you sent is larger than this address accepts, so it was turned away.",
                advice: "Send something smaller, or, if that is possible here, in several parts.",
            },
            StatusCode::TOO_MANY_REQUESTS => Self {
                heading: "Too many requests",
                explanation: "More requests came from your address or account than this site answers in so short a time.",
                advice: "Wait a minute, then open this page again. You have not been signed out.",
            },
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Self {
                heading: "Your browser sent too many cookies",
                explanation: "The headers of the request, most likely its cookies, are larger than this site accepts.",
                advice: "Delete this site's cookies in your browser, then sign in again.",
            },
            StatusCode::BAD_GATEWAY => Self {
                heading: "The service is not answering",
                explanation: "Your request was fine, but the service behind this address could not be reached.",
                advice: "Try again in a minute. If this keeps happening, contact the people who run this site, and include the \
                         id below.",
            },
            StatusCode::SERVICE_UNAVAILABLE => Self {
                heading: "We cannot let you in right now",
                explanation: "This site has too much to do at the moment, or something that it needs to check who you are is not \
                           available. You have not been signed out.",
                advice: "Try again in a minute. If this keeps happening, contact the people who run this site, and include the \
                         id below.",
            },
            StatusCode::GATEWAY_TIMEOUT => Self {
                heading: "The service is taking too long",
                explanation: "Your request was passed on, but the service behind this address did not answer in time.",
                advice: "Wait a minute before you try again: what you asked for may still be under way.",
            },
            _ => Self {
                heading: "This did not work",
                explanation: "The request could not be completed.",
                advice: "Try again in a minute. If this keeps happening, contact the people who run this site, and include the \
                         id below.",
            },
        }
    }
}

const LOOPING: RefusalText = RefusalText {
    heading: "Signing in does not get you here",
    explanation: "The sign-in page sent your browser back several times within a few seconds, and each time this site found \
               no session that it can use. So it has stopped.",
    advice: "Trying again rarely helps. Please tell the people who run this site, and include the id below: the log \
             says under this id what was wrong.",
};

/// The logo as an inline icon, which needs no request.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' \
    stroke='%232a9d87' stroke-width='2.4' stroke-linecap='round'%3E%3Cpath d='M4 21V11a8 8 0 0 1 16 0v10M9.3 21v-9\
    M14.7 21v-9'/%3E%3C/svg%3E";

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn every_refusal_has_its_own_words() {
        let known = [400, 401, 403, 404, 405, 413, 429, 431, 502, 503, 504];
        let mut headings: Vec<&str> = known
            .map(|code| RefusalText::of(StatusCode::from_u16(code).unwrap()).heading)
            .to_vec();
        headings.push(RefusalText::of(StatusCode::IM_A_TEAPOT).heading);
        headings.sort_unstable();
        headings.dedup();
        assert_eq!(headings.len(), known.len() + 1);
    }

    #[test]
    fn a_refusal_shows_the_request_id_as_text() {
        let page = refusal(StatusCode::FORBIDDEN, "<script>alert(1)</script>");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!page.contains("<script"));
    }

    #[test]
    fn loop_page_does_not_depend_on_the_reason() {
        let page = looping("/signin?callbackUrl=%2F&a=\"><script>", "id");
        assert!(page.contains("href=\"/signin?callbackUrl=%2F&amp;a=&quot;&gt;&lt;script&gt;\""));
        for cause in ["Secure", "SameSite", "secret", "salt", "clock", "domain"] {
            assert!(page.contains(cause), "{cause}");
        }
    }

    #[test]
    fn refused_user_can_sign_in_with_another_account() {
        let page = forbidden("/signin?callbackUrl=%2F&a=\"><script>", "id");
        assert!(page.contains("href=\"/signin?callbackUrl=%2F&amp;a=&quot;&gt;&lt;script&gt;\""));
        let without = refusal(StatusCode::FORBIDDEN, "id");
        assert!(!without.contains("href=\"/"), "there is nowhere to go");
    }

    #[test]
    fn a_refusal_loads_nothing() {
        let page =
            refusal(StatusCode::FORBIDDEN, "id").replace("xmlns='http://www.w3.org/2000/svg'", "");
        for loader in ["http:", "https:", "src=", "url(", "@import", "<script"] {
            assert!(!page.contains(loader), "{loader}");
        }
    }

    #[test]
    fn the_policy_admits_the_style_sheet() {
        let hash = base64(digest(&SHA256, STYLE.as_bytes()).as_ref());
        let source = format!("style-src 'sha256-{hash}'");
        assert!(
            CONTENT_SECURITY_POLICY.contains(&source),
            "the style sheet has changed; its hash is now {hash}"
        );
    }

    fn base64(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text = bytes.chunks(3).flat_map(|chunk| {
            let bits = (0..3).fold(0_u32, |bits, at| {
                bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
            });
            (0..4_usize).map(move |at| match at <= chunk.len() {
                true => char::from(ALPHABET[(bits >> (18 - 6 * at)) as usize & 63]),
                false => '=',
            })
        });
        text.collect()
    }
}
