//! A Prometheus on a port of the system's choice, with a copy of what people get.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use url::form_urlencoded::byte_serialize;

use super::super::built::{Running, root};
use super::super::wait::until;
use super::fleet::Fleet;
use super::list;

pub(crate) struct Prometheus {
    _program: Running,
    _folder: TempDir,
    address: String,
}

impl Prometheus {
    /// With one of the configurations, whose addresses become those of the fleet, and its spans half a second.
    pub(crate) fn start(program: &Path, configuration: &str, fleet: &Fleet) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = root().join("packaging/prometheus");
        for rules in ["recording.yml", "alerts-fleet.yml", "alerts-host.yml"] {
            fs::copy(source.join(rules), folder.path().join(rules)).unwrap();
        }
        let text = fs::read_to_string(source.join(configuration)).unwrap();
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, adapted(text, fleet)).unwrap();
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let program = Running(child);
        let listens = |line: String| {
            let (_, address) = line.split_once("msg=\"Listening on\" address=")?;
            address.split_whitespace().next().map(str::to_owned)
        };
        let address = lines.find_map(listens).expect("Prometheus listens");
        // It goes on logging, and must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { _program: program, _folder: folder, address };
        until("Prometheus is ready", || server.text("/-/ready").filter(|text| text.contains("200 OK")));
        server
    }

    /// Waits until it scrapes so many.
    pub(crate) fn has_targets(&self, count: usize) {
        until("all targets are scraped", || {
            let targets = self.get("/api/v1/targets?state=active");
            let up = list(&targets["activeTargets"]).iter().filter(|target| target["health"] == "up").count();
            (up == count).then_some(())
        });
    }

    /// What answers a query now: a series each.
    pub(crate) fn query(&self, query: &str) -> Vec<Value> {
        let encoded: String = byte_serialize(query.as_bytes()).collect();
        let answer = self.get(&format!("/api/v1/query?query={encoded}"));
        list(&answer["result"]).to_vec()
    }

    /// The values of one of its own metrics.
    pub(crate) fn own(&self, name: &str) -> Vec<f64> {
        let page = self.text("/metrics").unwrap();
        let lines = page.lines().filter(|line| line.starts_with(name));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect()
    }

    /// The data of an answer of its API.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.text(path).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut answer: Value = serde_json::from_str(body).unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer:#}");
        answer["data"].take()
    }

    fn text(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text)
    }
}

/// Every replacement is of something that stands there, or the file and this test have parted.
fn adapted(mut text: String, fleet: &Fleet) -> String {
    let is_static = text.contains("gpu-1:9188");
    let agents =
        fleet.agents.iter().enumerate().map(|(at, agent)| (format!("gpu-{}:9188", at + 1), agent.clone()));
    let mut places = vec![
        ("127.0.0.1:8288".to_owned(), fleet.collector.clone()),
        ("scrape_interval: 15s".to_owned(), "scrape_interval: 500ms".to_owned()),
        ("evaluation_interval: 15s".to_owned(), "evaluation_interval: 500ms".to_owned()),
    ];
    if is_static {
        places.extend(agents);
    } else {
        places.push(("refresh_interval: 30s".to_owned(), "refresh_interval: 1s".to_owned()));
    }
    for (from, to) in places {
        assert!(text.contains(&from), "{from} is not in\n{text}");
        text = text.replace(&from, &to);
    }
    text
}
