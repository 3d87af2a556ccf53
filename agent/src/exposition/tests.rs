use report::{Gpu, Probe, Report};

use crate::config::Compat;

/// A report in which everything is known; the tests of the text and of Prometheus' own linter share it.
const FULL: &str = include_str!("../../tests/data/report_full.json");
const EXPECTED: &str = include_str!("../../tests/data/metrics_full.txt");

fn text(report: &Report) -> prometheus::Result<String> {
    super::text(report, None)
}

fn full() -> Report {
    serde_json::from_str(FULL).unwrap()
}

fn names(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_whitespace().next()).collect()
}

#[test]
fn a_full_report_reads_as_the_frozen_text() {
    assert_eq!(text(&full()).unwrap(), EXPECTED);
}

#[test]
fn nothing_known_is_nothing_said() {
    assert_eq!(text(&Report::default()).unwrap(), "");
}

#[test]
fn what_cannot_be_read_has_no_series_while_the_rest_has() {
    let mut report = full();
    report.gpus[0].temperature_celsius = None;
    report.host.memory = None;
    let page = text(&report).unwrap();
    let missing: Vec<_> = names(EXPECTED).into_iter().filter(|name| !names(&page).contains(name)).collect();
    assert!(
        missing
            .iter()
            .all(|name| name.contains("memory") || name.contains("swap") || name.contains("celsius"))
    );
    assert!(missing.contains(&"orchestrator_gpu_temperature_celsius"));
    assert!(!missing.contains(&"orchestrator_gpu_memory_used_bytes"));
}

#[test]
fn gpus_that_another_agent_speaks_for_are_left_out() {
    let page = text(&full()).unwrap();
    assert!(page.contains("GPU-1"));
    assert!(!page.contains("GPU-2"));
}

#[test]
fn a_lost_gpu_is_down_and_says_nothing_else() {
    let lost = Gpu { uuid: Some("GPU-1".into()), up: Some(false), chosen: Some(true), ..Gpu::default() };
    let page = text(&Report { gpus: vec![lost], ..Report::default() }).unwrap();
    let series: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        series,
        [r#"orchestrator_gpu_info{uuid="GPU-1"} 1"#, r#"orchestrator_gpu_up{uuid="GPU-1"} 0"#]
    );
}

#[test]
fn a_gpu_without_a_uuid_has_no_series_that_could_be_mistaken_for_anothers() {
    let nameless =
        Gpu { up: Some(true), chosen: Some(true), temperature_celsius: Some(1.0), ..Gpu::default() };
    assert_eq!(text(&Report { gpus: vec![nameless], ..Report::default() }).unwrap(), "");
}

#[test]
fn label_values_are_escaped() {
    let probe = Probe { name: "a\"b\\c\nd".into(), success: Some(true), ..Probe::default() };
    let page = text(&Report { probes: vec![probe], ..Report::default() }).unwrap();
    assert!(page.contains(r#"{probe="a\"b\\c\nd"} 1"#), "{page}");
}

/// The page on metrics is made from it, so nothing may be missing there.
#[test]
fn the_full_report_has_every_family_that_is_written_anywhere() {
    let page = super::text(&full(), Some(Compat::Dcgm)).unwrap();
    let known = names(&page);
    let sources = [
        include_str!("own.rs"),
        include_str!("host.rs"),
        include_str!("gpu.rs"),
        include_str!("comfyui.rs"),
        include_str!("dcgm.rs"),
    ];
    let is_name = |text: &str| {
        let starts = ["orchestrator_", "process_", "DCGM_"].iter().any(|start| text.starts_with(start));
        starts && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let quoted = sources.iter().flat_map(|source| source.split('"'));
    let written: Vec<&str> = quoted.filter(|text| is_name(text)).collect();
    assert_eq!(written.len(), known.len());
    assert!(written.iter().all(|name| known.contains(name)), "{written:?} {known:?}");
}

#[test]
fn the_names_of_dcgm_come_on_demand_in_its_units() {
    let page = super::text(&full(), Some(Compat::Dcgm)).unwrap();
    let labels = r#"{gpu="0",UUID="GPU-1",modelName="NVIDIA A100",hostname="gpu-host"}"#;
    for line in [
        format!("DCGM_FI_DEV_GPU_TEMP{labels} 41"),
        format!("DCGM_FI_DEV_POWER_USAGE{labels} 60.5"),
        format!("DCGM_FI_DEV_SM_CLOCK{labels} 1410"),
        format!("DCGM_FI_DEV_GPU_UTIL{labels} 50"),
        format!("DCGM_FI_DEV_FB_USED{labels} 8"),
        format!("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{labels} 0.25"),
    ] {
        assert!(page.lines().any(|one| one == line), "{line} is missing in\n{page}");
    }
    assert!(!text(&full()).unwrap().contains("DCGM"));
}
