//! The systemd units: nothing in them that systemd does not know, and little that the services may do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use sim::outside::{Outside, trial};
use tempfile::TempDir;

use super::built::{program, root};

const SYSTEMD: Outside = Outside::Program { name: "systemd-analyze", package: "systemd" };

/// Each with the name under which an instance of it would be loaded.
const UNITS: [(&str, &str); 6] = [
    ("orchestrator-agent.service", "orchestrator-agent.service"),
    ("orchestrator-agent@.service", "orchestrator-agent@9189.service"),
    ("orchestrator-collector.service", "orchestrator-collector.service"),
    ("orchestrator-agent.socket", "orchestrator-agent.socket"),
    ("orchestrator-agent@.socket", "orchestrator-agent@9189.socket"),
    ("orchestrator-collector.socket", "orchestrator-collector.socket"),
];

/// What systemd calls the exposure of a service, in tenths.
const EXPOSURE: &str = "15";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("units::systemd_finds_nothing_to_say_about_any", SYSTEMD, |_| verify()),
        trial("units::a_service_is_exposed_to_little", SYSTEMD, |_| exposure()),
        Trial::test("units::every_unit_is_looked_at", || {
            let mut there: Vec<String> = listed(&root().join("systemd"));
            there.retain(|name| name.ends_with(".service") || name.ends_with(".socket"));
            let mut known = UNITS.map(|(file, _)| file.to_owned()).to_vec();
            there.sort();
            known.sort();
            (there == known).then_some(()).ok_or_else(|| format!("{there:?} are not {known:?}").into())
        }),
    ]
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The units as they would be loaded, with the programs that were built here instead of installed ones.
fn loaded() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let files = UNITS.map(|(file, instance)| {
        let mut text = fs::read_to_string(root().join("systemd").join(file)).unwrap();
        for name in ["orchestrator-agent", "orchestrator-collector"] {
            let installed = format!("/usr/bin/{name}");
            text = text.replace(&installed, program(name).to_str().unwrap());
        }
        let path = folder.path().join(instance);
        fs::write(&path, text).unwrap();
        path
    });
    (folder, files.to_vec())
}

fn verify() -> Result<(), Failed> {
    let (_folder, files) = loaded();
    // The pages are installed by the packages.
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&files).output()?;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    match output.status.success() && said.is_empty() {
        true => Ok(()),
        false => Err(format!("{}: {said}", output.status).into()),
    }
}

fn exposure() -> Result<(), Failed> {
    let (_folder, files) = loaded();
    for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "service")) {
        let threshold = format!("--threshold={EXPOSURE}");
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["security", "--offline=true", "--no-pager", &threshold]).arg(file);
        let output = analyze.output()?;
        if !output.status.success() {
            let said = String::from_utf8([output.stdout, output.stderr].concat())?;
            return Err(format!("{} is exposed to more: {said}", file.display()).into());
        }
    }
    Ok(())
}
