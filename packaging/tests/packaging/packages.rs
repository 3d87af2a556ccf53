//! The packages for Debian, as files: what is in them, and what Debian's linter says. What they do is tried in `machine`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use sim::outside::{Found, Outside, trial};
use tempfile::TempDir;

const LINTIAN: Outside = Outside::Program { name: "lintian", package: "lintian" };

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        match Outside::Packages.find() {
            Ok(found) => {
                trial("packages::the_linter_of_debian_finds_no_error", LINTIAN, move |_| lint(&found))
            }
            Err(_) => trial("packages::the_linter_of_debian_finds_no_error", Outside::Packages, |found| {
                lint(&found)
            }),
        },
        trial("packages::every_command_has_its_page", Outside::Packages, |found| {
            every_command_has_its_page(&found)
        }),
        Trial::test("packages::their_changelogs_speak_of_this_version", || {
            ["agent", "collector"].iter().try_for_each(|name| speaks_of_this_version(name))
        }),
    ]
}

pub(crate) fn listed(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut packages: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|kind| kind == "deb")).collect();
    packages.sort();
    packages
}

fn of(found: &Found) -> Result<Vec<PathBuf>, Failed> {
    let Found::Folders(folders) = found else { return Err("no folder".into()) };
    Ok(folders.iter().flat_map(|folder| listed(folder)).collect())
}

fn lint(found: &Found) -> Result<(), Failed> {
    // Root may lint as well.
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--allow-root", "--tag-display-limit", "0"]).args(of(found)?);
    let output = lintian.output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said.into()) }
}

fn every_command_has_its_page(found: &Found) -> Result<(), Failed> {
    let mut files = String::new();
    for package in of(found)? {
        files +=
            &String::from_utf8(Command::new("dpkg-deb").arg("--contents").arg(package).output()?.stdout)?;
    }
    for program in packaging::install::programs() {
        let name = program.get_name();
        let commands = program.get_subcommands().map(|command| format!("{name}-{}", command.get_name()));
        for page in commands.chain([name.to_owned()]) {
            assert!(files.contains(&format!("/man1/{page}.1.gz\n")), "there is no page of {page}");
        }
    }
    Ok(())
}

fn speaks_of_this_version(name: &str) -> Result<(), Failed> {
    let file = super::built::root().join(format!("packaging/deb/{name}.changelog"));
    let beginning = format!("orchestrator-{name} ({}-", env!("CARGO_PKG_VERSION"));
    if fs::read_to_string(file)?.starts_with(&beginning) {
        Ok(())
    } else {
        Err(format!("it does not begin with {beginning}").into())
    }
}

/// For trials of an upgrade: the same files in packages of a lower version, and below `next` the packages themselves.
pub(crate) fn previous(packages: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let next = folder.path().join("next");
    fs::create_dir(&next).unwrap();
    for package in listed(packages) {
        let name = package.file_name().unwrap();
        let (content, target) = (folder.path().join("content"), folder.path().join(name));
        fs::copy(&package, next.join(name)).unwrap();
        dpkg_deb(&["--raw-extract".as_ref(), &package, &content]);
        let control = content.join("DEBIAN/control");
        let text = fs::read_to_string(&control).unwrap();
        let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
        fs::write(&control, text.replace(version, "Version: 0.0.1-1")).unwrap();
        dpkg_deb(&["-Zgzip".as_ref(), "-z1".as_ref(), "--build".as_ref(), &content, &target]);
        fs::remove_dir_all(content).unwrap();
    }
    folder
}

fn dpkg_deb(arguments: &[&Path]) {
    let output = Command::new("dpkg-deb").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
