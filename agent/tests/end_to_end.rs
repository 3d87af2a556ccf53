//! The real binary, asked as a client asks it, on a machine where it finds no driver.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong here fails them"
)]

mod agent_process;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

use agent_process::{AgentProcess, Answer, command, output};
use serde_json::Value;

/// The machine that the tests run on may have a GPU of AMD.
const NVIDIA_ALONE: &[&str] = &["--no-probe", "amd_gpu"];

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
    serde_json::from_str(&answer.body).unwrap()
}

#[test]
fn the_json_of_a_machine_without_a_gpu_has_exactly_the_hosts_keys() {
    let agent = AgentProcess::start(NVIDIA_ALONE);
    let document = json(&agent.ask("GET", "/orchestrator/metrics"));
    let keys: BTreeSet<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["cpu_utilization", "ram_total", "ram_used"]));

    let cpu = document["cpu_utilization"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&cpu) && (cpu * 10.0).fract().abs() < 1e-9, "{cpu}");
    let (total, used) = (document["ram_total"].as_u64().unwrap(), document["ram_used"].as_u64().unwrap());
    assert!(0 < used && used < total, "{used} of {total}");
}

#[test]
fn both_rules_for_used_memory_are_served() {
    for rule in ["psutil7", "psutil5"] {
        let agent = AgentProcess::start(&["--ram-used", rule]);
        let document = json(&agent.ask("GET", "/orchestrator/metrics"));
        assert!(document["ram_used"].as_u64().unwrap() > 0, "{rule}");
    }
}

#[test]
fn it_becomes_ready_without_a_driver_and_says_what_it_lacks() {
    let agent = AgentProcess::start(NVIDIA_ALONE);
    assert_eq!(agent.ask_until("/-/ready", |answer| answer.status == 200).body, "ready\n");
    assert_eq!(agent.ask("GET", "/-/healthy").status, 200);

    let report: report::Report = serde_json::from_value(json(&agent.ask("GET", "/v1/report"))).unwrap();
    assert_eq!((report.gpus.len(), report.gpu_driver), (0, None));
    let gpu = report.probes.iter().find(|probe| probe.name == "gpu").unwrap();
    assert_eq!((gpu.success, gpu.failures_total.contains_key("no_library")), (Some(false), true));
    assert!(gpu.error.as_deref().unwrap().contains("no NVIDIA driver is installed here"));
    // A kernel may keep no pressure.
    let unwell = |probe: &&report::Probe| {
        probe.success != Some(true) && !probe.failures_total.contains_key("unsupported")
    };
    let unwell: Vec<_> = report.probes.iter().filter(unwell).map(|probe| probe.name.as_str()).collect();
    assert_eq!(unwell, ["gpu"]);
    assert!(report.host.memory.unwrap().age_seconds.unwrap() < 10.0);
}

#[test]
fn prometheus_gets_the_hosts_families_and_none_of_a_gpu() {
    let agent = AgentProcess::start(NVIDIA_ALONE);
    agent.ask_until("/-/ready", |answer| answer.status == 200);
    let page = agent.ask("GET", "/metrics");
    assert!(page.head.contains("content-type: text/plain; version=0.0.4"), "{}", page.head);
    for name in [
        "orchestrator_agent_build_info{version=",
        "orchestrator_agent_probe_success{probe=\"gpu\"} 0",
        "orchestrator_host_cpu_seconds_total{mode=\"idle\"}",
        "orchestrator_host_cpu_utilization_ratio ",
        "orchestrator_host_memory_available_bytes ",
        "orchestrator_host_load1 ",
        "orchestrator_host_network_receive_bytes_total{device=",
        "process_resident_memory_bytes ",
    ] {
        assert!(page.body.contains(name), "{name} is missing in\n{}", page.body);
    }
    assert!(!page.body.contains("orchestrator_gpu_"), "{}", page.body);
}

#[test]
fn an_unknown_path_is_404_and_a_wrong_method_405() {
    let agent = AgentProcess::start(&[]);
    let unknown = agent.ask("GET", "/orchestrator");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("/orchestrator/metrics"), "{}", unknown.body);
    for path in ["/orchestrator/metrics", "/metrics", "/v1/report", "/-/healthy", "/-/ready"] {
        let refused = agent.ask("POST", path);
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.head.contains("allow: get"), "{}", refused.head);
    }
}

