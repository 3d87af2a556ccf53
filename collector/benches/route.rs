//! What a decision costs: one backend has ended its job, and takes the next of those that wait. Between decisions jobs come and
//! backends end theirs, so that no two decisions meet the same queue.
//!
//! `cargo bench -p collector --bench route`; figures in `docs/benchmarks.md`. Besides criterion's means it prints percentiles.

use std::time::{Duration, Instant};

use collector::route::key::{AssetId, KindId, SlotId, TenantId, Ticket};
use collector::route::{Arrival, Asset, Kind, Memory, Policy, Rank, Router, Signature, Slot, Standing};
use criterion::Criterion;

/// Jobs that wait, and backends.
const SIZES: [(u32, u32); 3] = [(100, 8), (1000, 64), (20_000, 1000)];
const CHECKPOINTS: u64 = 200;
const LORAS: u64 = 300;
const TENANTS: u64 = 400;
/// Decisions of which the percentiles are told.
const DECISIONS: usize = 20_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (waiting, backends) in SIZES {
        let mut fleet = Fleet::new(waiting, backends);
        let id = format!("decision/{waiting} waiting, {backends} backends");
        criterion.bench_function(&id, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| fleet.turn()).sum());
        });
        let mut times: Vec<Duration> = (0..DECISIONS).map(|_| fleet.turn()).collect();
        times.sort_unstable();
        let percentile = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        println!(
            "{id}: p50 {:?}, p99 {:?}, max {:?}",
            percentile(50),
            percentile(99),
            times.last().copied().unwrap_or_default()
        );
    }
    criterion.final_summary();
}

struct Fleet {
    router: Router,
    backends: u32,
    now: f64,
    arrived: u64,
    chance: u64,
}

impl Fleet {
    /// A while after its start: every backend has run some jobs, and holds their models.
    fn new(waiting: u32, backends: u32) -> Self {
        let mut fleet =
            Self { router: Router::new(Policy::default()), backends, now: 0.0, arrived: 0, chance: 1 };
        for _ in 0..backends {
            let slot = fleet.router.add_slot(Slot::new(Memory::new(20.4, 64.0)));
            fleet.router.stand(slot, Standing::Idle);
        }
        (0..waiting).for_each(|_| fleet.arrive());
        fleet.router.route(fleet.now);
        for _ in 0..30 * backends {
            fleet.turn();
        }
        while fleet.router.waiting() < waiting as usize {
            fleet.arrive();
        }
        fleet
    }

    /// A backend ends its job and takes another; what the decision took.
    fn turn(&mut self) -> Duration {
        self.now += 12.0 / f64::from(self.backends);
        self.arrive();
        let slot = SlotId(self.draw(self.backends.into()) as u32);
        self.router.stand(slot, Standing::Idle);
        let start = Instant::now();
        let choice = std::hint::black_box(self.router.decide(self.now));
        let took = start.elapsed();
        let given = self.router.route(self.now);
        assert!(choice.is_some() && given.len() == 1, "one backend was idle, and jobs wait");
        took
    }

    fn arrive(&mut self) {
        let checkpoint = self.popular(CHECKPOINTS);
        let lora = (self.draw(5) == 0).then(|| CHECKPOINTS + self.popular(LORAS));
        let tenant = TenantId(self.popular(TENANTS));
        let asset = |number: u64| Asset {
            id: AssetId(number),
            gigabytes: match (number < CHECKPOINTS, number % 4) {
                (false, _) => 0.3,
                (true, 0) => 2.1,
                (true, 3) => 17.0,
                (true, _) => 6.9,
            },
        };
        let models: Vec<u64> = std::iter::once(checkpoint).chain(lora).collect();
        let id = KindId(models.iter().fold(1, |id, number| id * 1000 + number));
        let signature = Signature { exact: id, models: id, main: KindId(checkpoint), work: None };
        self.router
            .introduce(Kind { id, assets: models.into_iter().map(asset).collect(), signature }, |_| true);
        self.arrived += 1;
        let arrival = Arrival {
            ticket: Ticket(self.arrived),
            kind: id,
            tenant,
            weight: 1.0,
            again: false,
            rank: Rank::new(false, 1.0),
            place: self.arrived as f64,
            arrived: self.now,
            deadline: None,
        };
        self.router.arrive(arrival, self.now);
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) % below
    }

    /// Small numbers much more often than large ones.
    fn popular(&mut self, below: u64) -> u64 {
        let (one, other) = (self.draw(below), self.draw(below) + 1);
        one * other / below * other / below
    }
}
