//! Services that are folders: where they are, and how their files are served.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use http::HeaderValue;

use super::place::Place;
use super::reader::Reader;

/// A folder whose files are served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FolderSettings {
    /// The path of the folder, which existed when the configuration was read.
    pub(crate) path: PathBuf,
    /// The timeout for the disk.
    pub(crate) timeout: Duration,
    /// How its files are served.
    pub(crate) options: FolderOptions,
}

/// How the files of a folder are served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FolderOptions {
    /// The file to send for pages that do not exist.
    pub(crate) fallback: Option<PathBuf>,
    /// The folder's own error pages.
    pub(crate) error_pages: Option<ErrorPages>,
    /// The `Cache-Control` header of its files.
    pub(crate) cache_control: CacheControl,
    /// Whether `/.well-known/` is served, although its name begins with a dot.
    pub(crate) well_known: bool,
}

/// Error pages below a folder: one file per status, or one for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ErrorPages(String);

/// The values of `Cache-Control` for files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheControl {
    /// On public routes.
    pub(crate) public: HeaderValue,
    /// On routes that require a session, where shared caches must not store anything.
    pub(crate) protected: HeaderValue,
}

impl FolderSettings {
    /// The path of the folder if a service's address names one, as `dir:./public` does. A relative path is relative to the file
    /// that contains it.
    pub(super) fn located(text: &str, place: Option<&Place>) -> Option<Result<PathBuf, String>> {
        let path = text.strip_prefix(PREFIX)?;
        Some(located(path, place))
    }
}

impl FolderOptions {
    /// Reads the settings of the top level for the folder at this path.
    pub(super) fn read(reader: &mut Reader<'_>, folder: &Path) -> Self {
        let fallback = |text: &str| file_in(folder, text);
        let error_pages = |text: &str| ErrorPages::read(folder, text);
        Self {
            fallback: reader.read("FOLDER_FALLBACK", fallback),
            error_pages: reader.read("FOLDER_ERROR_PAGES", error_pages),
            cache_control: reader
                .read_or("FOLDER_CACHE_CONTROL", "no-cache", CacheControl::read)
                .unwrap_or_default(),
            well_known: reader.switch("FOLDER_WELL_KNOWN", false),
        }
    }
}

impl ErrorPages {
    /// Reads the error pages of the folder at this path.
    pub(super) fn read(folder: &Path, text: &str) -> Result<Self, String> {
        // The page for 404 must exist; the others are optional.
        let not_found = text.replace(STATUS, "404");
        file_in(folder, &not_found)?;
        Ok(Self(text.trim_start_matches('/').to_owned()))
    }

    /// The page for a status, below the folder.
    pub(crate) fn of(&self, status: http::StatusCode) -> PathBuf {
        PathBuf::from(self.0.replace(STATUS, status.as_str()))
    }
}

impl CacheControl {
    /// Reads directives of `Cache-Control` (RFC 9111 §5.2.2).
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let help = "give directives of Cache-Control, such as `max-age=3600` or `no-store`";
        let words: Vec<_> = text.split(',').map(str::trim).collect();
        if !words.iter().all(|word| is_directive(word)) {
            return Err(help.to_owned());
        }
        let is_for_all = |word: &&&str| {
            let name = word.split('=').next().unwrap_or_default();
            let words = ["private", "public", "s-maxage"];
            words.iter().any(|other| name.eq_ignore_ascii_case(other))
        };
        let own = words.iter().filter(|word| !is_for_all(word)).copied();
        let protected: Vec<_> = ["private"].into_iter().chain(own).collect();
        let value = |text: String| HeaderValue::try_from(text).map_err(|_| help.to_owned());
        Ok(Self {
            public: value(words.join(", "))?,
            protected: value(protected.join(", "))?,
        })
    }
}

/// Caches may store files but must revalidate them each time, so that signed-out users see no pages and new versions appear
/// at once.
impl Default for CacheControl {
    fn default() -> Self {
        Self {
            public: HeaderValue::from_static("no-cache"),
            protected: HeaderValue::from_static("private, no-cache"),
        }
    }
}

