//! What some tests need from outside the workspace: finding it, and saying so where it is missing.
//!
//! A test target with `harness = false` builds its list with [`trial`] and runs it with `libtest_mimic::run`.
//! A requirement that is missing makes the trial *ignored*, with the reason in its name; never passed. Where
//! the variable [`REQUIRE`] lists the requirement, the trial fails instead. Nothing is installed or started here.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

/// The variable that lists, separated by commas, the requirements that must be there: a missing one fails.
pub const REQUIRE: &str = "ORCHESTRATOR_TEST_REQUIRE";

/// The variable that names a real ComfyUI: `<directory>:<python>`.
pub const COMFYUI: &str = "ORCHESTRATOR_TEST_COMFYUI";

/// The variable that names the folder of PostgreSQL's programs, where another is meant than Debian's newest.
pub const POSTGRES: &str = "ORCHESTRATOR_TEST_POSTGRES";

/// The variable that names a Python which has psutil, nvidia-ml-py and aiohttp.
pub const PYTHON_NODE: &str = "ORCHESTRATOR_TEST_PYTHON_NODE";

/// The variable that names a Chromium, where `PATH` has none or another is meant.
pub const CHROMIUM: &str = "ORCHESTRATOR_TEST_CHROMIUM";

/// The variable that names folders with the files of ComfyUI's web interface, separated by colons: each the
/// folder `static` of one version of PyPI's comfyui-frontend-package.
pub const INTERFACE: &str = "ORCHESTRATOR_TEST_INTERFACE";

/// The variable that names a virtual environment of Python with PyPI's comfy-cli and websocket-client.
pub const PYTHON_CLIENTS: &str = "ORCHESTRATOR_TEST_PYTHON_CLIENTS";

/// The variable that names a folder whose `node_modules` has npm's @saintno/comfyui-sdk; `node` runs it.
pub const NODE_CLIENTS: &str = "ORCHESTRATOR_TEST_NODE_CLIENTS";
/// The variable that names npm's axe-core: its file `axe.min.js`.
pub const AXE: &str = "ORCHESTRATOR_TEST_AXE";

/// The variable that names a tree of Debian which can be booted; nothing in it is changed.
pub const MACHINE: &str = "ORCHESTRATOR_TEST_MACHINE";

/// The variable that names the folder with the packages for Debian of both programs.
pub const PACKAGES: &str = "ORCHESTRATOR_TEST_PACKAGES";

/// The variable that names a collector that is linked to no library, where one was built.
pub const STATIC_COLLECTOR: &str = "ORCHESTRATOR_TEST_STATIC_COLLECTOR";

/// Something that a test needs and that cargo does not bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The linter of Prometheus' text format.
    Promtool,
    /// A real ComfyUI, named by [`COMFYUI`].
    Comfyui,
    /// A Python 3 interpreter.
    Python,
    /// A Python with what the agent's Python predecessor needs, named by [`PYTHON_NODE`].
    PythonNode,
    /// The programs of PostgreSQL: in the folder named by [`POSTGRES`], else where Debian puts them.
    Postgres,
    /// A browser: named by [`CHROMIUM`], else the `chromium` of `PATH`.
    Chromium,
    /// The files of ComfyUI's web interface, named by [`INTERFACE`].
    Interface,
    /// Published clients in Python, named by [`PYTHON_CLIENTS`].
    PythonClients,
    /// Published clients in JavaScript, named by [`NODE_CLIENTS`], and a `node` of `PATH`.
    NodeClients,
    /// What looks for pages that some people cannot use, named by [`AXE`].
    Axe,
    /// The rights of root, to mount and to make namespaces.
    Namespaces,
    /// What builds images of containers and runs in them: [`Self::Namespaces`] and `buildah`.
    Images,
    /// What [`Self::Images`] needs, and a collector that is linked to no library, named by [`STATIC_COLLECTOR`].
    StaticCollector,
    /// A tree of Debian, named by [`MACHINE`], and what boots it: [`Self::Namespaces`] and `systemd-nspawn`.
    Machine,
    /// The packages for Debian of both programs, in the folder named by [`PACKAGES`].
    Packages,
    /// Any program of `PATH`.
    Program {
        /// As it is called, here and in [`REQUIRE`].
        name: &'static str,
        /// The package of Debian that brings it.
        package: &'static str,
    },
}

