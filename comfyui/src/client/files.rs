//! Files to and from a server: `/view`, `/view_metadata`, `/upload/image`, `/upload/mask`.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, RequestBuilder, StatusCode};

use super::{Client, Download};
use crate::api::{FileRef, UploadAnswer};
use crate::{Cause, Error};

/// A file to upload.
#[derive(Debug)]
pub struct Upload {
    /// Its name; the server may choose another where the name is taken.
    pub name: String,
    /// The folder under the one that `kind` names; empty for none.
    pub subfolder: String,
    /// `input`, `output` or `temp`; empty for the server's default, `input`.
    pub kind: String,
    /// Whether a file of this name and other content may be replaced.
    pub overwrite: bool,
    /// The content, held or streamed.
    pub body: Body,
    /// How long a streamed body is, if known. One that is held knows.
    pub length_bytes: Option<u64>,
}

impl Upload {
    /// A file among the inputs that replaces none.
    ///
    /// ```
    /// use comfyui::client::Upload;
    ///
    /// let upload = Upload { overwrite: true, ..Upload::input("a.png", vec![1, 2, 3]) };
    /// assert_eq!(upload.name, "a.png");
    /// ```
    pub fn input(name: impl Into<String>, body: impl Into<Body>) -> Self {
        Self {
            name: name.into(),
            subfolder: String::new(),
            kind: "input".to_owned(),
            overwrite: false,
            body: body.into(),
            length_bytes: None,
        }
    }

    /// The file's field is `image` whatever the file is: a server refuses any other.
    fn into_form(self) -> Result<Form, Cause> {
        if self.name.is_empty() || self.name.contains(char::is_control) {
            return Err(Cause::Unsendable(format!("no file can be called {:?}", self.name)));
        }
        let part = match self.length_bytes {
            Some(length_bytes) => Part::stream_with_length(self.body, length_bytes),
            None => Part::stream(self.body),
        };
        let overwrite = if self.overwrite { "true" } else { "" };
        let fields =
            [("type", self.kind), ("subfolder", self.subfolder), ("overwrite", overwrite.to_owned())];
        let form = Form::new().percent_encode_noop().part("image", part.file_name(self.name));
        Ok(fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(form, |form, (name, value)| form.text(name, value)))
    }
}

impl Client {
    /// A file's content (`GET /view`), to be read piece by piece.
    ///
    /// ```no_run
    /// # async fn run(client: comfyui::Client, file: comfyui::api::FileRef) -> Result<(), comfyui::Error> {
    /// let mut download = client.open_file(&file).await?;
    /// while let Some(piece) = download.chunk().await? {
    ///     println!("{} bytes", piece.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub async fn open_file(&self, file: &FileRef) -> Result<Download, Error> {
        self.view(file, None, None, HeaderMap::new()).await
    }

    /// A file's content as its caller wants it (`GET /view`): `preview` asks for a smaller encoding (`webp;90`),
    /// `channel` for a part of it (`rgb`, `a`, `rgba`); `headers` go along (`Range`, `If-None-Match`).
    ///
    /// # Errors
    /// [`Cause::Status`] 404 for an unknown file, 400 for a bad name or type, 403 outside its folder.
    pub async fn view(
        &self,
        file: &FileRef,
        preview: Option<&str>,
        channel: Option<&str>,
        headers: HeaderMap,
    ) -> Result<Download, Error> {
        let named = [("filename", &*file.filename), ("subfolder", &*file.subfolder), ("type", &*file.kind)];
        let asked = [("preview", preview), ("channel", channel)];
        let request = self.get(&["view"]).query(&named).query(&asked).headers(headers);
        self.open("open a file", request).await
    }

    /// What a model file says of itself (`GET /view_metadata/{folder}`): a JSON object of texts.
    ///
    /// # Errors
    /// [`Cause::Status`] 404 for an unknown file, and for one that is not of safetensors or says nothing.
    pub async fn view_metadata(&self, folder: &str, filename: &str) -> Result<Download, Error> {
        let request = self.get(&["view_metadata", folder]).query(&[("filename", filename)]);
        self.open("read a model's description", request).await
    }

    /// The answer with its body still to come, if it is one of success or says that the caller's copy is good.
    pub(super) async fn open(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Download, Error> {
        let response = self.head(operation, request).await?;
        if response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Download::of(response, self.backend().to_owned(), self.bounds.stream_silence));
        }
        Err(self.error(operation, self.refused(response).await))
    }

    /// Uploads a file (`POST /upload/image`).
    ///
    /// # Errors
    /// [`Cause::Status`] 400 outside its folder, 413 over the server's limit (100 MB by default).
    pub async fn upload_image(&self, upload: Upload) -> Result<UploadAnswer, Error> {
        self.upload("upload a file", "image", upload, None).await
    }

    /// Uploads a mask (`POST /upload/mask`): a picture whose alpha channel the server puts into the original's.
    ///
    /// # Errors
    /// As [`upload_image`](Self::upload_image), and when there is no such original.
    pub async fn upload_mask(&self, original: &FileRef, upload: Upload) -> Result<UploadAnswer, Error> {
        self.upload("upload a mask", "mask", upload, Some(original)).await
    }

    async fn upload(
        &self,
        operation: &'static str,
        route: &str,
        upload: Upload,
        original: Option<&FileRef>,
    ) -> Result<UploadAnswer, Error> {
        let mut form = upload.into_form().map_err(|cause| self.error(operation, cause))?;
        if let Some(original) = original {
            form = form.text("original_ref", serde_json::json!(original).to_string());
        }
        let request = self.post(&["upload", route]).multipart(form);
        self.document(operation, self.bounds.upload, request).await
    }

    /// A file's whole content, if it is not longer than that.
    ///
    /// # Errors
    /// As [`view`](Self::view), and [`Cause::TooLarge`].
    pub async fn download(&self, file: &FileRef, limit_bytes: u64) -> Result<Bytes, Error> {
        self.open_file(file).await?.bytes(limit_bytes).await
    }
}
