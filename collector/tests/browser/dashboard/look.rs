//! A page of the dashboard, looked at: sizes, colours, words, clicks, keys, pictures of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::fleet::Fleet;
use crate::page::Page;

/// A phone, a laptop, a wall.
pub(super) const SIZES: [(u32, u32); 3] = [(390, 844), (1280, 900), (2560, 1300)];

/// What the browser itself refuses, and what goes wrong where no console shows it.
const WATCH: &str = "window.wrong = [];
    addEventListener('securitypolicyviolation', event => wrong.push(event.violatedDirective + ' ' + event.blockedURI));
    addEventListener('unhandledrejection', event => wrong.push(String(event.reason)));";

pub(super) struct Look {
    pub(super) page: Page,
}

impl Look {
    pub(super) async fn at(browser: &Path, fleet: &Fleet) -> Result<Self> {
        Self::open(browser, &fleet.address, "/orchestrator/").await
    }

    pub(super) async fn open(browser: &Path, address: &str, path: &str) -> Result<Self> {
        let mut page = Page::blank(browser, address).await?;
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": WATCH})).await?;
        page.call("Page.navigate", json!({"url": format!("{address}{path}")})).await?;
        Ok(Self { page })
    }

    pub(super) async fn go(&mut self, hash: &str) -> Result<()> {
        self.page.run(&format!("location.hash = {}", json!(hash))).await.map(drop)
    }

    /// Waits until the page shows these words somewhere in what is selected, on one line or on several.
    pub(super) async fn sees(&mut self, selector: &str, words: &str) -> Result<()> {
        let script = format!(
            "[...document.querySelectorAll({})].some(element =>
                 element.checkVisibility() && element.innerText.replace(/\\s+/g, ' ').includes({}))",
            json!(selector),
            json!(words)
        );
        self.page.until(&format!("{words:?} in {selector}"), &script).await.map(drop)
    }

    pub(super) async fn no_longer_sees(&mut self, selector: &str) -> Result<()> {
        let script = format!(
            "![...document.querySelectorAll({})].some(element => element.checkVisibility())",
            json!(selector)
        );
        self.page.until(&format!("no {selector}"), &script).await.map(drop)
    }

    pub(super) async fn count(&mut self, selector: &str) -> Result<u64> {
        let script = format!("document.querySelectorAll({}).length", json!(selector));
        self.page.run(&script).await?.as_u64().context("a number")
    }

    /// Clicks what is called so, once it is there and can be clicked: by its words, or by its name for the ear.
    pub(super) async fn click(&mut self, selector: &str, name: &str) -> Result<()> {
        let script = format!(
            "(() => {{ const called = element => element.getAttribute('aria-label') ?? element.innerText.trim();
               const found = [...document.querySelectorAll({})].find(element =>
                   element.checkVisibility() && !element.disabled && called(element).startsWith({}));
               found?.click(); return Boolean(found); }})()",
            json!(selector),
            json!(name)
        );
        self.page.until(&format!("{selector} called {name:?}"), &script).await.map(drop)
    }

    /// As somebody who types it.
    pub(super) async fn fill(&mut self, selector: &str, text: &str) -> Result<()> {
        let script = format!(
            "(() => {{ const field = document.querySelector({}); if (!field) return false; field.focus(); field.value = {};
               for (const kind of ['input', 'change']) field.dispatchEvent(new Event(kind, {{ bubbles: true }})); return true; }})()",
            json!(selector),
            json!(text)
        );
        self.page.until(&format!("{selector} to be filled in"), &script).await.map(drop)
    }

    pub(super) async fn press(&mut self, key: &str) -> Result<()> {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            _ => 27,
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if key == "Enter" {
                event["text"] = json!("\r");
            }
            self.page.call("Input.dispatchKeyEvent", event).await?;
        }
        Ok(())
    }

    /// Gives the file to the field that takes one, as a person who chooses it would.
    pub(super) async fn choose(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let give = "field.files = files.files; field.dispatchEvent(new Event('change'))";
        self.give("#file", give, name, content).await
    }

    /// Lets the file fall where one may be dropped.
    pub(super) async fn drop(&mut self, name: &str, content: &[u8]) -> Result<()> {
        let give = "field.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }))";
        self.give(".drop", give, name, content).await
    }

    async fn give(&mut self, selector: &str, give: &str, name: &str, content: &[u8]) -> Result<()> {
        let script = format!(
            "(() => {{ const bytes = Uint8Array.from(atob({}), letter => letter.charCodeAt(0));
               const files = new DataTransfer(); files.items.add(new File([bytes], {}));
               const field = document.querySelector('{selector}'); if (!field) return false;
               {give}; return true; }})()",
            json!(BASE64.encode(content)),
            json!(name)
        );
        self.page.until("the field for files", &script).await.map(drop)
    }

    pub(super) async fn size(&mut self, (width, height): (u32, u32), scheme: &str) -> Result<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.page.call("Emulation.setDeviceMetricsOverride", metrics).await?;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.page.call("Emulation.setEmulatedMedia", features).await.map(drop)
    }

    /// Nothing sticks out, at any size; and pictures of all sizes in both schemes, where they are wanted.
    pub(super) async fn at_all_sizes(&mut self, name: &str) -> Result<()> {
        for scheme in ["light", "dark"] {
            for size in SIZES {
                self.size(size, scheme).await?;
                let wide = self.page.run("document.documentElement.scrollWidth").await?;
                ensure!(wide.as_u64() <= Some(size.0.into()), "{name} is {wide} wide at {}", size.0);
                self.keep(&format!("{name}-{}-{scheme}", size.0)).await?;
            }
        }
        self.size(SIZES[1], "light").await
    }

    /// A picture of what can be seen, into the folder for them if there is one.
    pub(super) async fn keep(&mut self, name: &str) -> Result<()> {
        let Some(folder) = std::env::var_os("ORCHESTRATOR_TEST_SCREENSHOTS").map(PathBuf::from) else {
            return Ok(());
        };
        let shot = self.page.call("Page.captureScreenshot", json!({"format": "png"})).await?;
        let bytes = BASE64.decode(shot["data"].as_str().context("a picture")?.as_bytes())?;
        std::fs::create_dir_all(&folder)?;
        Ok(std::fs::write(folder.join(format!("{name}.png")), bytes)?)
    }

    /// Whatever went wrong that nobody had asked for.
    pub(super) async fn nothing_went_wrong(&mut self, expected: &[&str]) -> Result<()> {
        let wrong = self.page.run("window.wrong").await?;
        ensure!(wrong == json!([]), "{wrong}");
        let faults = self.page.faults();
        let faults: Vec<&String> =
            faults.iter().filter(|fault| !expected.iter().any(|known| fault.starts_with(known))).collect();
        ensure!(faults.is_empty(), "{faults:#?}");
        Ok(())
    }

    pub(super) async fn value(&mut self, script: &str) -> Result<Value> {
        self.page.run(script).await
    }
}
