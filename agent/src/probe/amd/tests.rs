use report::Gpu;
use serde_json::Value;

use super::*;
use crate::probe::{GpuProcess, GpuReading};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/amd")
}

fn probe(root: &Path) -> AmdProbe {
    AmdProbe::new(root, &data().join("amdgpu.ids"))
}

fn fixture(name: &str) -> AmdProbe {
    probe(&data().join(name).join("sys"))
}

fn readings(probe: &mut AmdProbe, now: Instant) -> Vec<GpuReading> {
    match probe.read(now).unwrap() {
        Reading::Gpus(gpus) => gpus.gpus,
        other => panic!("{other:?}"),
    }
}

fn gpus(probe: &mut AmdProbe, now: Instant) -> Vec<Gpu> {
    readings(probe, now).into_iter().map(|reading| reading.gpu).collect()
}

/// A card of few words in a sysfs of its own.
fn write_card(root: &Path, card: &str, slot: &str, unique_id: &str) {
    let device = root.join("class/drm").join(card).join("device");
    std::fs::create_dir_all(device.join("power")).unwrap();
    let files = [
        ("vendor", "0x1002\n"),
        ("device", "0x744c\n"),
        ("revision", "0xc8\n"),
        ("uevent", &format!("DRIVER=amdgpu\nPCI_SLOT_NAME={slot}\n")),
        ("unique_id", &format!("{unique_id}\n")),
        ("gpu_busy_percent", "50\n"),
        ("power/runtime_status", "active\n"),
    ];
    for (name, text) in files {
        std::fs::write(device.join(name), text).unwrap();
    }
}

#[test]
fn every_kind_of_card_is_told_by_what_it_has() {
    for name in ["rx7900xtx", "mi300x", "apu", "suspended", "broken"] {
        let expected = std::fs::read_to_string(data().join(name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_str(&expected).unwrap();
        let told = serde_json::to_value(gpus(&mut fixture(name), Instant::now())).unwrap();
        assert_eq!(told, expected, "{name}: {told:#}");
    }
}

#[test]
fn who_computes_on_a_card_is_told_with_all_that_its_parts_hold() {
    let readings = readings(&mut fixture("mi300x"), Instant::now());
    let processes: Vec<_> = readings.into_iter().map(|reading| reading.processes).collect();
    let process = |pid, bytes| vec![GpuProcess { pid, used_bytes: Some(bytes) }];
    assert_eq!(processes, [process(4711, 150_994_944_000), process(4712, 268_435_456)]);
}

#[test]
fn what_is_read_more_seldom_says_when_it_was_read() {
    let (mut probe, start) = (fixture("mi300x"), Instant::now());
    readings(&mut probe, start);
    for (seconds, medium, slow) in [(4, 0, 0), (5, 5, 0), (60, 60, 60)] {
        let now = start + Duration::from_secs(seconds);
        let tiers = &readings(&mut probe, now)[0].tiers;
        let expected =
            [("5s", medium), ("60s", slow)].map(|(tier, at)| (tier, start + Duration::from_secs(at)));
        assert_eq!(tiers, &expected.into(), "after {seconds} s");
    }
}

#[test]
fn a_host_without_cards_is_no_failure_and_is_looked_at_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let (mut probe, start) = (probe(folder.path()), Instant::now());
    assert_eq!(gpus(&mut probe, start), []);
    assert_eq!(probe.pause(), AMD_ABSENT_PERIOD);

    write_card(folder.path(), "card0", "0000:03:00.0", "aa");
    assert_eq!(gpus(&mut probe, start + AMD_ABSENT_PERIOD).len(), 1);
    assert_eq!(probe.pause(), READ_PERIOD);
}

#[test]
fn a_card_that_vanishes_stays_down_until_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    write_card(folder.path(), "card0", "0000:03:00.0", "aa");
    write_card(folder.path(), "card1", "0000:83:00.0", "bb");
    let (mut probe, start) = (probe(folder.path()), Instant::now());
    let mut states = |seconds| -> Vec<_> {
        let gpus = gpus(&mut probe, start + Duration::from_secs(seconds)).into_iter();
        gpus.map(|gpu| (gpu.uuid.unwrap(), gpu.up.unwrap())).collect()
    };
    let state = |uuid: &str, up| (uuid.to_owned(), up);
    assert_eq!(states(0), [state("GPU-aa", true), state("GPU-bb", true)]);
    std::fs::remove_dir_all(folder.path().join("class/drm/card0")).unwrap();
    assert_eq!(states(5), [state("GPU-bb", true), state("GPU-aa", false)]);
    write_card(folder.path(), "card2", "0000:03:00.0", "aa");
    assert_eq!(states(10), [state("GPU-aa", true), state("GPU-bb", true)]);
}

#[test]
fn cards_are_found_through_links_as_sysfs_has_them() {
    let folder = tempfile::tempdir().unwrap();
    write_card(folder.path(), "card0", "0000:03:00.0", "aa");
    let class = folder.path().join("class/drm");
    let (devices, card) = (folder.path().join("devices/pci0000:00"), class.join("card0"));
    std::fs::create_dir_all(&devices).unwrap();
    std::fs::rename(card.join("device"), devices.join("0000:03:00.0")).unwrap();
    std::fs::remove_dir(&card).unwrap();
    let drm = devices.join("0000:03:00.0/drm/card0");
    std::fs::create_dir_all(&drm).unwrap();
    std::os::unix::fs::symlink("../..", drm.join("device")).unwrap();
    std::os::unix::fs::symlink("../../devices/pci0000:00/0000:03:00.0/drm/card0", &card).unwrap();

    let gpus = gpus(&mut probe(folder.path()), Instant::now());
    assert_eq!((gpus[0].uuid.as_deref(), gpus[0].utilization_ratio), (Some("GPU-aa"), Some(0.5)));
}

#[test]
fn a_card_that_falls_asleep_keeps_no_old_figures() {
    let folder = tempfile::tempdir().unwrap();
    write_card(folder.path(), "card0", "0000:03:00.0", "aa");
    let device = folder.path().join("class/drm/card0/device");
    std::fs::write(device.join("current_link_width"), "16\n").unwrap();
    let (mut probe, start) = (probe(folder.path()), Instant::now());
    assert_eq!(gpus(&mut probe, start)[0].pcie_link_width, Some(16));
    std::fs::write(device.join("power/runtime_status"), "suspended\n").unwrap();
    let asleep = readings(&mut probe, start + READ_PERIOD);
    let gpu = &asleep[0].gpu;
    assert_eq!((gpu.up, gpu.utilization_ratio, gpu.pcie_link_width), (Some(true), None, None));
    assert!(asleep[0].tiers.is_empty());
}
