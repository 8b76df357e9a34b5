//! Names of tables and columns. They come from the configuration alone, and are always quoted in SQL.

use thiserror::Error;

/// The name of a table or view, as `users` or `schema.users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    quoted: String,
    names_schema: bool,
}

impl Table {
    /// Parses a table name from the configuration. Upper and lower case matter; the name is quoted for the database.
    ///
    /// # Errors
    /// When the name, or its schema, is not a valid identifier.
    pub fn parse(name: &str) -> Result<Self, IdentifierError> {
        let parts: Vec<_> = name.split('.').collect();
        if parts.len() > 2 {
            return Err(IdentifierError::TooManyParts);
        }
        let names_schema = parts.len() == 2;
        let quoted = parts
            .into_iter()
            .map(quote)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            quoted: quoted.join("."),
            names_schema,
        })
    }

    /// Puts the table in `schema`, unless its own name has a schema.
    ///
    /// # Errors
    /// When the schema is not a valid identifier.
    pub fn or_in_schema(self, schema: Option<&str>) -> Result<Self, IdentifierError> {
        match schema {
            Some(schema) if !self.names_schema => Ok(Self {
                quoted: format!("{}.{}", quote(schema)?, self.quoted),
                names_schema: true,
            }),
            Some(_) | None => Ok(self),
        }
    }

    /// Puts the table in the schema of `other`, if `other` names one, unless its own name has a schema.
    pub fn beside(self, other: &Self) -> Self {
        // No part holds a dot.
        match other.quoted.split_once('.') {
            Some((schema, _)) if !self.names_schema => Self {
                quoted: format!("{schema}.{}", self.quoted),
                names_schema: true,
            },
            Some(_) | None => self,
        }
    }

    /// The name as it is written in SQL: every part in double quotes.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }
}

/// The name of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    name: String,
    quoted: String,
}

impl Column {
    /// Parses a column name from the configuration. Upper and lower case matter; the name is quoted for the database.
    ///
    /// # Errors
    /// When the name is not a valid identifier.
    pub fn parse(name: &str) -> Result<Self, IdentifierError> {
        Ok(Self {
            quoted: quote(name)?,
            name: name.to_owned(),
        })
    }

    /// The name as it is in the database's catalog, without quotes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name as it is written in SQL: in double quotes.
    pub(super) fn quoted(&self) -> &str {
        &self.quoted
    }
}

/// The reason why a name is not a valid identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IdentifierError {
    /// The name holds a control character; no database accepts NUL.
    #[error("holds a control character")]
    ControlCharacter,
    /// The name is empty, or the part before or after the dot is.
    #[error("is empty, or has an empty part")]
    Empty,
    /// The name is quoted, and the quotes would become part of it.
    #[error("is quoted; write it without quotes, they are added when it is used")]
    Quoted,
    /// The name is too long: PostgreSQL would silently truncate it, and find another table.
    #[error("has a part of {bytes} bytes; PostgreSQL truncates names after {MAX_IDENTIFIER}")]
    TooLong {
        /// The length of the part.
        bytes: usize,
    },
    /// The name has more than one dot: it includes a database, or a part holds a dot.
    #[error("has more than one dot; write `table` or `schema.table`")]
    TooManyParts,
}

/// Puts an identifier in double quotes, inside which only a double quote is special (SQL:2016 §5.2, delimited
/// identifier).
fn quote(name: &str) -> Result<String, IdentifierError> {
    if name.is_empty() {
        return Err(IdentifierError::Empty);
    }
    if name.chars().any(char::is_control) {
        return Err(IdentifierError::ControlCharacter);
    }
    if name.len() > 1 && name.starts_with('"') && name.ends_with('"') {
        return Err(IdentifierError::Quoted);
    }
    if name.len() > MAX_IDENTIFIER {
        return Err(IdentifierError::TooLong { bytes: name.len() });
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

/// `NAMEDATALEN - 1` of PostgreSQL.
const MAX_IDENTIFIER: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_name_is_quoted_and_cannot_end_its_quotes() {
        for (name, quoted) in [
            ("users", r#""users""#),
            ("User", r#""User""#),
            ("auth.users", r#""auth"."users""#),
            ("my users", r#""my users""#),
            (r#"users" WHERE true --"#, r#""users"" WHERE true --""#),
            (r#"a"b.c"d"#, r#""a""b"."c""d""#),
            ("users;DROP TABLE users", r#""users;DROP TABLE users""#),
            ("usérs", r#""usérs""#),
        ] {
            assert_eq!(Table::parse(name).unwrap().quoted(), quoted);
        }
        assert_eq!(Column::parse("a.b").unwrap().quoted(), r#""a.b""#);
    }

    #[test]
    fn the_schema_applies_to_tables_without_one() {
        let table = |name| Table::parse(name).unwrap();
        let within = |name, schema| table(name).or_in_schema(schema).unwrap();
        assert_eq!(
            within("users", Some("ten\"ant.1")).quoted(),
            r#""ten""ant.1"."users""#
        );
        assert_eq!(within("auth.users", Some("tenant")), table("auth.users"));
        assert_eq!(within("users", None), table("users"));
        assert_eq!(
            table("users").or_in_schema(Some("")),
            Err(IdentifierError::Empty)
        );
    }

    #[test]
    fn an_invalid_identifier_is_refused() {
        let long = "x".repeat(64);
        for (name, error) in [
            ("", IdentifierError::Empty),
            (".users", IdentifierError::Empty),
            ("auth.", IdentifierError::Empty),
            ("a.b.c", IdentifierError::TooManyParts),
            ("us\0ers", IdentifierError::ControlCharacter),
            (r#"auth."User""#, IdentifierError::Quoted),
            (&long, IdentifierError::TooLong { bytes: 64 }),
        ] {
            assert_eq!(Table::parse(name), Err(error), "{name:?}");
        }
        assert!(Table::parse(&long[1..]).is_ok());
    }
}