/// Where a requirement was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An executable.
    Program(PathBuf),
    /// A ComfyUI: the folder of its `main.py` and the Python that runs it.
    Comfyui {
        /// The folder of its `main.py`.
        directory: PathBuf,
        /// The Python interpreter that has its dependencies.
        python: PathBuf,
    },
    /// Folders with files.
    Folders(Vec<PathBuf>),
    /// A file.
    File(PathBuf),
}

impl Found {
    /// The executable to run: the program, or the Python of a ComfyUI.
    pub fn program(&self) -> Option<&Path> {
        match self {
            Self::Program(path) => Some(path),
            Self::Comfyui { python, .. } => Some(python),
            Self::Folders(_) | Self::File(_) => None,
        }
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Outside {
    /// The name by which [`REQUIRE`] lists it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Promtool => "promtool",
            Self::Comfyui => "comfyui",
            Self::Python => "python",
            Self::PythonNode => "python-node",
            Self::Postgres => "postgres",
            Self::Chromium => "chromium",
            Self::Interface => "interface",
            Self::PythonClients => "python-clients",
            Self::NodeClients => "node-clients",
            Self::Axe => "axe",
            Self::Namespaces => "namespaces",
            Self::Images => "images",
            Self::StaticCollector => "static-collector",
            Self::Machine => "machine",
            Self::Packages => "packages",
            Self::Program { name, .. } => name,
        }
    }

    /// Looks for it, by `PATH` and the environment.
    ///
    /// # Errors
    /// The reason why it cannot be used, and what to do about it.
    pub fn find(self) -> Result<Found, String> {
        match self {
            Self::Promtool => program("promtool", "install Debian's prometheus"),
            Self::Program { name, package } => program(name, &format!("install Debian's {package}")),
            Self::Chromium => chromium(env::var_os(CHROMIUM).map(PathBuf::from)),
            Self::Interface => interface(env::var_os(INTERFACE).as_deref()),
            Self::PythonClients => {
                let what = "a virtual environment with comfy-cli and websocket-client";
                folder(PYTHON_CLIENTS, what, "bin/comfy")
            }
            Self::NodeClients => program("node", "install Debian's nodejs").and_then(|_| {
                let what = "a folder in which npm has installed @saintno/comfyui-sdk";
                folder(NODE_CLIENTS, what, "node_modules/@saintno/comfyui-sdk/package.json")
            }),
            Self::Axe => axe(env::var_os(AXE).map(PathBuf::from)),
            Self::Namespaces => namespaces(),
            Self::Images => images(),
            Self::StaticCollector => static_collector(env::var_os(STATIC_COLLECTOR).map(PathBuf::from)),
            Self::Machine => machine(),
            Self::Packages => packages(env::var_os(PACKAGES).map(PathBuf::from)),
            Self::Python => program("python3", "install python3"),
            Self::PythonNode => python_node(env::var_os(PYTHON_NODE).map(PathBuf::from)),
            Self::Comfyui => comfyui(env::var(COMFYUI).ok().as_deref()),
            Self::Postgres => postgres(env::var_os(POSTGRES).map(PathBuf::from)),
        }
    }

    fn is_required(self) -> bool {
        env::var(REQUIRE).is_ok_and(|list| lists(&list, self))
    }
}

/// A trial that runs `test` with what it needs. Where that is missing it is ignored, with the reason in its
/// name; where [`REQUIRE`] lists it, it fails with that reason.
pub fn trial(
    name: &str,
    needs: Outside,
    test: impl FnOnce(Found) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    judged(name, needs, needs.find(), needs.is_required(), test)
}

