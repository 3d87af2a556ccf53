//! What the library is to the loader and to C callers.

#![allow(unsafe_code, reason = "a C interface, called wrongly on purpose")]
#![allow(clippy::unwrap_used, reason = "support of tests: whatever goes wrong here fails the test")]

mod raw;

use std::ffi::{CStr, c_char};
use std::fs;
use std::process::Command;
use std::ptr::null_mut;

use nvml_wrapper_sys::bindings::{
    nvmlMemory_v2_t, nvmlProcessInfo_t, nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH as VERSION,
    nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as SIZE,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_UNINITIALIZED as UNINITIALIZED,
};
use raw::Raw;
use sim_nvml::{Control, Driver, Process, RemappedRows};

fn control() -> Control {
    Control::new(&Driver::with_gpus(2)).unwrap()
}

fn is_mapped(control: &Control) -> bool {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.contains(control.folder().to_str().unwrap())
}

#[test]
fn nothing_of_it_stays_mapped_when_it_is_let_go_of() {
    let control = control();
    let raw = Raw::open(&control);
    let device = raw.device(0);
    raw.memory_v1(device);
    // SAFETY: a valid handle, and a null pointer, which is refused.
    assert_eq!(unsafe { raw.0.nvmlDeviceGetPowerUsage(device, null_mut()) }, ARGUMENT);
    let mut set = null_mut();
    // SAFETY: a valid place for a handle.
    assert_eq!(unsafe { raw.0.nvmlEventSetCreate(&raw mut set) }, 0);
    // A control file that cannot be parsed takes the longest way through the library.
    fs::write(control.file(), "{").unwrap();
    // SAFETY: takes nothing but a place that is null.
    assert_eq!(unsafe { raw.0.nvmlDeviceGetCount_v2(null_mut()) }, 999);
    control.change(|_| ()).unwrap();
    assert!(is_mapped(&control));
    drop(raw);
    assert!(!is_mapped(&control));
}

#[test]
fn it_may_be_used_from_a_thread_that_ends_and_is_unmapped_all_the_same() {
    let control = control();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(Raw::open(&control)));
    });
    assert!(!is_mapped(&control));
}

#[test]
fn nothing_is_answered_before_it_is_opened_and_after_it_was_closed_as_often() {
    let control = control();
    let raw = Raw::load(&control);
    let count = || {
        let mut count = 0;
        // SAFETY: a valid place.
        unsafe { raw.0.nvmlDeviceGetCount_v2(&raw mut count) }
    };
    // SAFETY: these take nothing.
    let (open, close) = (|| unsafe { raw.0.nvmlInit_v2() }, || unsafe { raw.0.nvmlShutdown() });
    assert_eq!((count(), close()), (UNINITIALIZED, UNINITIALIZED));
    assert_eq!((open(), open(), count()), (0, 0, 0));
    assert_eq!((close(), count()), (0, 0));
    assert_eq!((close(), count(), close()), (0, UNINITIALIZED, UNINITIALIZED));
    let calls = control.calls();
    assert_eq!((calls.len(), calls.last().map(String::as_str)), (10, Some("nvmlShutdown")));
}

#[test]
fn a_memory_struct_of_another_version_is_refused() {
    let control = control();
    let raw = Raw::open(&control);
    let mut memory = nvmlMemory_v2_t { version: 1, total: 0, reserved: 0, free: 0, used: 0 };
    let mut ask = |version| {
        memory.version = version;
        // SAFETY: a valid place of the size that the call expects.
        unsafe { raw.0.nvmlDeviceGetMemoryInfo_v2(raw.device(0), &raw mut memory) }
    };
    assert_eq!((ask(1), ask(0x0200_0028)), (VERSION, 0));
}