#[test]
fn figures_keep_coming_while_nobody_asks() {
    let agent = AgentProcess::start(&[]);
    let passed = |answer: &Answer| -> f64 {
        let report: report::Report = serde_json::from_str(&answer.body).unwrap();
        report.host.cpu.unwrap().seconds_total.values().sum()
    };
    let first = passed(&agent.ask("GET", "/v1/report"));
    agent.ask_until("/v1/report", |answer| passed(answer) > first);
}

#[test]
fn it_ends_cleanly_when_told_to_even_with_clients_that_never_finish_asking() {
    for signal in ["TERM", "INT"] {
        let agent = AgentProcess::start(&[]);
        let mut half = TcpStream::connect(&agent.address).unwrap();
        half.write_all(b"GET /metrics HT").unwrap();
        assert!(agent.ask("GET", "/-/healthy").status == 200);
        assert_eq!(agent.stop(signal).code(), Some(0), "{signal}");
    }
}

#[test]
fn a_client_that_sends_rubbish_harms_nobody() {
    let agent = AgentProcess::start(&[]);
    for rubbish in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\0\0", &[b'a'; 100_000]]
    {
        let mut stream = TcpStream::connect(&agent.address).unwrap();
        // The agent may hang up in the middle of it.
        let _ = stream.write_all(rubbish);
    }
    assert_eq!(agent.ask("GET", "/orchestrator/metrics").status, 200);
}

fn refusal(arguments: &[&str]) -> (Option<i32>, String) {
    let output = output(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    (output.status.code(), errors[0].to_owned())
}

#[test]
fn a_port_in_use_is_refused_with_what_to_do() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let (code, error) = refusal(&["--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(error.contains(&format!("cannot listen on {address}: the port is in use")), "{error}");
    assert!(error.contains("--listen"), "{error}");
}

#[test]
fn named_folders_are_told_by_their_models_and_filesystems_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (models, output) = (folder.path().join("models"), folder.path().join("output"));
    std::fs::create_dir_all(models.join("loras/sdxl")).unwrap();
    std::fs::create_dir(&output).unwrap();
    std::fs::write(models.join("loras/sdxl/a.safetensors"), "seven b").unwrap();
    let (models, output) = (models.to_str().unwrap(), output.to_str().unwrap());
    let agent = AgentProcess::start(&["--models", models, "--folder", output]);
    agent.ask_until("/-/ready", |answer| answer.status == 200);

    let report: report::Report = serde_json::from_value(json(&agent.ask("GET", "/v1/report"))).unwrap();
    let inventory = report.models.unwrap();
    let file =
        report::ModelFile { folder: "loras".into(), name: "sdxl/a.safetensors".into(), bytes: Some(7) };
    assert_eq!((inventory.files.as_ref(), inventory.truncated), (&[file][..], None));
    assert!(inventory.age_seconds.unwrap() < 10.0);
    let without: report::Report =
        serde_json::from_value(json(&agent.ask("GET", "/v1/report?models=false"))).unwrap();
    assert_eq!(without.models, None);
    assert!(without.node_metrics.unwrap().ram_total.is_some());
    let filesystems = report.host.storage.unwrap().filesystems;
    assert_eq!(filesystems.len(), 1, "{filesystems:?}");
    assert!(folder.path().canonicalize().unwrap().starts_with(&filesystems[0].mountpoint));
}

#[test]
fn an_address_of_another_machine_is_refused_with_what_to_do() {
    let (code, error) = refusal(&["--listen", "192.0.2.1:1"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("choose an address of this machine"), "{error}");
    assert_eq!(error.matches("os error").count(), 1, "{error}");
}

#[test]
fn a_bad_flag_is_refused_on_one_line() {
    for arguments in [&["--listen", "here"][..], &["--unknown"], &["--gpu", "first"]] {
        let (code, error) = refusal(arguments);
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("see `orchestrator-agent --help`"), "{error}");
    }
}

#[test]
fn help_version_and_completions_succeed() {
    for (arguments, expected) in [
        (&["--help"][..], "--ram-used"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "complete"),
    ] {
        let output = output(arguments);
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected), "{arguments:?}");
    }
}

#[test]
fn what_cannot_be_written_changes_no_exit_code_to_a_panics() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (arguments, expected) in
        [(&["--listen", "here"][..], 2), (&["--listen", "192.0.2.1:1"], 1), (&["completions", "bash"], 1)]
    {
        let status = command(arguments).stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(status.code(), Some(expected), "{arguments:?}");
    }
}
