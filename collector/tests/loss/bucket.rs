//! A store that speaks S3, in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sim::outside::Outside;

use super::client::http;

pub(crate) const MOTO: Outside = Outside::Program {
    name: "moto_server",
    package: "python3-venv, and PyPI's moto[s3], flask and flask-cors in it",
};
const NAME: &str = "fleet";

pub(crate) struct Bucket {
    server: Child,
    pub(crate) url: String,
}

impl Bucket {
    pub(crate) async fn on(server: &Path) -> Self {
        let mut command = Command::new(server);
        command.args(["--host", "127.0.0.1", "--port", "0"]).env("PYTHONUNBUFFERED", "1");
        let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.find_map(|line| Some(line.split_once("Running on ")?.1.to_owned()));
        // It must not end because nobody reads what it says.
        std::thread::spawn(move || lines.for_each(drop));
        let bucket = Self { server, url: told.unwrap() };
        let made = http().put(format!("{}/{NAME}", bucket.url)).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
        bucket
    }

    /// The line of a configuration.
    pub(crate) fn line(&self) -> String {
        format!("files_bucket = 's3://{NAME}/of/one'\n")
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let key = "testing".to_owned();
        vec![
            ("AWS_ENDPOINT_URL", self.url.clone()),
            ("AWS_ACCESS_KEY_ID", key.clone()),
            ("AWS_SECRET_ACCESS_KEY", key),
        ]
    }

    /// The keys of everything in it.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let listed = http().get(format!("{}/{NAME}?list-type=2", self.url)).send().await.unwrap();
        let text = listed.text().await.unwrap();
        let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        keys.map(str::to_owned).collect()
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