fn is_directive(word: &str) -> bool {
    let (name, value) = word.split_once('=').unwrap_or((word, "0"));
    let is_token = |text: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !text.is_empty() && text.bytes().all(is_part)
    };
    is_token(name) && is_token(value)
}

fn located(path: &str, place: Option<&Place>) -> Result<PathBuf, String> {
    if path.is_empty() {
        return Err("give the folder too, such as dir:/srv/www or dir:./public".to_owned());
    }
    let path = match place {
        Some(Place::File { file, .. }) => match file.path.parent() {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        },
        Some(Place::Variable(_)) | None => PathBuf::from(path),
    };
    // Drop `./` from paths in messages.
    let path: PathBuf = path.components().collect();
    let shown = path.display();
    match fs::metadata(path.join(".")).map_err(|error| (error.kind(), error)) {
        Ok(_) => Ok(path),
        Err((io::ErrorKind::NotFound, _)) => Err(format!("there is no folder {shown}")),
        Err((io::ErrorKind::NotADirectory, _)) => Err(format!("{shown} is a file, not a folder")),
        Err((_, error)) => Err(format!("the folder {shown} cannot be opened: {error}")),
    }
}

/// Checks the path of a file below a folder, with or without a leading slash.
pub(super) fn file_in(folder: &Path, text: &str) -> Result<PathBuf, String> {
    let file = Path::new(text.trim_start_matches('/'));
    let is_normal = |component| matches!(component, Component::Normal(_));
    if file.as_os_str().is_empty() || !file.components().all(is_normal) {
        return Err("give the path of a file below the folder, such as /index.html".to_owned());
    }
    match fs::metadata(folder.join(file)) {
        Ok(found) if found.is_file() => Ok(file.to_owned()),
        Ok(_) => Err(format!("{} is not a file", folder.join(file).display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("there is no file {}", folder.join(file).display()))
        }
        Err(error) => Err(format!(
            "{} cannot be read: {error}",
            folder.join(file).display()
        )),
    }
}

/// The prefix that marks a folder, to distinguish it from the URL of a server.
pub(crate) const PREFIX: &str = "dir:";

/// The placeholder for the status in the path of an error page.
const STATUS: &str = "{status}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_files_are_private() {
        for (text, public, protected) in [
            ("no-cache", "no-cache", "private, no-cache"),
            (
                "public, max-age=60,s-maxage=600",
                "public, max-age=60, s-maxage=600",
                "private, max-age=60",
            ),
            ("Private", "Private", "private"),
            ("no-store", "no-store", "private, no-store"),
            (
                "max-age=31536000, immutable",
                "max-age=31536000, immutable",
                "private, max-age=31536000, immutable",
            ),
        ] {
            let control = CacheControl::read(text).expect(text);
            assert_eq!(control.public, public, "{text}");
            assert_eq!(control.protected, protected, "{text}");
        }
        for text in ["", "max-age=", "=1", "a b", "max-age=1;", "no-cache,", "é"] {
            assert!(CacheControl::read(text).is_err(), "{text}");
        }
        let default = CacheControl::default();
        assert_eq!(default, CacheControl::read("no-cache").unwrap());
    }

    #[test]
    fn files_must_be_below_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("errors")).unwrap();
        fs::write(folder.path().join("errors/404.html"), "").unwrap();
        let file = |text| file_in(folder.path(), text);
        assert_eq!(file("/errors/404.html"), Ok("errors/404.html".into()));
        for text in ["", "/", "../x", "errors/../errors/404.html", "errors", "x"] {
            assert!(file(text).is_err(), "{text}");
        }
        let pages = ErrorPages::read(folder.path(), "/errors/{status}.html").unwrap();
        let page = pages.of(http::StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(page, Path::new("errors/405.html"));
        ErrorPages::read(folder.path(), "{status}.html").unwrap_err();
    }
}
