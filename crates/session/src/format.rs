//! The format of a session.

use core::fmt;

/// The format of a session: which library wrote it, and how it is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Auth.js v5 (`@auth/core` 0.18.1 or later, `next-auth` 5): A256CBC-HS512, or A256GCM from its early releases.
    AuthJs,
    /// The token of a session in the database of an Auth.js or NextAuth application.
    AuthJsDatabase,
    /// The signed token (JWT) that an Auth.js or NextAuth application with an `encode()` of its own writes into the session
    /// cookie.
    AuthJsSigned,
    /// Better Auth's cookie cache, strategy `compact`.
    BetterAuthCompact,
    /// Better Auth's cookie cache, strategy `jwe`.
    BetterAuthJwe,
    /// Better Auth's cookie cache, strategy `jwt`.
    BetterAuthJwt,
    /// Better Auth's signed token, whose session was looked up.
    BetterAuthToken,
    /// A signed token (JWT) of an issuer whose keys were configured.
    Jwt,
    /// NextAuth v4 (`next-auth` 4): A256GCM.
    NextAuth,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 9] = [
        Self::AuthJs,
        Self::AuthJsDatabase,
        Self::AuthJsSigned,
        Self::BetterAuthCompact,
        Self::BetterAuthJwe,
        Self::BetterAuthJwt,
        Self::BetterAuthToken,
        Self::Jwt,
        Self::NextAuth,
    ];

    /// A stable name for logs and tools.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthJs => "authjs-v5",
            Self::AuthJsDatabase => "authjs-database",
            Self::AuthJsSigned => "authjs-signed",
            Self::BetterAuthCompact => "better-auth-compact",
            Self::BetterAuthJwe => "better-auth-jwe",
            Self::BetterAuthJwt => "better-auth-jwt",
            Self::BetterAuthToken => "better-auth-signed-token",
            Self::Jwt => "jwt",
            Self::NextAuth => "nextauth-v4",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
