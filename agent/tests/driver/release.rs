//! `POST /-/release`.

use sim_nvml::Driver;

use super::Rig;

fn maps(rig: &Rig) -> String {
    std::fs::read_to_string(format!("/proc/{}/maps", rig.agent.pid())).unwrap()
}

#[test]
fn the_driver_is_let_go_of_for_as_long_as_was_asked() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    rig.ready();
    let answer = rig.agent.ask("POST", "/-/release?seconds=600");
    assert_eq!((answer.status, answer.body.as_str()), (200, "NVML is let go of for 600 s\n"));
    assert!(!maps(&rig).contains("libnvidia-ml"));
    assert_eq!(rig.calls("nvmlShutdown"), 1);
    rig.reason_until("released");
    assert_eq!(rig.agent.ask("POST", "/-/release?seconds=0").status, 200);
    rig.ready();
    assert_eq!(rig.calls("nvmlInit_v2"), 2);
}

#[test]
fn a_release_ends_by_itself() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    rig.ready();
    assert_eq!(rig.agent.ask("POST", "/-/release?seconds=1").status, 200);
    // How soon is not looked at: on a busy machine it may have ended before anybody can look.
    rig.agent.ask_until("/-/healthy", |_| rig.calls("nvmlInit_v2") == 2);
    assert_eq!(rig.calls("nvmlShutdown"), 1);
    rig.ready();
}

#[test]
fn a_driver_that_hangs_cannot_be_let_go_of_and_the_answer_says_so() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    rig.ready();
    rig.change(|driver| _ = driver.hang.insert("*".into()));
    rig.agent.ask_until("/-/healthy", |_| rig.control.calls().iter().any(|call| call.starts_with("hanging")));
    let answer = rig.agent.ask("POST", "/-/release");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("hangs"), "{}", answer.body);
    rig.change(|driver| driver.hang.clear());
    rig.reason_until("released");
}

#[test]
fn a_wish_that_makes_no_sense_is_refused() {
    let rig = Rig::start(&Driver::with_gpus(1), &[]);
    for wish in
        ["seconds=3601", "seconds=-1", "seconds=soon", "seconds=", "second=600", "seconds=1&seconds=2"]
    {
        let refused = rig.agent.ask("POST", &format!("/-/release?{wish}"));
        assert_eq!(refused.status, 400, "{wish}");
        assert!(refused.body.contains("?seconds=60"), "{wish} {}", refused.body);
    }
    assert_eq!(rig.agent.ask("GET", "/-/release").status, 405);
    rig.ready();
}
