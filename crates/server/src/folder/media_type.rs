//! Media types by file name.
//!
//! The table is our own: the web has few types, and `mime_guess` (2.0.5), which has a thousand, has no charsets, does not
//! say what is worth compressing, and calls scripts `application/javascript`, which RFC 9239 has made obsolete. Names and
//! types are those of the IANA registry, and of nginx's `mime.types` where it has them.

use std::path::Path;

/// The type of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MediaType {
    /// The `Content-Type`, with the charset of text.
    pub(super) name: &'static str,
    /// Whether it is compressible, so that there may be precompressed files.
    pub(super) is_compressible: bool,
}

impl MediaType {
    /// The type of a file with this name, by its extension; `application/octet-stream` if that is unknown.
    pub(super) fn of(path: &Path) -> &'static Self {
        Self::known(path).unwrap_or(&UNKNOWN)
    }

    /// Whether a name has the extension of something other than a page, so that a missing file should not be answered with a
    /// page.
    pub(super) fn is_asset(path: &Path) -> bool {
        Self::known(path).is_some_and(|known| !known.name.starts_with("text/html"))
    }

    fn known(path: &Path) -> Option<&'static Self> {
        let extension = path.extension()?.as_encoded_bytes();
        let is_it = |known: &&(&[&str], MediaType)| {
            let mut extensions = known.0.iter();
            extensions.any(|known| known.as_bytes().eq_ignore_ascii_case(extension))
        };
        TYPES.iter().find(is_it).map(|(_, known)| known)
    }
}

static UNKNOWN: MediaType = packed("application/octet-stream");

const fn text(name: &'static str) -> MediaType {
    MediaType {
        name,
        is_compressible: true,
    }
}

const fn packed(name: &'static str) -> MediaType {
    MediaType {
        name,
        is_compressible: false,
    }
}

/// The most requested types first.
#[rustfmt::skip]
static TYPES: &[(&[&str], MediaType)] = &[
    (&["html", "htm"], text("text/html; charset=utf-8")),
    (&["js", "mjs"], text("text/javascript; charset=utf-8")),
    (&["css"], text("text/css; charset=utf-8")),
    (&["svg"], text("image/svg+xml")),
    (&["png"], packed("image/png")),
    (&["jpg", "jpeg"], packed("image/jpeg")),
    (&["webp"], packed("image/webp")),
    (&["avif"], packed("image/avif")),
    (&["gif"], packed("image/gif")),
    (&["ico"], text("image/x-icon")),
    (&["woff2"], packed("font/woff2")),
    (&["woff"], packed("font/woff")),
    (&["ttf"], text("font/ttf")),
    (&["otf"], text("font/otf")),
    (&["json", "map"], text("application/json")),
    (&["webmanifest"], text("application/manifest+json")),
    (&["geojson"], text("application/geo+json")),
    (&["jsonld"], text("application/ld+json")),
    (&["txt"], text("text/plain; charset=utf-8")),
    (&["md", "markdown"], text("text/markdown; charset=utf-8")),
    (&["csv"], text("text/csv; charset=utf-8")),
    (&["vtt"], text("text/vtt; charset=utf-8")),
    (&["ics"], text("text/calendar; charset=utf-8")),
    (&["vcf"], text("text/vcard; charset=utf-8")),
    (&["yaml", "yml"], text("application/yaml")),
    (&["toml"], text("application/toml")),
    (&["xml", "xsl"], text("text/xml; charset=utf-8")),
    (&["xhtml"], text("application/xhtml+xml")),
    (&["rss"], text("application/rss+xml")),
    (&["atom"], text("application/atom+xml")),
    (&["wasm"], text("application/wasm")),
    (&["pdf"], packed("application/pdf")),
    (&["zip"], packed("application/zip")),
    (&["gz", "tgz"], packed("application/gzip")),
    (&["zst"], packed("application/zstd")),
    (&["7z"], packed("application/x-7z-compressed")),
    (&["tar"], text("application/x-tar")),
    (&["jar"], packed("application/java-archive")),
    (&["rtf"], text("application/rtf")),
    (&["doc"], text("application/msword")),
    (&["xls"], text("application/vnd.ms-excel")),
    (&["ppt"], text("application/vnd.ms-powerpoint")),
    (&["docx"], packed("application/vnd.openxmlformats-officedocument.wordprocessingml.document")),
    (&["xlsx"], packed("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")),
    (&["pptx"], packed("application/vnd.openxmlformats-officedocument.presentationml.presentation")),
    (&["odt"], packed("application/vnd.oasis.opendocument.text")),
    (&["ods"], packed("application/vnd.oasis.opendocument.spreadsheet")),
    (&["odp"], packed("application/vnd.oasis.opendocument.presentation")),
    (&["epub"], packed("application/epub+zip")),
    (&["eot"], text("application/vnd.ms-fontobject")),
    (&["bmp"], text("image/bmp")),
    (&["tif", "tiff"], text("image/tiff")),
    (&["jxl"], packed("image/jxl")),
    (&["mp4"], packed("video/mp4")),
    (&["webm"], packed("video/webm")),
    (&["mov"], packed("video/quicktime")),
    (&["m3u8"], text("application/vnd.apple.mpegurl")),
    (&["mp3"], packed("audio/mpeg")),
    (&["m4a"], packed("audio/mp4")),
    (&["ogg", "oga", "opus"], packed("audio/ogg")),
    (&["ogv"], packed("video/ogg")),
    (&["wav"], text("audio/wav")),
    (&["flac"], packed("audio/flac")),
    (&["glb"], text("model/gltf-binary")),
    (&["gltf"], text("model/gltf+json")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_extension_counts_in_any_case() {
        for (name, kind) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/main.3f2a.JS", "text/javascript; charset=utf-8"),
            ("a.js.map", "application/json"),
            ("LICENSE", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
            ("js", "application/octet-stream"),
        ] {
            assert_eq!(MediaType::of(Path::new(name)).name, kind, "{name}");
        }
        for (name, is_asset) in [
            ("missing.js", true),
            ("docs/page.html", false),
            ("users/john.doe", false),
            ("v1.2", false),
        ] {
            assert_eq!(MediaType::is_asset(Path::new(name)), is_asset, "{name}");
        }
    }
}
