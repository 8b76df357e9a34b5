//! The users of the demo: one table, in memory.

use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;

/// A user of the demo.
pub(super) struct Person {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    /// The user's first row in the table; `None` for a user who was deleted.
    first: Option<UserRow>,
}

/// The row of a user in the user table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UserRow {
    pub(super) role: UserRole,
    pub(super) banned: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserRole {
    Admin,
    Member,
}

/// The users of the demo. One of them has a name that no header can carry unencoded.
pub(super) static PEOPLE: [Person; 5] = [
    Person {
        id: "ada",
        name: "Ada Lovelace",
        email: "ada@example.com",
        first: Some(UserRow {
            role: UserRole::Admin,
            banned: false,
        }),
    },
    Person {
        id: "kofi",
        name: "Kofi Mensah",
        email: "kofi@example.com",
        first: Some(UserRow {
            role: UserRole::Member,
            banned: false,
        }),
    },
    Person {
        id: "zoe",
        name: "Zoë Müller",
        email: "zoe@example.com",
        first: Some(UserRow {
            role: UserRole::Member,
            banned: false,
        }),
    },
    Person {
        id: "ivan",
        name: "Ivan Petrov",
        email: "ivan@example.com",
        first: Some(UserRow {
            role: UserRole::Member,
            banned: true,
        }),
    },
    Person {
        id: "mei",
        name: "Mei Tanaka",
        email: "mei@example.com",
        first: None,
    },
];

impl Person {
    /// Returns the user with this id.
    pub(super) fn of_id(id: &str) -> Option<&'static Self> {
        PEOPLE.iter().find(|person| person.id == id)
    }

    /// The user's first name.
    pub(super) fn first_name(&self) -> &'static str {
        self.name.split(' ').next().unwrap_or(self.name)
    }
}

impl UserRole {
    /// The value of the column `role`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }

    fn of(text: &str) -> Self {
        match text {
            "admin" => Self::Admin,
            _ => Self::Member,
        }
    }
}

/// A change to a user's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PersonChange {
    Ban,
    Delete,
    MakeAdmin,
    MakeMember,
    Restore,
    Unban,
}

impl PersonChange {
    pub(super) const ALL: [Self; 6] = [
        Self::Ban,
        Self::Delete,
        Self::MakeAdmin,
        Self::MakeMember,
        Self::Restore,
        Self::Unban,
    ];

    /// The value that forms send for the change.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Delete => "delete",
            Self::MakeAdmin => "make-admin",
            Self::MakeMember => "make-member",
            Self::Restore => "restore",
            Self::Unban => "unban",
        }
    }
}

/// The user table. Users who are not in it are refused.
#[derive(Clone)]
pub(super) struct People(SqlitePool);

impl People {
    /// A database in memory that the gate's own connections open as well. SQLite shares it only under a name that is a `file:`
    /// URI (<https://www.sqlite.org/inmemorydb.html>).
    pub(super) const URL: &str = "sqlite://file:sessiongate-demo?mode=memory&cache=shared";

    /// Creates the table and fills it.
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
        let table = "CREATE TABLE users (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, \
                     role TEXT NOT NULL, banned BOOLEAN NOT NULL)";
        sqlx::query(table).execute(&pool).await?;
        let people = Self(pool);
        for person in &PEOPLE {
            if let Some(row) = &person.first {
                people.insert(person, row).await?;
            }
        }
        Ok(people)
    }

    async fn insert(&self, person: &Person, row: &UserRow) -> Result<(), sqlx::Error> {
        let insert =
            "INSERT OR IGNORE INTO users (id, name, email, role, banned) VALUES (?, ?, ?, ?, ?)";
        let insert = sqlx::query(insert).bind(person.id).bind(person.name);
        let insert = insert.bind(person.email).bind(row.role.as_str());
        insert.bind(row.banned).execute(&self.0).await?;
        Ok(())
    }

    /// Changes a user's row.
    pub(super) async fn change(
        &self,
        person: &Person,
        change: PersonChange,
    ) -> Result<(), sqlx::Error> {
        let statement = match change {
            PersonChange::Ban => "UPDATE users SET banned = TRUE WHERE id = ?",
            PersonChange::Delete => "DELETE FROM users WHERE id = ?",
            PersonChange::MakeAdmin => "UPDATE users SET role = 'admin' WHERE id = ?",
            PersonChange::MakeMember => "UPDATE users SET role = 'member' WHERE id = ?",
            PersonChange::Restore => {
                let as_new = UserRow {
                    role: UserRole::Member,
                    banned: false,
                };
                let row = person.first.as_ref().unwrap_or(&as_new);
                return self.insert(person, row).await;
            }
            PersonChange::Unban => "UPDATE users SET banned = FALSE WHERE id = ?",
        };
        sqlx::query(statement)
            .bind(person.id)
            .execute(&self.0)
            .await?;
        Ok(())
    }

    /// The current row of a user; `None` if the table has none.
    pub(super) async fn row(&self, person: &Person) -> Result<Option<UserRow>, sqlx::Error> {
        let row: Option<(String, bool)> =
            sqlx::query_as("SELECT role, banned FROM users WHERE id = ?")
                .bind(person.id)
                .fetch_optional(&self.0)
                .await?;
        Ok(row.map(|(role, banned)| UserRow {
            role: UserRole::of(&role),
            banned,
        }))
    }

    /// All users, each with its current row.
    pub(super) async fn everyone(
        &self,
    ) -> Result<Vec<(&'static Person, Option<UserRow>)>, sqlx::Error> {
        let mut everyone = Vec::new();
        for person in &PEOPLE {
            everyone.push((person, self.row(person).await?));
        }
        Ok(everyone)
    }
}
