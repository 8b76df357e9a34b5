//! One order, from the account to the certificate.

use std::time::Duration;

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use thiserror::Error;
use tokio::time::sleep;

use super::client::AcmeClient;
use super::served::Challenge;
use super::store::Store;
use super::stored::{AcmeStoreError, StoredKind};
use crate::clock;
use crate::config::{AcmeChallenge, AcmeSettings};

/// Why an order has failed.
#[derive(Debug, Error)]
pub(super) enum OrderError {
    /// The server is not reachable, or its answer was not understood.
    #[error("{0}")]
    Acme(Error),
    /// The authority has refused.
    #[error("the authority answered: {}", describe(.0))]
    Refused(Problem),
    /// The stored account is invalid.
    #[error("the stored account cannot be read: {0}; remove it to create a new one")]
    Account(String),
    /// The store has failed.
    #[error(transparent)]
    Keep(#[from] AcmeStoreError),
    /// No key or certificate request could be generated.
    #[error("the signing request cannot be created: {0}")]
    Made(#[from] rcgen::Error),
    /// The authority does not offer the configured challenges.
    #[error("the authority does not offer the challenge {}", name(*.0))]
    NotOffered(AcmeChallenge),
    /// The authority's validation has failed.
    #[error("validation by {by} failed: {reason}", by = name(*.by))]
    ValidationFailed { by: AcmeChallenge, reason: String },
    /// The issued certificate does not fit the key.
    #[error("the issued certificate cannot be used: {0}")]
    Unusable(String),
    /// The order took too long.
    #[error("the order did not complete within {} s", LONGEST.as_secs())]
    TimedOut,
}

impl OrderError {
    /// Whether the authority's rate limit was exceeded (RFC 8555 §6.6).
    pub(super) fn is_rate_limit(&self) -> bool {
        let Self::Refused(problem) = self else {
            return false;
        };
        problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:rateLimited")
    }
}

impl From<Error> for OrderError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library may add errors, and displays all of them itself"
    )]
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Refused(problem),
            other => Self::Acme(other),
        }
    }
}

/// Formats an error of the authority, with its type (RFC 8555 §6.7).
fn describe(problem: &Problem) -> String {
    let name = problem.r#type.as_deref().unwrap_or("no type");
    let mut text = match &problem.detail {
        Some(detail) => format!("{detail} ({name})"),
        None => name.to_owned(),
    };
    for sub in &problem.subproblems {
        text += &format!("; {sub}");
    }
    text
}

/// An issued certificate: key and chain as PEM in one text.
pub(super) struct IssuedCertificate(pub(super) String);

/// Orders a certificate for a hostname.
///
/// # Errors
/// [`OrderError`] says why the order has failed.
pub(super) async fn order(
    domain: &str,
    challenge: AcmeChallenge,
    settings: &AcmeSettings,
    client: &AcmeClient,
    store: &Store,
) -> Result<IssuedCertificate, OrderError> {
    let identifiers = [Identifier::Dns(domain.to_owned())];
    let new = NewOrder::new(&identifiers);
    let known = account(settings, client, store).await?;
    let mut order = match known.new_order(&new).await {
        Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => {
            let ca = &settings.directory_url;
            tracing::warn!(
                ca,
                "the authority no longer knows the account; creating a new one"
            );
            store.remove(StoredKind::Account, ACCOUNT).await?;
            let account = account(settings, client, store).await?;
            account.new_order(&new).await?
        }
        order => order?,
    };
    let proved = prove(domain, challenge, &mut order, store).await;
    let finished = match proved {
        Ok(()) => finish(domain, &mut order).await,
        Err(error) => Err(error),
    };
    // The challenge is no longer needed. If it stays, it expires.
    store.remove(StoredKind::Challenge, domain).await?;
    finished
}