fn judged(
    name: &str,
    needs: Outside,
    found: Result<Found, String>,
    required: bool,
    test: impl FnOnce(Found) -> Result<(), Failed> + Send + 'static,
) -> Trial {
    match found {
        Ok(found) => Trial::test(name, move || test(found)),
        Err(reason) => {
            let reason = format!("needs {needs}: {reason}");
            let name = format!("{name} [{reason}]");
            Trial::test(name, move || Err(reason.into())).with_ignored_flag(!required)
        }
    }
}

fn lists(list: &str, wanted: Outside) -> bool {
    list.split(',').any(|name| name.trim() == wanted.name())
}

fn program(name: &str, remedy: &str) -> Result<Found, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .map(Found::Program)
        .ok_or_else(|| remedy.to_owned())
}

/// The folder that a variable names, if this file is in it.
fn folder(variable: &str, what: &str, file: &str) -> Result<Found, String> {
    let folder =
        env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("set {variable}=<{what}>"))?;
    match folder.join(file).is_file() {
        true => Ok(Found::Folders(vec![folder])),
        false => Err(format!("{variable}: no {file} in {}", folder.display())),
    }
}

fn namespaces() -> Result<Found, String> {
    let unshare = program("unshare", "install util-linux")?;
    let may =
        |program: &Path| Command::new(program).args(["--mount", "--net", "--pid", "--fork", "true"]).output();
    match unshare.program().map(may) {
        Some(Ok(output)) if output.status.success() => Ok(unshare),
        _ => Err("run as root, where namespaces can be made".to_owned()),
    }
}

fn machine() -> Result<Found, String> {
    namespaces()?;
    program("systemd-nspawn", "install Debian's systemd-container")?;
    program("ip", "install Debian's iproute2")?;
    folder(MACHINE, "a tree that debootstrap has made, with systemd", "usr/lib/systemd/systemd")
}

fn images() -> Result<Found, String> {
    namespaces()?;
    program("buildah", "install Debian's buildah")
}

fn static_collector(value: Option<PathBuf>) -> Result<Found, String> {
    images()?;
    let program = value.ok_or_else(|| {
        format!("set {STATIC_COLLECTOR}=<an orchestrator-collector that was linked statically>")
    })?;
    if program.is_file() {
        return Ok(Found::Program(program));
    }
    Err(format!("{STATIC_COLLECTOR}: there is no {}", program.display()))
}

fn packages(value: Option<PathBuf>) -> Result<Found, String> {
    let folder = value.ok_or_else(|| format!("set {PACKAGES}=<where packaging/build has put them>"))?;
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    match files.filter(|file| file.path().extension().is_some_and(|kind| kind == "deb")).count() {
        0 => Err(format!("{PACKAGES}: there is no package in {}: run packaging/build", folder.display())),
        _ => Ok(Found::Folders(vec![folder])),
    }
}

fn python_node(value: Option<PathBuf>) -> Result<Found, String> {
    let python =
        value.ok_or_else(|| format!("set {PYTHON_NODE}=<a Python with psutil, nvidia-ml-py and aiohttp>"))?;
    if python.is_file() {
        return Ok(Found::Program(python));
    }
    Err(format!("{PYTHON_NODE}: no Python at {}", python.display()))
}

fn comfyui(value: Option<&str>) -> Result<Found, String> {
    let shape = || format!("set {COMFYUI}=<directory of main.py>:<python>");
    let (directory, python) = value.and_then(|value| value.rsplit_once(':')).ok_or_else(shape)?;
    let (directory, python) = (PathBuf::from(directory), PathBuf::from(python));
    if !directory.join("main.py").is_file() {
        return Err(format!("{COMFYUI}: no main.py in {}", directory.display()));
    }
    if !python.is_file() {
        return Err(format!("{COMFYUI}: no Python at {}", python.display()));
    }
    Ok(Found::Comfyui { directory, python })
}

fn chromium(value: Option<PathBuf>) -> Result<Found, String> {
    match value {
        Some(named) if named.is_file() => Ok(Found::Program(named)),
        Some(named) => Err(format!("{CHROMIUM}: there is no {}", named.display())),
        None => program("chromium", "install Debian's chromium"),
    }
}

