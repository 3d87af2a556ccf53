//! `/view`: how many pictures of 1 MiB come through a second, with as many connections that each ask for the next one when
//! they have one.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::Flow;
use super::site::{Site, Way};
use crate::client::Connection;
use crate::figures::micros;
use crate::load::{Load, WARM_UP};
use crate::{stage, usage};

pub(super) const CONNECTIONS: usize = 8;
pub(super) const BYTES: usize = 1 << 20;
const NAME: &str = "picture.png";

/// Puts the picture into the output folder of every server.
pub(super) fn put(site: &Site) -> Result<()> {
    // What it shows matters to nobody: it is passed on as it is.
    let picture: Vec<u8> = (0..BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for server in Way::ALL.iter().flat_map(|way| site.servers(*way)) {
        let mut connection = Connection::open(stage::address(server)?)?;
        connection.upload(NAME, "output", &picture)?.ok()?;
    }
    Ok(())
}

pub(super) fn measure(site: &Site, way: Way, length: Duration) -> Result<Flow> {
    let address = site.address(way, 0)?;
    // The collector's documents name the backend in the subfolder.
    let subfolder = if way == Way::Collector { "s0" } else { "" };
    let path = format!("/view?filename={NAME}&subfolder={subfolder}&type=output");
    let between = site.between(way)?;
    let (warm, over) = (Barrier::new(CONNECTIONS + 1), Barrier::new(CONNECTIONS + 1));
    thread::scope(|scope| {
        let worker = |_| {
            let (path, warm, over) = (&path, &warm, &over);
            scope.spawn(move || {
                let load = Load::open(address, path, 1).and_then(|mut load| {
                    load.keep_up(WARM_UP)?;
                    Ok(load)
                });
                warm.wait();
                let loaded = load.and_then(|mut load| Ok((load.keep_up(length)?, load)));
                over.wait();
                let (pictures, mut load) = loaded?;
                load.drain()?;
                Ok::<u64, anyhow::Error>(pictures)
            })
        };
        let workers: Vec<_> = (0..CONNECTIONS).map(worker).collect();
        warm.wait();
        let (before, began) = (usage::cpu_of_all(&between), Instant::now());
        over.wait();
        let (elapsed, after) = (began.elapsed(), usage::cpu_of_all(&between));
        let pictures =
            workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a client was lost"))?);
        let pictures: u64 =
            pictures.sum::<Result<_>>().with_context(|| format!("pictures, {}", way.name()))?;
        let cpu = after?.saturating_sub(before?);
        Ok(Flow {
            a_second: pictures as f64 / elapsed.as_secs_f64(),
            cpu_us: (!between.is_empty()).then(|| micros(cpu) / pictures as f64),
            bytes: BYTES as f64,
            arrived: None,
        })
    })
}
