//! Both stores held to one suite of laws (`conformance`), and what only PostgreSQL's can do wrong.
//!
//! PostgreSQL's programs are Debian's, or those of the folder that `ORCHESTRATOR_TEST_POSTGRES` names; the tests make a
//! cluster of their own with them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod conformance;
mod copies;
mod leading;
mod lists;
mod opening;
mod outage;
mod places;
mod proxy;
mod webhooks;
mod whole;

use std::process::ExitCode;

use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use sim::outside::{Outside, trial};

use self::conformance::{LAWS, Law, REOPENED};
use self::places::{Directory, OnServer, run};

fn main() -> ExitCode {
    // An error says that there is one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let arguments = Arguments::from_args();
    let laws = LAWS.iter().copied().chain([("what_was_stored_is_there_when_it_is_opened_again", REOPENED)]);
    let mut trials: Vec<Trial> =
        laws.flat_map(|(name, law)| [on_sqlite(name, law), on_postgres(name, law)]).collect();
    trials.extend(
        opening::TESTS
            .iter()
            .chain(outage::TESTS)
            .chain(whole::TESTS)
            .chain(leading::TESTS)
            .map(|(name, test)| with_postgres(name, *test)),
    );
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn on_sqlite(name: &str, law: Law) -> Trial {
    Trial::test(format!("sqlite::{name}"), move || {
        run(async move { law(&Directory(tempfile::tempdir().unwrap())).await });
        Ok(())
    })
}

fn on_postgres(name: &str, law: Law) -> Trial {
    trial(&format!("postgres::{name}"), Outside::Postgres, move |found| {
        run(async move { law(&OnServer::new(&found)).await });
        Ok(())
    })
}

fn with_postgres(name: &str, test: for<'a> fn(&'a OnServer) -> LocalBoxFuture<'a, ()>) -> Trial {
    trial(&format!("postgres::{name}"), Outside::Postgres, move |found| {
        run(async move { test(&OnServer::new(&found)).await });
        Ok(())
    })
}
