//! GPU performance monitoring: metrics between two samples. One metric is known, how busy the tensor cores are, and
//! it is what the control file said when the second sample was taken.

use nvml_wrapper_sys::bindings::{
    NVML_GPM_METRICS_GET_VERSION, NVML_GPM_SUPPORT_VERSION, nvmlDevice_t, nvmlGpmMetric_t,
    nvmlGpmMetricId_t_NVML_GPM_METRIC_ANY_TENSOR_UTIL as TENSOR_ACTIVE, nvmlGpmMetricsGet_t, nvmlGpmSample_t,
    nvmlGpmSupport_t, nvmlReturn_t,
};

use super::place::Versioned;
use super::{code, gpu, pointer, symbols, system};
use crate::failure::{Answer, Failure, known};
use crate::gate;
use crate::gpu::Gpu;
use crate::session::session;

symbols! {
    nvmlGpmQueryDeviceSupport(handle: nvmlDevice_t, support: *mut nvmlGpmSupport_t) =
        gpu(handle, Versioned(support, NVML_GPM_SUPPORT_VERSION), |gpu| Ok(support_of(gpu)));
    nvmlGpmSampleAlloc(sample: *mut nvmlGpmSample_t) =
        system(sample, |_| Ok(pointer(session().samples.add(None))));
    nvmlGpmSampleFree(sample: nvmlGpmSample_t) = system((), |_| session().samples.free(sample.addr()));
    nvmlGpmSampleGet(handle: nvmlDevice_t, sample: nvmlGpmSample_t) =
        gpu(handle, (), |gpu| take(gpu, sample));
    nvmlGpmMetricsGet(asked: *mut nvmlGpmMetricsGet_t) = metrics(asked);
}

fn support_of(gpu: &Gpu) -> nvmlGpmSupport_t {
    nvmlGpmSupport_t {
        version: NVML_GPM_SUPPORT_VERSION,
        isSupportedDevice: gpu.tensor_active_percent.is_some().into(),
    }
}

fn take(gpu: &Gpu, sample: nvmlGpmSample_t) -> Answer<()> {
    let percent = known(gpu.tensor_active_percent)?;
    *session().samples.get(sample.addr())? = Some(percent);
    Ok(())
}

/// # Errors
/// `INVALID_ARGUMENT`: nothing was ever measured into it.
fn taken(sample: nvmlGpmSample_t) -> Answer<f64> {
    session().samples.get(sample.addr())?.ok_or(Failure::InvalidArgument)
}

/// # Safety
/// Null or valid, with room for as many metrics as it says.
unsafe fn metrics(symbol: &str, asked: *mut nvmlGpmMetricsGet_t) -> nvmlReturn_t {
    // SAFETY: as the caller promises.
    code(gate::enter(symbol).and_then(|_| unsafe { fill(asked) }))
}

/// # Safety
/// Null or valid, with room for as many metrics as it says.
unsafe fn fill(asked: *mut nvmlGpmMetricsGet_t) -> Answer<()> {
    if asked.is_null() {
        return Err(Failure::InvalidArgument);
    }
    // SAFETY: not null. Only single fields are read: how long the table at the end is depends on the caller's header.
    let (version, count, samples) =
        unsafe { ((*asked).version, (*asked).numMetrics, ((*asked).sample1, (*asked).sample2)) };
    if version != NVML_GPM_METRICS_GET_VERSION {
        return Err(Failure::ArgumentVersionMismatch);
    }
    taken(samples.0)?;
    let tensor_active = taken(samples.1)?;
    // SAFETY: a field's place in a valid struct.
    let first = unsafe { &raw mut (*asked).metrics }.cast::<nvmlGpmMetric_t>();
    for index in 0..count {
        // SAFETY: the caller has room for so many metrics, and nobody else uses them during the call.
        answer_metric(unsafe { &mut *first.add(index as usize) }, tensor_active);
    }
    Ok(())
}

fn answer_metric(metric: &mut nvmlGpmMetric_t, tensor_active: f64) {
    metric.nvmlReturn = match metric.metricId {
        TENSOR_ACTIVE => {
            metric.value = tensor_active;
            0
        }
        _ => Failure::NotSupported.code(),
    };
}
