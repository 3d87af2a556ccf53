//! The manifests: as Kubernetes' published schemas have it, and with settings that the collector takes.

use std::fs;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use sim::outside::{Outside, trial};

use super::built::{program, root};

/// The operator of Prometheus has its own: `pod-monitor.yaml` is not in Kubernetes' schemas.
const MANIFESTS: [&str; 4] = ["agent.yaml", ONE, SEVERAL, "network-policy.yaml"];
const ONE: &str = "collector.yaml";
const SEVERAL: &str = "several/collector.yaml";
const VALIDATOR: Outside = Outside::Program {
    name: "kubernetes-validate",
    package: "python3-venv, and PyPI's kubernetes-validate in it",
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("kubernetes::the_manifests_are_as_the_schemas_have_it", VALIDATOR, |found| {
            let mut validate = Command::new(found.program().ok_or("no program")?);
            validate
                .args(["--strict", "--quiet"])
                .args(MANIFESTS)
                .current_dir(root().join("packaging/kubernetes"));
            succeeds(&mut validate)
        }),
        Trial::test("kubernetes::the_collector_takes_the_settings_of_its_manifests", || {
            settings(ONE)?;
            settings(SEVERAL)
        }),
    ]
}

fn settings(manifest: &str) -> Result<(), Failed> {
    let manifest = fs::read_to_string(root().join("packaging/kubernetes").join(manifest))?;
    let (_, settings) = manifest.split_once("  collector.toml: |\n").ok_or("no settings")?;
    let lines = settings.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let folder = tempfile::tempdir()?;
    let here = |name: &str| format!("\"{}/{name}", folder.path().display());
    let settings: String = lines.map(|line| format!("{}\n", line.trim_start())).collect();
    let settings = settings.replace("\"/secret/", &here("")).replace("\"/agent/", &here(""));
    let entry = Command::new(program("orchestrator-collector"))
        .args(["token", "--name", "a", "--role", "admin"])
        .output()?;
    fs::write(folder.path().join("tokens.toml"), entry.stdout)?;
    fs::write(folder.path().join("database-password"), "secret")?;
    fs::write(folder.path().join("token"), "0123456789abcdef0123456789abcdef")?;
    fs::write(folder.path().join("collector.toml"), settings)?;
    let mut check = Command::new(program("orchestrator-collector"));
    // What the manifest takes from the pod and from a secret.
    for (name, value) in [
        ("ORCHESTRATOR_COLLECTOR_PEER_URL", "http://10.0.0.1:8288"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ] {
        if manifest.contains(name) {
            check.env(name, value);
        }
    }
    succeeds(check.arg("check-config").arg("--config").arg(folder.path().join("collector.toml")))
}

fn succeeds(command: &mut Command) -> Result<(), Failed> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(said.into()) }
}
