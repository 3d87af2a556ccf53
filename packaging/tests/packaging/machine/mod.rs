//! The packages on a machine that has booted: what they install starts when it is told to, answers, survives, reloads, is
//! upgraded and goes. Each trial has a machine of its own.

mod booted;
mod fleet;

use std::fs;
use std::path::Path;

use libtest_mimic::Trial;
use serde_json::Value;
use sim::outside::{Found, Outside, trial};

use super::built::root;
use super::packages::{listed, previous};
use super::wait::until;
use booted::{ADDRESS, Machine, Said};
use fleet::{COLLECTOR, Fleet};

const SERVICES: [&str; 2] = ["orchestrator-agent", "orchestrator-collector"];

type Story = fn(&Path, &Path);

pub(crate) fn trials() -> Vec<Trial> {
    let stories: [(&str, Story); 7] = [
        ("what_is_installed_waits_to_be_set_up", what_is_installed_waits_to_be_set_up),
        ("what_is_set_up_answers_from_outside", what_is_set_up_answers_from_outside),
        ("a_hang_or_a_kill_ends_in_a_restart", a_hang_or_a_kill_ends_in_a_restart),
        (
            "a_reload_takes_what_can_be_used_and_refuses_the_rest",
            a_reload_takes_what_can_be_used_and_refuses_the_rest,
        ),
        ("an_upgrade_keeps_settings_and_jobs_that_wait", an_upgrade_keeps_settings_and_jobs_that_wait),
        (
            "what_is_removed_comes_back_and_what_is_purged_is_gone",
            what_is_removed_comes_back_and_what_is_purged_is_gone,
        ),
        (
            "the_script_for_many_hosts_installs_and_stops_where_one_fails",
            the_script_for_many_hosts_installs_and_stops_where_one_fails,
        ),
    ];
    stories.map(|(name, story)| on_machine(name, story)).into()
}

fn on_machine(name: &str, story: Story) -> Trial {
    let name = format!("machine::{name}");
    match Outside::Packages.find() {
        Ok(Found::Folders(packages)) => trial(&name, Outside::Machine, move |found| {
            let Found::Folders(tree) = found else { return Err("no tree".into()) };
            story(&tree[0], &packages[0]);
            Ok(())
        }),
        _ => trial(&name, Outside::Packages, |_| Err("no packages".into())),
    }
}

fn what_is_installed_waits_to_be_set_up(tree: &Path, packages: &Path) {
    let machine = Machine::boot(tree, packages);
    machine.says("dpkg --install /packages/*.deb");
    for service in SERVICES {
        for unit in [format!("{service}.service"), format!("{service}.socket")] {
            assert_eq!(machine.run(&format!("systemctl is-enabled {unit}")).text, "disabled", "{unit}");
            assert_eq!(machine.run(&format!("systemctl is-active {unit}")).text, "inactive", "{unit}");
        }
        machine.says(&format!("getent passwd {service}"));
        machine.says(&format!("bash -n /usr/share/bash-completion/completions/{service}"));
    }
    let modes = machine.says(
        "stat --format '%n %a %U:%G' /etc/orchestrator-agent /etc/orchestrator-agent/* /etc/orchestrator-collector \
         /etc/orchestrator-collector/*",
    );
    let expected = "/etc/orchestrator-agent 755 root:root
/etc/orchestrator-agent/agent.env 640 root:root
/etc/orchestrator-collector 750 root:orchestrator-collector
/etc/orchestrator-collector/collector.env 640 root:root
/etc/orchestrator-collector/collector.toml 640 root:orchestrator-collector";
    assert_eq!(modes, expected);
    // Installed once more, it changes nothing.
    machine.says("chmod 0600 /etc/orchestrator-collector/collector.toml && dpkg --install /packages/*.deb");
    assert_eq!(machine.says("stat --format %a /etc/orchestrator-collector/collector.toml"), "600");
    assert_eq!(machine.says("systemctl is-system-running"), "running");
}

fn what_is_set_up_answers_from_outside(tree: &Path, packages: &Path) {
    let fleet = Fleet::of(tree, packages);
    for port in [8288, 9188] {
        assert_eq!(fleet.ask(port, "/-/ready").status, Some(200), "{port}");
        assert_eq!(fleet.ask(port, "/metrics").status, Some(200), "{port}");
        assert_eq!(fleet.ask_as("a-token-of-nobody", port, "/metrics").status, Some(401), "{port}");
    }
    let pictures = fleet.pictures_outside();
    assert!(pictures.success && pictures.text.ends_with(".png"), "{}", pictures.text);
    // What the services may write to is theirs alone, and nobody else's settings are readable.
    let state = fleet.machine.says("stat --format '%a %U' /var/lib/orchestrator-collector");
    assert_eq!(state, "700 orchestrator-collector");
    let others = fleet.machine.run("runuser -u nobody -- cat /etc/orchestrator-collector/collector.toml");
    assert!(others.text.contains("Permission denied"), "{}", others.text);
}

