//! What else is decided at start: limits of the process, and which probes run.

use sim_nvml::Driver;

use super::Rig;

#[test]
fn the_process_may_have_few_file_descriptors_because_nvml_maps_memory_for_each() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", rig.agent.pid())).unwrap();
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let soft: u64 = soft.split_whitespace().next().unwrap().parse().unwrap();
    assert!(soft <= 1024, "{soft}");
}

#[test]
fn probes_that_are_left_out_leave_nothing_behind() {
    let rig = Rig::start(&Driver::with_gpus(1), &["--no-probe", "host,process"]);
    rig.ready();
    assert_eq!(rig.document().as_object().unwrap().len(), 5);
    let page = rig.agent.ask("GET", "/metrics").body;
    assert!(!page.contains("orchestrator_host_") && !page.contains("process_resident"), "{page}");
    assert!(page.contains("orchestrator_gpu_up"));

    let rig = Rig::start(&Driver::with_gpus(1), &["--probe", "memory"]);
    rig.report_until(|report| report.host.memory.is_some());
    assert_eq!(rig.document().as_object().unwrap().len(), 2);
    assert_eq!(rig.calls("nvmlInit_v2"), 0);
    assert_eq!(rig.agent.ask("GET", "/-/ready").status, 200);
}
