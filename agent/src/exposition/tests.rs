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

/// The families of the agent's part of the page: name and type.
fn documented() -> Vec<(String, String)> {
    let page = include_str!("../../../docs/metrics.md");
    let agent = page.split("\n## ").find(|part| part.starts_with("Agent\n")).unwrap();
    let rows = agent.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let families = rows.filter(|cells| cells.len() > 4 && ["gauge", "counter"].contains(&cells[2]));
    let names = |cells: &[&str]| -> Vec<(String, String)> {
        let quoted = cells[1].split('`').skip(1).step_by(2);
        quoted.map(|name| (name.to_owned(), cells[2].to_owned())).collect()
    };
    families.flat_map(|cells| names(&cells)).collect()
}

fn exported(page: &str) -> Vec<(String, String)> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_page_on_metrics_lists_every_family_and_no_other() {
    let all = super::text(&full(), Some(Compat::Dcgm)).unwrap();
    let (mut documented, mut exported) = (documented(), exported(&all));
    documented.sort();
    exported.sort();
    assert_eq!(exported, documented);
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