fn a_hang_or_a_kill_ends_in_a_restart(tree: &Path, packages: &Path) {
    let fleet = Fleet::of(tree, packages);
    let waiting = [fleet.submit(3), fleet.submit(1)];
    for service in SERVICES {
        // The watchdog as it is shipped, but for its patience.
        fleet.machine.says(&format!("mkdir /run/systemd/system/{service}.service.d"));
        let drop_in = format!("/run/systemd/system/{service}.service.d/patience.conf");
        fleet.machine.write(&drop_in, "[Service]\nWatchdogSec=5s\n");
    }
    fleet
        .machine
        .says("systemctl daemon-reload && systemctl restart orchestrator-agent orchestrator-collector");
    for service in SERVICES {
        for (signal, result) in [("STOP", "watchdog"), ("KILL", "signal")] {
            let before = fleet.show(service, "MainPID");
            fleet.machine.says(&format!("kill -{signal} {before}"));
            fleet.runs_anew(service, &before);
            let journal = fleet.machine.says(&format!("journalctl --no-pager --output cat --unit {service}"));
            assert!(journal.contains(&format!("Failed with result '{result}'")), "{service}: {journal}");
        }
        assert_eq!(fleet.show(service, "NRestarts"), "2", "{service}");
    }
    fleet.takes_jobs();
    until("the jobs of before have succeeded", || {
        let succeeded = fleet.jobs("succeeded");
        waiting.iter().all(|id| succeeded.contains(id)).then_some(())
    });
}

fn a_reload_takes_what_can_be_used_and_refuses_the_rest(tree: &Path, packages: &Path) {
    let fleet = Fleet::of(tree, packages);
    let (unit, file) = ("orchestrator-collector", "/etc/orchestrator-collector/collector.toml");
    let process = fleet.show(unit, "MainPID");
    let names = || -> Vec<String> {
        let backends = fleet.backends();
        let ids = backends.as_array().into_iter().flatten().filter_map(|backend| backend["id"].as_str());
        ids.map(str::to_owned).collect()
    };
    let two = format!("{COLLECTOR}[[backend]]\nname = 'further'\nurl = 'http://127.0.0.1:8300'\n");
    fleet.machine.write(file, &two);
    fleet.machine.says("systemctl reload orchestrator-collector");
    until("the second backend is there", || (names().len() == 2).then_some(()));

    fleet.machine.write(file, &format!("{COLLECTOR}[[backend]]\nname = 'no address'\n"));
    let said = fleet.machine.run("systemctl reload orchestrator-collector");
    assert!(!said.success, "a broken configuration was taken");
    let refused = "orchestrator_collector_config_last_reload_successful 0";
    until("the metrics tell of it", || fleet.ask(8288, "/metrics").body.contains(refused).then_some(()));
    assert_eq!(names(), ["beside", "further"]);
    assert_eq!(fleet.show(unit, "ActiveState"), "active");

    // The agent reads its token again.
    fleet.machine.write("/etc/orchestrator-agent/token", "another-token-of-agents");
    fleet.machine.says("systemctl reload orchestrator-agent");
    until("the agent takes the new token", || {
        (fleet.ask_as("another-token-of-agents", 9188, "/metrics").status == Some(200)).then_some(())
    });
    assert_eq!(fleet.ask(9188, "/metrics").status, Some(401));
    assert_eq!(fleet.show(unit, "MainPID"), process);
}

