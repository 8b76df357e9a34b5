//! The names of tables and columns that each adapter uses.

use super::NONE;

/// The value of `SESSION_SCHEMA`: an adapter, whose names of tables and columns are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    BetterAuth,
    BetterAuthDrizzle,
    Drizzle,
    PgAdapter,
    Prisma,
}

/// The names of the tables and columns of a [`Schema`].
pub(super) struct TableNames {
    pub(super) table: &'static str,
    pub(super) token: &'static str,
    pub(super) user: &'static str,
    pub(super) expires: &'static str,
    pub(super) created: &'static str,
    pub(super) users: &'static str,
    pub(super) verified: &'static str,
    pub(super) anonymous: &'static str,
    pub(super) impersonated_by: &'static str,
}

impl Schema {
    pub(super) const WORDS: [(&'static str, Self); 5] = [
        ("pg-adapter", Self::PgAdapter),
        ("drizzle", Self::Drizzle),
        ("prisma", Self::Prisma),
        ("better-auth", Self::BetterAuth),
        ("better-auth-drizzle", Self::BetterAuthDrizzle),
    ];

    /// The names that the adapter uses. The sources: `@auth/pg-adapter` `src/index.ts`, `@auth/drizzle-adapter` `src/lib/pg.ts`,
    /// `@auth/prisma-adapter` `src/index.ts`, `better-auth` `db/get-migration.mjs`, and the generator of `auth` for Drizzle.
    pub(super) fn names(self) -> TableNames {
        let authjs = TableNames {
            table: "session",
            token: "sessionToken",
            user: "userId",
            expires: "expires",
            created: NONE,
            users: "user",
            verified: "emailVerified",
            anonymous: NONE,
            impersonated_by: NONE,
        };
        match self {
            Self::Drizzle => authjs,
            Self::PgAdapter => TableNames {
                table: "sessions",
                users: "users",
                ..authjs
            },
            Self::Prisma => TableNames {
                table: "Session",
                users: "User",
                ..authjs
            },
            Self::BetterAuth => TableNames {
                token: "token",
                expires: "expiresAt",
                created: "createdAt",
                anonymous: "isAnonymous",
                impersonated_by: "impersonatedBy",
                ..authjs
            },
            Self::BetterAuthDrizzle => TableNames {
                token: "token",
                user: "user_id",
                expires: "expires_at",
                created: "created_at",
                verified: "email_verified",
                anonymous: "is_anonymous",
                impersonated_by: "impersonated_by",
                ..authjs
            },
        }
    }
}
