use super::*;
use crate::route::Rule;

/// Chance that is the same at every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn is(&mut self, of_hundred: u64) -> bool {
        self.below(100) < of_hundred
    }
}

const MODELS: u64 = 6;

fn asset(number: u64) -> Asset {
    Asset { id: AssetId(number), gigabytes: [2.0, 7.0, 17.0][number as usize % 3] }
}

/// Model 0 is none.
fn kind(model: u64) -> Kind {
    let id = KindId(model);
    let signature = Signature { exact: id, models: id, main: id, work: None };
    Kind { id, assets: (model > 0).then(|| asset(model)).into_iter().collect(), signature }
}

/// A router with its clock, and the jobs that it was told of.
struct Fleet {
    router: Router,
    now: f64,
    tickets: u64,
    running: Vec<Option<f64>>,
}

impl Fleet {
    fn new(backends: usize) -> Self {
        let mut router = Router::new(Policy::default());
        for _ in 0..backends {
            let slot = router.add_slot(Slot::new(Memory::new(20.0, 40.0)));
            router.stand(slot, Standing::Idle);
        }
        Self { router, now: 0.0, tickets: 0, running: vec![None; backends] }
    }

    fn arrive(&mut self, model: u64, tenant: u64, priority: f64, may: impl Fn(SlotId) -> bool) -> Ticket {
        self.tickets += 1;
        let kind = Kind { id: KindId(model), ..kind(model % 100) };
        let id = kind.id;
        self.router.introduce(kind, may);
        let arrival = Arrival {
            ticket: Ticket(self.tickets),
            kind: id,
            tenant: TenantId(tenant),
            weight: 1.0,
            again: false,
            rank: Rank::new(false, priority),
            place: self.tickets as f64,
            arrived: self.now,
            deadline: None,
        };
        self.router.arrive(arrival, self.now);
        Ticket(self.tickets)
    }

    /// Lets time pass and ends what has ended by then.
    fn pass(&mut self, seconds: f64) {
        self.now += seconds;
        for (slot, running) in self.running.iter_mut().enumerate() {
            if running.is_some_and(|end| end <= self.now) {
                *running = None;
                self.router.stand(SlotId(slot as u32), Standing::Idle);
            }
        }
    }

    fn start(&mut self, given: &Given) {
        let Choice { slot, load_seconds, run_seconds, .. } = given.choice;
        let running = &mut self.running[slot.index()];
        assert!(running.is_none(), "{slot:?} was busy");
        *running = Some(self.now + load_seconds + run_seconds);
    }

    /// The decisions of this moment, as the collector asks for them.
    fn route_all(&mut self) -> Vec<Choice> {
        let given = self.router.route(self.now);
        given.iter().for_each(|given| self.start(given));
        given.into_iter().map(|given| given.choice).collect()
    }

    /// The decisions of this moment one by one, each shown to `look` before it is carried out.
    fn decide_all(&mut self, mut look: impl FnMut(&Self, &Choice)) {
        while let Some(choice) = self.router.decide(self.now) {
            look(self, &choice);
            let given = self.router.give(choice, self.now);
            self.start(&given);
        }
    }
}

/// Something happens to a fleet of up to five backends; half of all kinds may run on some backends only.
fn stir(fleet: &mut Fleet, draw: &mut Draw) {
    fleet.pass(draw.below(15) as f64);
    for _ in 0..draw.below(4) {
        let model = draw.below(MODELS + 1) + if draw.is(50) { 100 * draw.below(8) } else { 0 };
        let priority = [1.0, 1.0, 1.0, 2.0][draw.below(4) as usize];
        fleet.arrive(model, draw.below(4), priority, |slot| {
            model / 100 == 0 || (model / 100) >> (slot.0 % 3) & 1 == 1
        });
    }
    let slot = SlotId(draw.below(fleet.running.len() as u64) as u32);
    match draw.below(12) {
        0 => fleet.router.forget_memory(slot),
        1 => {
            fleet.running[slot.index()] = None;
            fleet.router.forget_memory(slot);
            fleet.router.stand(slot, Standing::Closed);
        }
        2 if fleet.running[slot.index()].is_none() => fleet.router.stand(slot, Standing::Idle),
        3 => fleet.router.withdraw(Ticket(draw.below(fleet.tickets + 1))),
        _ => {}
    }
}

fn many(mut run: impl FnMut(&mut Fleet, &mut Draw)) {
    for seed in 0..60 {
        let mut draw = Draw(seed);
        let mut fleet = Fleet::new(1 + draw.below(5) as usize);
        for _ in 0..150 {
            stir(&mut fleet, &mut draw);
            run(&mut fleet, &mut draw);
        }
    }
}

