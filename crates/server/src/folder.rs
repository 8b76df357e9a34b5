//! A folder as a service, which answers requests with its files.
//!
//! `tower-http`'s `ServeDir` is not used: it cleans the path as text and opens the result, so that links lead out of the
//! folder (0.7.1; tower-rs/tower-http#658); it reads every file on other threads, however small; and it has no multipart
//! answers. Here the kernel opens only files below the folder ([`beneath`]), and a path that could be read in two ways names
//! no file ([`name`]).
//!
//! A file in the page cache is found and read on the runtime's thread, without ever waiting for a disk (`RESOLVE_CACHED`,
//! `RWF_NOWAIT`). Anything else is done on other threads, of which each folder has a few.

mod begin;
mod beneath;
mod blocking;
mod body;
mod coding;
mod error;
mod media_type;
mod name;
mod ranges;
mod request;
mod response;
mod send;
mod site;
mod stat;
mod validators;

use std::sync::Arc;

use gate::Admitted;
use http::{HeaderMap, Method, StatusCode};
use http1::Length;
use rustix::io::Errno;

use self::beneath::LookupMode;
use self::blocking::BlockingThreads;
pub(crate) use self::error::FolderError;
use self::name::Name;
pub(crate) use self::request::FileRequest;
pub(crate) use self::response::FileResponse;
use self::site::{FolderSite, Found, Lookup};
use crate::config::FolderSettings;
use crate::downstream::Downstream;
use crate::inbound::client_kind::opens_page;

/// A folder as one runtime sees it.
#[derive(Debug)]
pub(crate) struct Folder {
    site: Arc<FolderSite>,
    blocking: BlockingThreads,
}

impl Folder {
    /// The folder that these settings name.
    pub(crate) fn new(settings: &FolderSettings) -> Self {
        Self {
            site: Arc::new(FolderSite::new(
                settings.path.clone(),
                settings.options.clone(),
            )),
            blocking: BlockingThreads::new(settings.timeout),
        }
    }

    /// The answer to an admitted request.
    ///
    /// # Errors
    /// When there is no such file, the file cannot answer the request, or it cannot be read.
    pub(crate) async fn answer(
        &self,
        admitted: Admitted<'_, Length>,
        file_request: &FileRequest<'_>,
        client: &mut impl Downstream,
    ) -> Result<FileResponse, FolderError> {
        let method = admitted.method();
        if *method != Method::GET && *method != Method::HEAD {
            return Err(FolderError::Method);
        }
        let name = Name::of(admitted.uri().path(), self.site.options.well_known);
        let name = name.ok_or(FolderError::NotFound)?;
        if name.is_folder() && !file_request.path.ends_with('/') {
            return Ok(self.redirect_to_folder(file_request));
        }
        let takes_fallback =
            self.site.options.fallback.is_some() && opens_page(file_request.headers);
        let sought = Lookup::new(name, coding::accepted(file_request.headers), takes_fallback);
        match self.find(sought, client).await? {
            Found::File(file) => {
                let cache_control = self.site.cache_control(file_request.is_public);
                let is_head = *method == Method::HEAD;
                response::of_file(file, is_head, file_request, cache_control, &self.blocking)
            }
            Found::Folder if !file_request.path.ends_with('/') => {
                Ok(self.redirect_to_folder(file_request))
            }
            Found::Folder | Found::Nothing => Err(FolderError::NotFound),
        }
    }

    /// The folder's own error page for a status, if it has one.
    pub(crate) async fn error_page(
        &self,
        status: StatusCode,
        method: &Method,
        headers: &HeaderMap,
        client: &mut impl Downstream,
    ) -> Option<FileResponse> {
        let path = self.site.options.error_pages.as_ref()?.of(status);
        let sought = Lookup::page(path, coding::accepted(headers));
        let Ok(Found::File(file)) = self.find(sought, client).await else {
            return None;
        };
        let is_head = *method == Method::HEAD;
        Some(response::of_error(status, file, is_head, &self.blocking))
    }

    /// Finds a file in the page cache, or else on disk.
    async fn find(
        &self,
        sought: Lookup,
        client: &mut impl Downstream,
    ) -> Result<Found, FolderError> {
        let at_once = self.site.find(&sought, LookupMode::InMemory);
        if let Ok(found) = at_once {
            return Ok(found);
        }
        let site = Arc::clone(&self.site);
        let finding = move || site.find(&sought, LookupMode::Blocking);
        let found = self.blocking.run(client, finding).await?;
        found.map_err(|error: Errno| FolderError::Broken(error.into()))
    }

    /// Redirects to the path with a slash at its end, on which relative links in a page depend.
    fn redirect_to_folder(&self, file_request: &FileRequest<'_>) -> FileResponse {
        response::redirect_to_folder(
            file_request,
            self.site.cache_control(file_request.is_public),
        )
    }
}
