//! The dashboard in a real browser: what people see there and do there.

mod actions;
mod axe;
mod cost;
mod fleet;
mod hostile;
mod look;
mod replay;
mod units;
mod views;

use std::path::Path;

use anyhow::Result;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Failed, Trial};
use sim::outside::{Found, Outside, trial};
use tokio::runtime::Runtime;

type Story = for<'a> fn(&'a Path) -> LocalBoxFuture<'a, Result<()>>;

macro_rules! stories {
    ($($room:ident::$name:ident),* $(,)?) => {
        [$((stringify!($name), (|browser| $room::$name(browser).boxed_local()) as Story)),*]
    };
}

fn stories() -> [(&'static str, Story); 16] {
    stories!(
        units::pure_functions_do_what_their_tests_say,
        views::a_job_is_seen_on_every_view_from_its_submission_to_its_picture,
        views::three_hundred_backends_are_found_sorted_and_grouped,
        views::a_file_becomes_a_job_with_another_seed,
        views::jobs_are_found_by_client_model_and_state_and_give_back_their_documents,
        views::a_failed_job_says_why_and_shows_its_traceback_below,
        views::a_lost_connection_is_told_and_everything_is_there_again_afterwards,
        views::all_can_be_reached_by_keyboard,
        actions::backends_are_drained_resumed_freed_added_and_removed,
        actions::jobs_are_moved_cancelled_and_submitted_once_more,
        actions::a_token_sees_only_what_it_may_do,
        actions::a_session_that_ended_leads_to_the_login,
        hostile::what_strangers_wrote_stays_text,
        cost::the_page_paints_and_how_soon_is_told,
        cost::three_hundred_backends_are_shown_and_what_they_cost_is_told,
        cost::every_module_is_asked_for_beforehand,
    )
}

pub(crate) fn trials() -> Vec<Trial> {
    let on_chromium = |(name, story): (&str, Story)| {
        trial(&format!("dashboard::{name}"), Outside::Chromium, move |browser| run(&browser, story))
    };
    let axe = trial("dashboard::no_view_shuts_anybody_out", Outside::Axe, |axe| {
        match (axe, Outside::Chromium.find()) {
            (Found::File(axe), Ok(browser)) => told(axe::no_view_shuts_anybody_out(browser.program(), &axe)),
            (_, missing) => Err(Failed::from(format!("needs Chromium: {missing:?}"))),
        }
    });
    stories().into_iter().map(on_chromium).chain([axe]).collect()
}

fn run(browser: &Found, story: Story) -> Result<(), Failed> {
    told(story(browser.program().ok_or("no program")?))
}

fn told(story: impl Future<Output = Result<()>>) -> Result<(), Failed> {
    let outcome = Runtime::new()?.block_on(story);
    outcome.map_err(|error| Failed::from(format!("{error:#}")))
}