#[test]
fn a_table_or_a_buffer_that_is_too_small_is_not_overrun() {
    let control = control();
    let row = |pid| Process { pid, used_bytes: None };
    control.change(|driver| driver.gpus[0].compute_processes = vec![row(1), row(2)]).unwrap();
    let raw = Raw::open(&control);
    let device = raw.device(0);
    let mut rows =
        [nvmlProcessInfo_t { pid: 77, usedGpuMemory: 0, gpuInstanceId: 0, computeInstanceId: 0 }; 2];
    let mut ask = |mut count: u32| {
        // SAFETY: two rows, of which the call is offered fewer or all.
        let result = unsafe {
            raw.0.nvmlDeviceGetComputeRunningProcesses_v3(device, &raw mut count, rows.as_mut_ptr())
        };
        (result, count, rows[0].pid)
    };
    assert_eq!([ask(0), ask(1), ask(2)], [(SIZE, 2, 77), (SIZE, 2, 77), (0, 2, 1)]);

    let mut name: [c_char; 32] = [1; 32];
    // SAFETY: a buffer at least as long as the call is told.
    let mut ask = |length| unsafe { raw.0.nvmlDeviceGetName(device, name.as_mut_ptr(), length) };
    assert_eq!((ask(23), ask(24)), (SIZE, 0));
    // SAFETY: the call has ended the text with a zero.
    assert_eq!(unsafe { CStr::from_ptr(name.as_ptr()) }, c"NVIDIA GeForce RTX 4090");
    assert_eq!(name[24], 1);
}

#[test]
fn rows_that_were_replaced_are_told_by_their_cause() {
    let control = control();
    let rows = RemappedRows { correctable: 5, uncorrectable: 6, pending: true, failed: false };
    control.change(|driver| driver.gpus[0].remapped_rows = Some(rows)).unwrap();
    let raw = Raw::open(&control);
    let mut told = [9; 4];
    let [correctable, uncorrectable, pending, failed] = told.each_mut().map(|place| &raw mut *place);
    let device = raw.device(0);
    // SAFETY: four valid places.
    let result =
        unsafe { raw.0.nvmlDeviceGetRemappedRows(device, correctable, uncorrectable, pending, failed) };
    assert_eq!((result, told), (0, [5, 6, 1, 0]));
}

#[test]
fn null_and_foreign_handles_are_refused() {
    let control = control();
    let raw = Raw::open(&control);
    let mut power = 0;
    // SAFETY: handles are never followed, and the other pointers are null or valid.
    unsafe {
        assert_eq!(raw.0.nvmlDeviceGetPowerUsage(null_mut(), &raw mut power), ARGUMENT);
        assert_eq!(
            raw.0.nvmlDeviceGetPowerUsage(std::ptr::without_provenance_mut(40), &raw mut power),
            ARGUMENT
        );
        assert_eq!(raw.0.nvmlEventSetWait_v2(null_mut(), null_mut(), 0), ARGUMENT);
        assert_eq!(raw.0.nvmlDeviceGetHandleByUUID(std::ptr::null(), null_mut()), ARGUMENT);
        assert_eq!(raw.0.nvmlGpmMetricsGet(null_mut()), ARGUMENT);
        assert_eq!(CStr::from_ptr(raw.0.nvmlErrorString(15)), c"GPU is lost");
    }
}

#[test]
fn a_child_process_obeys_the_file_that_its_environment_names() {
    let (installed, commanding) = (control(), control());
    commanding.change(|driver| driver.cuda_version = 11_080).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", CHILD])
        .envs(commanding.environment())
        .env("LD_LIBRARY_PATH", installed.folder())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("CUDA 11080"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(commanding.calls().iter().any(|call| call == "nvmlSystemGetCudaDriverVersion_v2"));
    assert_eq!(installed.calls(), Vec::<String>::new());
}

const CHILD: &str = "tell_the_cuda_version_of_the_library_that_the_loader_finds";

#[test]
#[ignore = "run by another test, as a process of its own"]
fn tell_the_cuda_version_of_the_library_that_the_loader_finds() {
    let nvml = nvml_wrapper::Nvml::builder().lib_path("libnvidia-ml.so.1".as_ref()).init().unwrap();
    println!("CUDA {}", nvml.sys_cuda_driver_version().unwrap());
}