/// The version of before is the same program in a package with a lower number: there is no earlier release.
fn an_upgrade_keeps_settings_and_jobs_that_wait(tree: &Path, packages: &Path) {
    let before = previous(packages);
    let fleet = Fleet::of(tree, before.path());
    let machine = &fleet.machine;
    machine.says("systemctl enable --now orchestrator-agent@9300");
    let running = fleet.submit(3);
    until("the first job runs", || fleet.jobs("dispatched").contains(&running).then_some(()));
    fleet.collector("drain beside");
    let waiting = [fleet.submit(0), fleet.submit(0)];
    let processes = SERVICES.map(|service| fleet.show(service, "MainPID"));
    let instance = fleet.show("orchestrator-agent@9300", "MainPID");

    machine.says("dpkg --install /packages/next/*.deb");
    for (service, process) in SERVICES.iter().zip(&processes) {
        assert_ne!(fleet.show(service, "MainPID"), *process, "{service} runs the old program");
        let version = machine.says(&format!("dpkg-query --show --showformat '${{Version}}' {service}"));
        assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
    }
    assert_ne!(fleet.show("orchestrator-agent@9300", "MainPID"), instance);
    assert_eq!(machine.says("cat /etc/orchestrator-collector/collector.toml"), COLLECTOR.trim_end());

    let still = fleet.jobs("waiting");
    assert!(waiting.iter().all(|id| still.contains(id)), "{waiting:?} are not {still:?}");
    fleet.collector("resume beside");
    until("all have succeeded", || (fleet.jobs("succeeded").len() == 3).then_some(()));
    // Each ran once: what the backend itself remembers.
    let history = Said::of(machine.beside(Path::new("bash")).args(["-c", HISTORY])).text;
    let history: Value = serde_json::from_str(history.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(history.as_object().unwrap().len(), 3, "{history}");
}

const HISTORY: &str =
    r"exec 3<>/dev/tcp/127.0.0.1/8200 && printf 'GET /history HTTP/1.0\r\n\r\n' >&3 && cat <&3";

fn what_is_removed_comes_back_and_what_is_purged_is_gone(tree: &Path, packages: &Path) {
    let fleet = Fleet::of(tree, packages);
    let machine = &fleet.machine;
    machine.says("systemctl enable --now orchestrator-agent@9300");
    let id = fleet.submit(0);
    until("the job has succeeded", || fleet.jobs("succeeded").contains(&id).then_some(()));

    machine.says("dpkg --remove orchestrator-agent orchestrator-collector");
    assert_eq!(machine.run("cat /proc/[0-9]*/comm | grep orchestrator").text, "");
    assert_eq!(machine.says("systemctl is-system-running"), "running");
    machine.says("dpkg --install /packages/*.deb");
    machine.says("systemctl start orchestrator-agent orchestrator-collector");
    fleet.takes_jobs();
    assert_eq!(fleet.jobs("succeeded"), [id]);

    machine.says("dpkg --purge orchestrator-agent orchestrator-collector");
    let left = machine.says("find / -xdev -name '*orchestrator*' -not -path '/var/log/*'");
    assert_eq!(left, "");
    assert_eq!(machine.says("systemctl list-units --all --plain --no-legend 'orchestrator*'"), "");
    assert_eq!(machine.says("systemctl is-system-running"), "running");
}

/// By the script for many hosts; what stands for ssh runs its command on the machine.
fn the_script_for_many_hosts_installs_and_stops_where_one_fails(tree: &Path, packages: &Path) {
    let machine = Machine::boot(tree, packages);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Another host than this one is not reached.
    let ssh = format!(
        "[ \"$1\" = root@{ADDRESS} ] && exec nsenter --target {} --all -- sh -c \"$2\"\n",
        machine.inside()
    );
    fs::write(path("ssh"), format!("#!/bin/sh\n{ssh}exit 255\n")).unwrap();
    fs::write(path("settings"), "ORCHESTRATOR_AGENT_LISTEN=0.0.0.0:9188\nORCHESTRATOR_AGENT_TOKEN_FILE=/etc/orchestrator-agent/token\n").unwrap();
    fs::write(path("token"), "the-token-of-the-agents\n").unwrap();
    fs::write(path("hosts"), format!("# ours\nroot@{ADDRESS}\n\nelsewhere   # away\nnever\n")).unwrap();
    let install = |more: &[&str]| {
        let mut script = machine.outside(root().join("packaging/hosts/install"));
        script.env("SSH", format!("sh {}", path("ssh").display()));
        script
            .arg("--package")
            .arg(listed(packages).into_iter().find(|file| file.to_string_lossy().contains("agent")).unwrap());
        script.arg("--settings").arg(path("settings")).arg("--token").arg(path("token"));
        Said::of(script.args(more).arg(path("hosts")))
    };
    let said = install(&["--dry-run"]);
    assert!(said.success && said.text.lines().count() == 3, "{}", said.text);
    assert!(!machine.run("dpkg --status orchestrator-agent").success, "it was installed");

    let said = install(&[]);
    assert!(!said.success && said.text.contains("elsewhere failed; 1 of 3 are done"), "{}", said.text);
    assert_eq!(machine.says("systemctl is-active orchestrator-agent"), "active");
    assert_eq!(machine.says("systemctl is-enabled orchestrator-agent"), "enabled");
    fs::write(path("hosts"), format!("root@{ADDRESS}\n")).unwrap();
    let said = install(&[]);
    assert!(said.success && said.text.ends_with("all 1 are done"), "{}", said.text);
    // Settings that cannot be used are left behind.
    fs::write(
        path("settings"),
        "ORCHESTRATOR_AGENT_LISTEN=nowhere\nORCHESTRATOR_AGENT_TOKEN_FILE=/etc/orchestrator-agent/token\n",
    )
    .unwrap();
    let said = install(&[]);
    assert!(!said.success && said.text.contains("failed; 0 of 1 are done"), "{}", said.text);
    assert!(machine.says("cat /etc/orchestrator-agent/agent.env").contains("0.0.0.0:9188"));
    assert_eq!(machine.says("systemctl is-active orchestrator-agent"), "active");
}
