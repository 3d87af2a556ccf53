use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::id::JobId;
use crate::route::tests::{NOW, book, busy, changed, given, idle, job, waiting};
use crate::tenant::{Accounts, Allowance, GpuTime, Tenants};

fn turn(number: u64, front: bool) -> Turn {
    (Reverse(Rank::new(front, 1.0)), Place::new(None, front, number), Ticket(number))
}

#[test]
fn the_first_are_shown_and_nobody_is_moved_without_need() {
    let mut turns = Turns { kept: [3, 1, 2].map(|number| turn(number, false)).into(), ..Turns::default() };
    let mut settled = |most, comes: Option<Turn>| {
        turns.kept.extend(comes);
        let numbers = |tickets: Vec<Ticket>| tickets.iter().map(|ticket| ticket.0).collect::<Vec<_>>();
        let (hidden, shown) = turns.settle(most);
        format!("{:?} {:?}", numbers(hidden), numbers(shown))
    };
    assert_eq!(settled(2, None), "[] [1, 2]");
    assert_eq!(settled(2, None), "[] []");
    assert_eq!(settled(2, Some(turn(4, true))), "[2] [4]");
    assert_eq!(settled(0, None), "[1, 4] []");
    assert_eq!(settled(9, None), "[] [4, 1, 2, 3]");
    assert_eq!(settled(9, Some(turn(5, true))), "[] [5]");
    assert_eq!(settled(9, None), "[] []");
}

/// Where only this owner has an allowance: what it has while so many of its jobs run.
fn accounts(owner: &str, allowance: Allowance) -> impl Fn(usize) -> Accounts {
    let tenants = Arc::new(Tenants::of([(owner.to_owned(), allowance)]));
    move |running| {
        let (running, used) = ([(owner.to_owned(), running)].into(), [(owner.to_owned(), HOUR)].into());
        Accounts::new(Arc::clone(&tenants), running, used)
    }
}

const HOUR: Duration = Duration::from_hours(1);

fn given_jobs(book: &mut Book) -> Vec<JobId> {
    book.route(usize::MAX, NOW).iter().map(|assignment| assignment.job).collect()
}

fn owned(owner: &str, arrival: u64) -> Arc<Job> {
    changed(&job(arrival, "m"), |job| job.owner = Some(owner.to_owned()))
}

#[test]
fn an_owner_gets_no_more_than_it_may_and_whoever_stands_behind_it_is_not_held_up() {
    let jobs = [owned("anna", 1), owned("anna", 2), owned("bob", 3), job(4, "m")];
    let fleet = ["a", "b", "c", "d"].map(|name| idle(name, &["m"]));
    let one = Allowance { max_running: Some(1), ..Allowance::default() };
    let mut book = book(&fleet, &jobs);
    let granted = accounts("anna", one);
    book.see_accounts(granted(0), NOW);
    book.see(fleet.to_vec(), [], NOW);
    let words = "its token runs as many jobs as it may (1)";
    let foreseen = book.forecast(&jobs, NOW);
    assert_eq!(
        foreseen.last().map(|last| (last.job, last.outlook.to_string())),
        Some((jobs[1].id, words.into()))
    );
    let given = given(&mut book, &jobs);
    assert_eq!(given[1], "-");
    assert!([0, 2, 3].iter().all(|at| given[*at] != "-"), "{given:?}");

    book.see_accounts(granted(1), NOW);
    book.see(fleet.to_vec(), [], NOW);
    assert_eq!(given_jobs(&mut book), []);
    let verdicts: Vec<String> =
        book.explain(&jobs[1], NOW).iter().map(|(_, verdict)| verdict.to_string()).collect();
    assert_eq!(verdicts, [words; 4]);

    book.see_accounts(granted(0), NOW);
    book.see(fleet.to_vec(), [], NOW);
    assert_eq!(given_jobs(&mut book), [jobs[1].id]);
}

#[test]
fn what_may_not_begin_weighs_nothing_among_what_may() {
    let fleet = [busy("a", &["m"], 60.0), idle("b", &[]), idle("c", &[]), idle("d", &[])];
    let one = accounts("anna", Allowance { max_running: Some(1), ..Allowance::default() });
    for hers in [0, 500] {
        let mut jobs: Vec<Arc<Job>> = (0..hers).map(|at| owned("anna", at + 1)).collect();
        jobs.push(owned("bob", 1000));
        let mut book = book(&fleet, &[]);
        book.see_accounts(one(1), NOW);
        book.see(fleet.to_vec(), waiting(&jobs), NOW);
        let given: Vec<_> =
            book.route(usize::MAX, NOW).iter().map(|given| given.backend.to_string()).collect();
        assert_eq!(given, ["b"], "beside {hers}");
    }
}

#[test]
fn an_owner_that_has_used_its_gpu_time_waits_whatever_ends() {
    let jobs = [owned("anna", 1), owned("bob", 2)];
    let mut book = book(&[idle("a", &["m"]), idle("b", &["m"])], &jobs);
    let gpu = Some(GpuTime { time: HOUR, window: 2 * HOUR });
    book.see_accounts(accounts("anna", Allowance { gpu, ..Allowance::default() })(0), NOW);
    book.see([idle("a", &["m"]), idle("b", &["m"])].to_vec(), [], NOW);
    let words = "its token has used the 3600 s of GPU time that it may have in 2h";
    let outlooks: Vec<String> =
        book.forecast(&jobs, NOW).iter().map(|forecast| forecast.outlook.to_string()).collect();
    assert_eq!(outlooks, ["goes to a now", words]);
    assert_eq!(given(&mut book, &jobs)[0], "-");
}

#[test]
fn who_has_twice_the_weight_gets_twice_the_jobs_once_it_is_ahead_of_its_grace() {
    let jobs: Vec<Arc<Job>> =
        (0..240).map(|at| owned(if at % 2 == 0 { "anna" } else { "bob" }, at + 1)).collect();
    let mut book = book(&[], &[]);
    book.see_accounts(accounts("anna", Allowance { weight: 2.0, ..Allowance::default() })(0), NOW);
    let fleet = [idle("a", &["m"])];
    book.see(fleet.to_vec(), waiting(&jobs), NOW);
    let mut is_hers = Vec::new();
    for _ in 0..120 {
        let given = book.route(usize::MAX, NOW);
        let job = jobs.iter().find(|job| job.id == given[0].job).unwrap();
        is_hers.push(job.owner.as_deref() == Some("anna"));
        book.see(fleet.to_vec(), [], NOW);
    }
    let hers = is_hers[60..].iter().filter(|is_hers| **is_hers).count();
    assert!((38..=42).contains(&hers), "{hers} of 60");
}
