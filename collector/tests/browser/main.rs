//! The collector's dashboard, and ComfyUI's own web interface, in a real browser, in front of simulated servers.
//!
//! Needs Chromium (`ORCHESTRATOR_TEST_CHROMIUM`, else `chromium` in `PATH`) and the interface's files:
//! `ORCHESTRATOR_TEST_INTERFACE=<folder>:<folder>...`, each the folder `static` of one version of PyPI's
//! comfyui-frontend-package. The dashboard needs the browser alone, and one of its tests axe-core. Where
//! `ORCHESTRATOR_TEST_SCREENSHOTS` names a folder, pictures of its views are left there.

#![expect(
    clippy::indexing_slicing,
    reason = "a test; what a JSON document lacks is null, which fails its check"
)]

mod chromium;
mod dashboard;
mod devtools;
mod page;
mod stage;
mod stories;
#[path = "../any_comfyui/wait.rs"]
mod wait;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use sim::outside::{Found, Outside, trial};
use tokio::runtime::Runtime;

type Story = for<'a> fn(&'a Path, &'a Path) -> LocalBoxFuture<'a, Result<()>>;

macro_rules! stories {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), (|browser, interface| stories::$name(browser, interface).boxed_local()) as Story)),*]
    };
}

const STORIES: [(&str, Story); 2] = stories!(
    a_workflow_is_queued_watched_cancelled_and_found_again,
    the_page_loads_while_all_backends_are_down,
);

fn main() -> ExitCode {
    // An error says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut arguments = Arguments::from_args();
    // A browser takes what cores there are.
    arguments.test_threads = Some(1);
    let trials = dashboard::trials().into_iter().chain(trials()).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials() -> Vec<Trial> {
    let folders = match Outside::Interface.find() {
        Ok(Found::Folders(folders)) => folders,
        // None: the trials are there all the same, and say what is missing.
        _ => vec![PathBuf::new()],
    };
    let trials_on = |folder: &PathBuf| STORIES.map(|(name, story)| on(folder, name, story));
    folders.iter().flat_map(trials_on).collect()
}

fn on(folder: &Path, name: &str, story: Story) -> Trial {
    let name = format!("{}::{name}", version(folder));
    let folder = folder.to_owned();
    let is_missing = |need: &Outside| need.find().is_err();
    let need = [Outside::Interface].into_iter().find(is_missing).unwrap_or(Outside::Chromium);
    trial(&name, need, move |browser| {
        let browser = browser.program().ok_or("no program")?;
        let told = Runtime::new()?.block_on(story(browser, &folder));
        told.map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// The folder that the package was put into is called by its version.
fn version(folder: &Path) -> String {
    let name = folder.ancestors().nth(2).and_then(Path::file_name);
    name.map_or_else(|| "interface".to_owned(), |name| name.to_string_lossy().into_owned())
}
