//! Nothing grows: threads and descriptors over scrapes and over drivers that hang, recover and are replaced.
//! `ORCHESTRATOR_TEST_SCRAPES` and `ORCHESTRATOR_TEST_ROUNDS` make it longer.

use std::fs;

use sim_nvml::Driver;

use super::Rig;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

/// Threads and open descriptors of the agent.
fn counts(rig: &Rig) -> [usize; 2] {
    ["task", "fd"].map(|folder| fs::read_dir(format!("/proc/{}/{folder}", rig.agent.pid())).unwrap().count())
}

#[test]
fn scrapes_leave_nothing_behind() {
    let rig = Rig::start(&Driver::with_gpus(2), &[]);
    rig.ready();
    rig.agent.ask("GET", "/metrics");
    let before = counts(&rig);
    for scrape in 0..setting("ORCHESTRATOR_TEST_SCRAPES", 1000) {
        let path = ["/metrics", "/orchestrator/metrics", "/v1/report", "/-/healthy"][scrape % 4];
        assert_eq!(rig.agent.ask("GET", path).status, 200);
    }
    // The last connection may still be closing.
    rig.agent.ask_until("/-/healthy", |_| counts(&rig)[1] <= before[1] + 1);
    assert_eq!(counts(&rig)[0], before[0]);
}

#[test]
fn hangs_recoveries_and_reloads_leave_nothing_behind() {
    let rig = Rig::start(&Driver::with_gpus(2), &[]);
    rig.ready();
    let before = counts(&rig);
    let mut energy = 0.0;
    for round in 0..setting("ORCHESTRATOR_TEST_ROUNDS", 3) {
        let hangs = rig.control.calls().iter().filter(|call| call.starts_with("hanging")).count();
        rig.change(|driver| _ = driver.hang.insert("*".into()));
        let hanging =
            || rig.control.calls().iter().filter(|call| call.starts_with("hanging")).count() > hangs;
        rig.agent.ask_until("/orchestrator/metrics", |answer| answer.status == 200 && hanging());
        let version = format!("560.{round}");
        rig.change(|driver| {
            driver.hang.clear();
            driver.driver_version.clone_from(&version);
            // Less than before: as after the loading of a driver.
            driver.gpus[0].energy_millijoules = Some(1_000_000 - round as u64);
        });
        rig.control.install(&version).unwrap();
        let report = rig.report_until(|report| {
            let driver = report.gpu_driver.as_ref().and_then(|driver| driver.driver_version.as_ref());
            !report.gpus.is_empty() && driver == Some(&version)
        });
        let told = report.gpus[0].energy_joules_total.unwrap();
        assert!(told > energy, "round {round}: {told} after {energy}");
        energy = told;
    }
    rig.agent.ask_until("/-/healthy", |_| counts(&rig)[1] <= before[1] + 1);
    assert_eq!(counts(&rig)[0], before[0]);
}