#[test]
fn a_job_goes_only_where_it_may_and_only_to_a_backend_that_is_idle() {
    many(|fleet, _| {
        fleet.decide_all(|fleet, choice| {
            assert!(fleet.router.waiting.get(choice.ticket).is_some(), "it waits");
            assert!(fleet.router.kinds[&choice.kind].may_run_on(choice.slot));
            assert_eq!(fleet.router.slots[choice.slot.index()].standing, Standing::Idle);
        });
    });
}

#[test]
fn no_job_waits_beside_an_idle_backend_that_may_run_it_unless_a_rule_says_so_by_name() {
    let mut left = 0;
    many(|fleet, _| {
        fleet.decide_all(|_, _| {});
        for ticket in (1..=fleet.tickets).map(Ticket) {
            for (slot, verdict) in fleet.router.explain(ticket, fleet.now) {
                let idle = fleet.router.slots[slot.index()].standing == Standing::Idle;
                match verdict {
                    Verdict::Closed | Verdict::Unfit => {}
                    Verdict::Busy { .. } => assert!(!idle),
                    Verdict::LeavesToHot { .. } | Verdict::LeavesToWarm { .. } => left += 1,
                    Verdict::TakesOther { .. } | Verdict::Takes { .. } | Verdict::Outranked => {
                        panic!("{ticket:?} waits beside {slot:?}: {verdict:?}")
                    }
                }
            }
        }
    });
    assert!(left > 0, "the rules were met");
}

#[test]
fn a_tenants_lesser_job_does_not_pass_a_greater_one_that_could_run_there() {
    let mut mixed = 0;
    many(|fleet, _| {
        fleet.decide_all(|fleet, choice| {
            let chosen = fleet.router.waiting.get(choice.ticket).expect("it waits").lane;
            for ticket in (1..=fleet.tickets).map(Ticket) {
                let Some(other) = fleet.router.waiting.get(ticket) else { continue };
                if other.lane.tenant != chosen.tenant || other.lane.rank <= chosen.rank {
                    continue;
                }
                mixed += 1;
                let verdicts = fleet.router.explain(ticket, fleet.now);
                let (_, verdict) =
                    verdicts.iter().find(|(slot, _)| *slot == choice.slot).expect("every backend");
                let passes = matches!(
                    verdict,
                    Verdict::Unfit | Verdict::LeavesToHot { .. } | Verdict::LeavesToWarm { .. }
                );
                assert!(passes, "{choice:?} passed {other:?}: {verdict:?}");
            }
        });
    });
    assert!(mixed > 0, "tenants had jobs of several ranks");
}

#[test]
fn the_same_events_give_the_same_decisions() {
    let course = || {
        let mut given = Vec::new();
        many(|fleet, _| {
            let best = fleet.router.decide(fleet.now);
            let round = fleet.router.route(fleet.now);
            assert!(best == round.first().map(|first| first.choice), "a round begins with the best decision");
            round.iter().for_each(|one| fleet.start(one));
            given.extend(round.into_iter().map(|one| one.choice));
        });
        given
    };
    let once = course();
    assert!(once.len() > 1000 && course() == once);
}

#[test]
fn what_is_left_to_a_backend_with_the_model_is_run_by_it_as_soon_as_it_is_idle() {
    let mut fleet = Fleet::new(2);
    fleet.arrive(2, 1, 1.0, |_| true);
    fleet.decide_all(|_, choice| assert_eq!(choice.rule, Rule::Cold));
    fleet.pass(30.0);
    let second = fleet.arrive(2, 1, 1.0, |_| true);
    let mut waited = 0.0;
    while fleet.router.waiting() > 0 {
        fleet.decide_all(|_, choice| assert_eq!((choice.slot, choice.rule), (SlotId(0), Rule::Hot)));
        if fleet.router.waiting() > 0 {
            let (_, verdict) = fleet.router.explain(second, fleet.now)[1];
            assert!(matches!(verdict, Verdict::LeavesToHot { slot: SlotId(0), .. }), "{verdict:?}");
        }
        fleet.pass(1.0);
        waited += 1.0;
    }
    assert!((2.0..25.0).contains(&waited), "{waited}");
}

