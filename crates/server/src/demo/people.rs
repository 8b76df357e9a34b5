//! The users of the demo: one table, in memory.

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

/// Someone to sign in as.
pub(super) struct Person {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
}

/// One of them has a name that no header can carry as it is.
pub(super) const PEOPLE: [Person; 3] = [
    Person {
        id: "ada",
        name: "Ada Lovelace",
        email: "ada@example.com",
    },
    Person {
        id: "kofi",
        name: "Kofi Mensah",
        email: "kofi@example.com",
    },
    Person {
        id: "zoe",
        name: "Zoë Müller",
        email: "zoe@example.com",
    },
];

/// The user table. Whoever is not in it may not enter.
#[derive(Clone)]
pub(super) struct People(SqlitePool);

impl People {
    /// A database in memory that the gate's own connections see as well: SQLite shares it under a name that is a
    /// `file:` URI, and only then (<https://www.sqlite.org/inmemorydb.html>).
    pub(super) const URL: &str = "sqlite://file:sessiongate-demo?mode=memory&cache=shared";

    /// Creates the table with everyone in it.
    pub(super) async fn open() -> Result<Self, sqlx::Error> {
        // SQLite drops such a database with its last connection, so this one stays open.
        let options = SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(1);
        let pool = options
            .idle_timeout(None)
            .max_lifetime(None)
            .connect(Self::URL)
            .await?;
        sqlx::query(
            "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL)",
        )
        .execute(&pool)
        .await?;
        let people = Self(pool);
        people.restore().await?;
        Ok(people)
    }

    /// Puts back whoever was deleted.
    pub(super) async fn restore(&self) -> Result<(), sqlx::Error> {
        for Person { id, name, email } in &PEOPLE {
            sqlx::query("INSERT OR IGNORE INTO users (id, name, email) VALUES (?, ?, ?)")
                .bind(id)
                .bind(name)
                .bind(email)
                .execute(&self.0)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn delete(&self, id: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM users WHERE id = ?")
            .bind(id)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// The ids that are in the table.
    pub(super) async fn present(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar("SELECT id FROM users")
            .fetch_all(&self.0)
            .await
    }
}