fn postgres(value: Option<PathBuf>) -> Result<Found, String> {
    let has_programs = |folder: &PathBuf| folder.join("initdb").is_file();
    match value {
        Some(named) if has_programs(&named) => Ok(Found::Folders(vec![named])),
        Some(named) => Err(format!("{POSTGRES}: there is no initdb in {}", named.display())),
        None => debian_postgres()
            .filter(has_programs)
            .map(|folder| Found::Folders(vec![folder]))
            .ok_or_else(|| "install Debian's postgresql".to_owned()),
    }
}

/// The newest of those that are installed side by side.
fn debian_postgres() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let number =
        |entry: &std::fs::DirEntry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
    versions.max_by_key(number).map(|newest| newest.path().join("bin"))
}

fn axe(value: Option<PathBuf>) -> Result<Found, String> {
    let file = value.ok_or_else(|| format!("set {AXE}=<the file axe.min.js of npm's axe-core>"))?;
    if file.is_file() { Ok(Found::File(file)) } else { Err(format!("{AXE}: there is no {}", file.display())) }
}

fn interface(value: Option<&OsStr>) -> Result<Found, String> {
    let shape = || format!("set {INTERFACE}=<folder `static` of comfyui-frontend-package>[:<another>...]");
    let folders: Vec<PathBuf> = env::split_paths(value.ok_or_else(shape)?).collect();
    match folders.iter().find(|folder| !folder.join("index.html").is_file()) {
        Some(folder) => Err(format!("{INTERFACE}: no index.html in {}", folder.display())),
        None => Ok(Found::Folders(folders)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(trial: Trial) -> libtest_mimic::Conclusion {
        let logfile = Some("/dev/null".to_owned());
        let arguments = libtest_mimic::Arguments { test_threads: Some(1), logfile, ..Default::default() };
        libtest_mimic::run(&arguments, vec![trial])
    }

    fn missing() -> Result<Found, String> {
        Err("install it".to_owned())
    }

    #[test]
    fn a_missing_requirement_is_ignored_with_its_reason_in_the_name() {
        let trial = judged("t", Outside::Promtool, missing(), false, |_| Ok(()));
        assert!(trial.has_ignored_flag());
        assert_eq!(trial.name(), "t [needs promtool: install it]");
    }

    #[test]
    fn a_missing_requirement_that_is_required_fails() {
        let trial = judged("t", Outside::Promtool, missing(), true, |_| Ok(()));
        assert!(!trial.has_ignored_flag());
        assert_eq!(run(trial).num_failed, 1);
    }

    #[test]
    fn a_requirement_that_is_there_runs_the_test_with_what_was_found() {
        let found = Found::Program(PathBuf::from("/bin/true"));
        let expected = found.clone();
        let test = move |got| if got == expected { Ok(()) } else { Err("another".into()) };
        let trial = judged("t", Outside::Python, Ok(found), true, test);
        assert_eq!(run(trial).num_passed, 1);
    }

    #[test]
    fn the_list_of_requirements_is_read_by_whole_names() {
        assert!(lists("python, promtool", Outside::Promtool));
        assert!(!lists("promtools,pyth", Outside::Promtool));
    }

    #[test]
    fn a_comfyui_that_is_not_there_is_refused_with_what_is_wrong() {
        assert!(comfyui(None).unwrap_err().contains("set ORCHESTRATOR_TEST_COMFYUI="));
        assert!(comfyui(Some("/no/such/folder:/no/python")).unwrap_err().contains("no main.py"));
    }

    #[test]
    fn an_interface_without_its_page_is_refused_with_the_folder() {
        assert!(interface(None).unwrap_err().contains("set ORCHESTRATOR_TEST_INTERFACE="));
        assert!(interface(Some("/no/such:/other".as_ref())).unwrap_err().ends_with("in /no/such"));
        assert!(chromium(Some("/no/such".into())).unwrap_err().contains("ORCHESTRATOR_TEST_CHROMIUM"));
        assert!(postgres(Some("/no/such".into())).unwrap_err().contains("no initdb in /no/such"));
    }
}