/// However many jobs of loaded models there are. The bound is the README's.
#[test]
fn an_overdue_group_is_loaded_within_the_stated_time() {
    for seed in 0..40 {
        let mut draw = Draw(seed);
        let (backends, cold) = (1 + draw.below(4) as usize, 1 + draw.below(5));
        let mut fleet = Fleet::new(backends);
        let policy = Policy {
            overdue_seconds: 60.0 + draw.below(300) as f64,
            overdue_waits: 0.0,
            ..Policy::default()
        };
        fleet.router.policy = policy;
        fleet.arrive(1, 1, 1.0, |_| true);
        let lone: Vec<Ticket> = (2..2 + cold).map(|model| fleet.arrive(model, 2, 1.0, |_| true)).collect();
        let (load, run) = (0.5 + 1.5 * 17.0, 23.0);
        let turns = (cold as f64 / backends as f64).ceil();
        let bound =
            policy.overdue_seconds + run + load + turns * ((1.0 + policy.hot_budget) * load + 2.0 * run);
        while lone.iter().any(|ticket| fleet.router.waiting.get(*ticket).is_some()) {
            while fleet.router.waiting() < 40 {
                fleet.arrive(1, 1, 1.0, |_| true);
            }
            fleet.decide_all(|_, _| {});
            fleet.pass(1.0);
            assert!(
                fleet.now <= bound,
                "seed {seed}: a group waits since {} s, and the bound is {bound} s",
                fleet.now
            );
        }
    }
}

#[test]
fn a_group_whose_model_is_only_where_it_may_not_run_is_overdue_like_any_other() {
    let mut fleet = Fleet::new(2);
    let policy = Policy { overdue_seconds: 60.0, overdue_waits: 0.0, ..Policy::default() };
    fleet.router.policy = policy;
    fleet.router.use_models(SlotId(1), &[asset(2)]);
    fleet.router.stand(SlotId(1), Standing::Busy { since: 0.0, until: 1e9 });
    fleet.arrive(1, 1, 1.0, |_| true);
    fleet.decide_all(|_, _| {});
    let lone = fleet.arrive(102, 2, 1.0, |slot| slot == SlotId(0));
    let (load, run) = (0.5 + 1.5 * 17.0, 23.0);
    let bound = policy.overdue_seconds + run + load + (1.0 + policy.hot_budget) * load + 2.0 * run;
    while fleet.router.waiting.get(lone).is_some() {
        while fleet.router.waiting() < 40 {
            fleet.arrive(1, 1, 1.0, |_| true);
        }
        fleet.decide_all(|_, _| {});
        fleet.pass(1.0);
        assert!(fleet.now <= bound, "it waits since {} s, and the bound is {bound} s", fleet.now);
    }
}

#[test]
fn a_film_leaves_backends_to_pictures_and_takes_one_that_would_idle() {
    let mut fleet = Fleet::new(4);
    let (film, picture) = (kind(1), kind(2));
    for _ in 0..5 {
        fleet.router.learn_run(SlotId(0), &film, 300.0);
        fleet.router.learn_run(SlotId(0), &picture, 10.0);
    }
    for _ in 0..8 {
        fleet.arrive(1, 1, 100.0, |_| true);
    }
    for _ in 0..3 {
        fleet.arrive(2, 2, 1.0, |_| true);
    }
    let given = fleet.route_all();
    assert_eq!(given.iter().filter(|choice| choice.kind == KindId(1)).count(), 3, "{given:?}");
    let mut alone = Fleet::new(2);
    alone.router.runs = fleet.router.runs.clone();
    for _ in 0..2 {
        alone.arrive(1, 1, 1.0, |_| true);
    }
    let mut given = 0;
    alone.decide_all(|_, _| given += 1);
    assert_eq!(given, 2, "no picture waits");
}

#[test]
fn a_load_that_takes_as_long_as_from_the_disk_shows_that_nothing_was_where_it_was_believed() {
    let mut router = Fleet::new(1).router;
    router.change_memory(SlotId(0), |memory| memory.use_all(&[asset(1), asset(3)]));
    let held =
        |router: &Router| [1, 3].map(|model| router.slots[0].memory.tier(AssetId(model)) == Tier::Vram);
    assert_eq!(held(&router), [true, true]);
    router.learn_load(SlotId(0), &[(asset(3), Tier::Vram)], 0.3);
    assert_eq!(held(&router), [true, true], "a moment is no load");
    router.learn_load(SlotId(0), &[(asset(3), Tier::Vram)], 3.0);
    assert_eq!(held(&router), [false, true]);
    assert_eq!(router.holders.len(), 1);
}

#[test]
fn a_slow_backend_is_told_from_long_jobs() {
    let mut router = Router::new(Policy::default());
    for _ in 0..2 {
        router.add_slot(Slot::new(Memory::new(20.0, 40.0)));
    }
    for round in 0..400 {
        let seconds = if round % 3 == 0 { 5.0 } else { 20.0 };
        let job = kind(if round % 3 == 0 { 1 } else { 2 });
        router.learn_run(SlotId(0), &job, seconds);
        router.learn_run(SlotId(1), &job, seconds / 2.0);
    }
    let ratio = router.slots[1].speed / router.slots[0].speed;
    assert!((1.8..2.2).contains(&ratio), "{ratio}");
    let ratio = router.run_seconds(&kind(2).signature) / router.run_seconds(&kind(1).signature);
    assert!((3.6..4.4).contains(&ratio), "{ratio}");
}