/// The stored account, or a new one.
async fn account(
    settings: &AcmeSettings,
    client: &AcmeClient,
    store: &Store,
) -> Result<Account, OrderError> {
    let http = || Box::new(client.clone());
    if let Some(kept) = store.get(StoredKind::Account, ACCOUNT).await? {
        let credentials: AccountCredentials = serde_json::from_str(&kept).map_err(unreadable)?;
        let builder = Account::builder_with_http(http());
        let account = builder.from_credentials(credentials).await;
        return account.map_err(|error| match matches!(error, Error::KeyRejected) {
            true => unreadable(error),
            false => error.into(),
        });
    }
    let contact = settings
        .email
        .as_ref()
        .map(|email| format!("mailto:{email}"));
    let contact = contact.as_deref();
    let new = NewAccount {
        contact: contact.as_slice(),
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_http(http());
    let url = settings.directory_url.clone();
    let (account, credentials) = builder.create(&new, url, None).await?;
    let text = serde_json::to_string(&credentials).map_err(Error::from)?;
    store.put(StoredKind::Account, ACCOUNT, &text).await?;
    Ok(account)
}

fn unreadable(error: impl ToString) -> OrderError {
    OrderError::Account(error.to_string())
}

/// Proves control of the hostname, unless an earlier authorization is still valid.
async fn prove(
    domain: &str,
    kind: AcmeChallenge,
    order: &mut Order,
    store: &Store,
) -> Result<(), OrderError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let challenge = authorization.challenge(challenge_type(kind));
        let mut challenge = challenge.ok_or(OrderError::NotOffered(kind))?;
        let shown = Challenge {
            kind: kind.into(),
            token: challenge.token.clone(),
            key_authorization: challenge.key_authorization().as_str().to_owned(),
            until: clock::now().secs() + LONGEST.as_secs(),
        };
        let text = serde_json::to_string(&shown).map_err(Error::from)?;
        store.put(StoredKind::Challenge, domain, &text).await?;
        // The authority may connect to any node.
        sleep(BEFORE_VALIDATION).await;
        challenge.set_ready().await?;
    }
    match order.poll_ready(&POLLING).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => Ok(()),
        Ok(OrderStatus::Invalid | OrderStatus::Pending | OrderStatus::Processing) => {
            let reason = validation_errors(order).await;
            Err(OrderError::ValidationFailed { by: kind, reason })
        }
        Err(error) => Err(error.into()),
    }
}

/// The authority's reason for a failed validation.
async fn validation_errors(order: &mut Order) -> String {
    let mut seen = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else {
            continue;
        };
        let errors = state.challenges.iter().filter_map(|one| one.error.as_ref());
        seen.extend(errors.map(describe));
    }
    match seen.is_empty() {
        true => "no reason given".to_owned(),
        false => seen.join("; "),
    }
}

/// Requests a certificate for a new key, and waits for it.
async fn finish(domain: &str, order: &mut Order) -> Result<IssuedCertificate, OrderError> {
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    order.finalize_csr(request.der()).await?;
    let chain = order.poll_certificate(&POLLING).await?;
    Ok(IssuedCertificate(key.serialize_pem() + &chain))
}

fn challenge_type(challenge: AcmeChallenge) -> ChallengeType {
    match challenge {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// The name of a challenge (RFC 8555 §8.3, RFC 8737 §3), for messages.
pub(super) fn name(challenge: AcmeChallenge) -> &'static str {
    match challenge {
        AcmeChallenge::Http01 => "http-01",
        AcmeChallenge::TlsAlpn01 => "tls-alpn-01",
    }
}

/// The name of the account in the store. There is one account for each server.
const ACCOUNT: &str = "account";

/// The error type for an account that the authority does not know (RFC 8555 §6.7).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// The limit for a whole order, after which another node may order.
pub(super) const LONGEST: Duration = Duration::from_secs(5 * 60);

/// How long an order waits before the validation, so that all nodes serve the challenge. Each reads new challenges once a second.
const BEFORE_VALIDATION: Duration = Duration::from_secs(3);

/// How often the authority is polled for the result: after half a second, then after twice that, and so on, for two minutes.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .timeout(Duration::from_secs(120));
