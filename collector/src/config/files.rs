//! Where files are kept: those that clients upload, and copies of those that their jobs make.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use url::Url;

use super::file::File;
use super::{ConfigError, DatabaseFlags};

#[derive(Clone, Debug, PartialEq)]
pub enum FilesPlace {
    Directory(PathBuf),
    Bucket(Bucket),
}

/// In a store that speaks S3.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bucket {
    pub name: String,
    /// What all keys in it begin with; empty where nothing.
    pub prefix: String,
}

impl FilesPlace {
    /// `None`: in the state directory. What the command line says goes before the file, whichever of the two it names.
    pub(super) fn of(flags: &DatabaseFlags, file: &File) -> Result<Option<Self>, ConfigError> {
        let given = Self::one_of(&flags.files_directory, &flags.files_bucket)?;
        given.map_or_else(|| Self::one_of(&file.files_directory, &file.files_bucket), |given| Ok(Some(given)))
    }

    fn one_of(directory: &Option<PathBuf>, bucket: &Option<Bucket>) -> Result<Option<Self>, ConfigError> {
        match (directory.clone(), bucket.clone()) {
            (Some(_), Some(_)) => Err(ConfigError::TwoFilesPlaces),
            (directory, bucket) => Ok(directory.map(Self::Directory).or(bucket.map(Self::Bucket))),
        }
    }
}

impl FromStr for Bucket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = "write it as s3://BUCKET or s3://BUCKET/PREFIX; keys and addresses are not part of it";
        let url = Url::parse(text).map_err(|e| format!("it is no address of a bucket ({e}): {wanted}"))?;
        let is_more = url.query().is_some() || url.port().is_some() || !url.username().is_empty();
        match url.host_str().filter(|_| url.scheme() == "s3" && !is_more) {
            Some(name) => Ok(Self { name: name.to_owned(), prefix: url.path().trim_matches('/').to_owned() }),
            None => Err(format!("it is no address of a bucket: {wanted}")),
        }
    }
}

impl TryFrom<String> for Bucket {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{separator}{}", self.name, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_named_by_its_address() {
        for (text, shown) in [
            ("s3://fleet", "s3://fleet"),
            ("s3://fleet/", "s3://fleet"),
            ("s3://fleet/a/b/", "s3://fleet/a/b"),
        ] {
            assert_eq!(text.parse::<Bucket>().unwrap().to_string(), shown);
        }
        for bad in [
            "fleet",
            "https://fleet",
            "s3://",
            "s3://key:secret@fleet",
            "s3://fleet?region=x",
            "s3://fleet:9",
        ] {
            assert!(bad.parse::<Bucket>().unwrap_err().contains("s3://BUCKET/PREFIX"), "{bad}");
        }
    }
}
