//! A page in a browser: what a person would do there and see there, and what would be red in its console.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::devtools::Devtools;
use crate::wait::until;

/// The page has megabytes of script and no GPU to draw on.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Page {
    devtools: Devtools,
    address: String,
    /// Errors in its console and refused requests, as far as they were read.
    faults: Vec<String>,
    chromium: Chromium,
}

impl Page {
    pub(crate) async fn open(program: &Path, address: &str) -> Result<Self> {
        let mut page = Self::blank(program, address).await?;
        page.devtools.call("Page.navigate", json!({"url": address})).await?;
        Ok(page)
    }

    /// Shows nothing yet; what is asked of this address counts as the page's own.
    pub(crate) async fn blank(program: &Path, address: &str) -> Result<Self> {
        let chromium = Chromium::start(program)?;
        let devtools = Devtools::open(&chromium.url).await?;
        Ok(Self { devtools, address: address.to_owned(), faults: Vec::new(), chromium })
    }

    /// The result of a command of the browser's own.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.devtools.call(method, params).await
    }

    /// What the browser with all its processes has taken of the processors so far.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        self.chromium.cpu_seconds()
    }

    pub(crate) async fn reload(&mut self) -> Result<()> {
        self.devtools.call("Page.reload", json!({})).await.map(drop)
    }

    /// The value of a script, or of its promise.
    pub(crate) async fn run(&mut self, script: &str) -> Result<Value> {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.devtools.call("Runtime.evaluate", params).await?;
        if let Some(exception) = answer.get("exceptionDetails") {
            bail!("{script}: {}", exception["exception"]["description"]);
        }
        Ok(answer["result"]["value"].take())
    }

    /// Waits until a script gives something that counts as true.
    pub(crate) async fn until(&mut self, what: &str, script: &str) -> Result<Value> {
        let found = until(what, PATIENCE, async || {
            let value = self.run(script).await?;
            let is_nothing = [Value::Null, json!(false), json!(0), json!("")].contains(&value);
            Ok((!is_nothing).then_some(value))
        })
        .await;
        match found {
            Err(error) => Err(error.context(format!("console and network: {:#?}", self.faults()))),
            found => found,
        }
    }

    /// What went wrong so far: errors in the console, and answers of the collector other than success.
    pub(crate) fn faults(&mut self) -> &[String] {
        let told = self.devtools.take_told();
        let faults = told.iter().filter_map(|message| fault(message, &self.address));
        self.faults.extend(faults);
        &self.faults
    }
}

fn fault(message: &Value, address: &str) -> Option<String> {
    let params = &message["params"];
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(format!("exception: {}", params["exceptionDetails"])),
        "Runtime.consoleAPICalled" if params["type"] == "error" => {
            let words = params["args"].as_array()?.iter();
            let words = words.map(|word| word.get("value").unwrap_or(&word["description"]).to_string());
            Some(format!("console: {}", words.collect::<Vec<_>>().join(" ")))
        }
        "Network.responseReceived" => {
            let (url, status) = (params["response"]["url"].as_str()?, params["response"]["status"].as_u64()?);
            let path = url.strip_prefix(address)?;
            (status >= 400).then(|| format!("{status} {path}"))
        }
        _ => None,
    }
}
